"""docs/use.md: every block that is marked to be run is run, in its order, in one folder."""

import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request

import cv2
import numpy as np
import pytest

from posejax import cli
from posejax.data.synthetic.film import DrawnFilm
from posejax.infer.frames.decoding import read_picture
from posejax.infer.predictor import Predictor
from posejax.web.page import RUNTIME_FILES
from tests.infer.frames import drawn

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / 'docs' / 'use.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'<!-- run -->\n```(bash|python)\n(.*?)```', TEXT, re.DOTALL)

for _name in (
  'ai_edge_litert',
  'av',
  'flask',
  'onnx',
  'onnxruntime',
  'prometheus_client',
  'uvicorn',
):
  pytest.importorskip(_name, reason="needs pip install 'posejax[video,web,export,litert]'")


@pytest.fixture(scope='module')
def folder(tiny_run, tmp_path_factory):
  """A folder with what the page speaks of: a run, pictures of people, their boxes, and a film."""
  path = tmp_path_factory.mktemp('use')
  shutil.copytree(tiny_run, path / 'runs' / 'pose_densenet')
  os.makedirs(path / 'people')
  os.symlink(ROOT / 'docs', path / 'docs')
  boxes = []
  for number in range(1, 5):
    frame = DrawnFilm(number, 1, (120, 200), people=2)[0]
    cv2.imwrite(str(path / 'people' / f'{number}.jpg'), frame['image'][..., ::-1])
    for x1, y1, x2, y2 in frame['boxes'].tolist():
      boxes.append({'image_id': number, 'bbox': [x1, y1, x2 - x1, y2 - y1], 'score': 0.9})
  (path / 'boxes.json').write_text(json.dumps(boxes))
  film = DrawnFilm(5, 5, (120, 160), people=1)
  drawn.film(path / 'film.mp4', list(film.times), image_fn=lambda i: film[i]['image'])
  return path


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
  monkeypatch.chdir(folder)


def commands(block):
  return [line for line in block.splitlines() if line and not line.startswith('#')]


def blocks_with(start):
  """Return the blocks of commands that begin so."""
  found = [block for kind, block in BLOCKS if kind == 'bash' and block.startswith(start)]
  assert found, f'docs/use.md has no block that begins with {start!r}'
  return found


def posejax(line, monkeypatch, capsys):
  """Run a line of `posejax`, a list that is piped into it included; return what it printed."""
  before, _, after = line.rpartition(' | ')
  if before:
    listed = subprocess.run(before, shell=True, capture_output=True, text=True, check=True).stdout
    monkeypatch.setattr('sys.stdin', io.StringIO(listed))
  name, *words = shlex.split(after)
  assert name == 'posejax'
  code = cli.main(words)
  printed = capsys.readouterr()
  no_camera = 'camera:0' in words and not os.path.exists('/dev/video0')
  assert code == (1 if no_camera else 0), f'{line}: {printed.err}'
  if no_camera:
    assert 'there is no /dev/video0' in printed.err
  return printed.out


def test_every_block_is_marked_and_known():
  assert len(BLOCKS) == TEXT.count('```') // 2
  assert len([kind for kind, _ in BLOCKS if kind == 'python']) == 2


@pytest.mark.parametrize('start', ['posejax predict people --out', 'posejax predict film'])
def test_predicting(start, monkeypatch, capsys):
  (block,) = blocks_with(start)
  for line in commands(block):
    output = posejax(line, monkeypatch, capsys)
    (out,) = re.findall(r'--out=(\w+)', line)
    assert os.path.isdir(out)
    assert 'pictures or frames' in output


@pytest.mark.parametrize('block', [block for kind, block in BLOCKS if kind == 'python'])
def test_python(block, capsys):
  exec(compile(block, 'docs/use.md', 'exec'), {'__name__': '__main__'})
  assert len(capsys.readouterr().out.splitlines()) >= 10


@contextlib.contextmanager
def serving(line, port):
  """Start a server by a line of the page, at a free port."""
  words = [sys.executable, '-m', 'posejax.cli', *shlex.split(line)[1:], f'--port={port}']
  environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
  process = subprocess.Popen(
    words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  try:
    for printed in process.stdout:
      if printed.startswith('Serving '):
        break
    else:
      raise AssertionError(process.stderr.read())
    yield
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, '')
  finally:
    process.kill()
    process.communicate()


def free_port():
  with socket.socket() as found:
    found.bind(('127.0.0.1', 0))
    return found.getsockname()[1]


def test_serving():
  if not shutil.which('curl'):
    pytest.skip('no curl to ask with')
  (serve,), (ask,), port = blocks_with('posejax serve'), blocks_with('curl'), free_port()
  with serving(serve, port):
    for line in commands(ask):
      words = shlex.split(line.replace(':8000', f':{port}'))
      answer = subprocess.run([*words, '-sS', '--fail-with-body'], capture_output=True, check=True)
      pictures = line.count('@')
      assert len(json.loads(answer.stdout).get('results', ())) == pictures


def test_serving_a_phone():
  if not shutil.which('openssl'):
    pytest.skip('no openssl to make a certificate with')
  (block,), port = blocks_with('openssl'), free_port()
  make, serve = commands(block)
  subprocess.run(shlex.split(make), check=True, capture_output=True)
  context = ssl.create_default_context(cafile='cert.pem')
  context.check_hostname = False
  with serving(serve, port):
    url = f'https://127.0.0.1:{port}/healthz'
    assert urllib.request.urlopen(url, context=context, timeout=30).status == 200


@pytest.mark.parametrize(
  'start', ['posejax export --format=onnx', 'posejax export --format=tflite']
)
def test_exporting(start, monkeypatch, capsys):
  (block,) = blocks_with(start)
  *exports, read = commands(block)
  for line in exports:
    posejax(line, monkeypatch, capsys)
    (out,) = re.findall(r'--out=(\S+)', line)
    assert os.path.getsize(out) > 1000
  words = shlex.split(read)
  assert words[0] == 'python'
  done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True)
  rows = [row.split() for row in done.stdout.splitlines()]
  predictor = Predictor.load('runs/pose_densenet')
  image = read_picture(words[-1])
  h, w = image.shape[:2]
  (one,) = predictor(image, [[0, 0, w - 1, h - 1]]).instances
  assert [row[0] for row in rows] == list(predictor.labels.keypoints)
  np.testing.assert_allclose(np.array([row[1:3] for row in rows], float), one.keypoints, atol=0.2)


def test_a_net_in_a_file(monkeypatch, capsys):
  (block,) = blocks_with('posejax export --format=safetensors')
  for line in commands(block):
    posejax(line, monkeypatch, capsys)
  assert os.path.exists('by_file/predictions.json')


def test_a_page_without_a_server(monkeypatch, capsys):
  (block,) = blocks_with('npm install onnxruntime-web\n')
  dist = pathlib.Path('node_modules/onnxruntime-web/dist')
  dist.mkdir(parents=True)
  for name in RUNTIME_FILES:  # stands in for what npm brings
    (dist / name).write_bytes(b'')
  _, line = commands(block)
  assert 'python -m http.server -d site' in posejax(line, monkeypatch, capsys)
  assert os.path.exists('site/index.html')


def test_runtimes(monkeypatch, capsys):
  (block,) = blocks_with('posejax predict people --runtime')
  outputs = [posejax(line, monkeypatch, capsys) for line in commands(block)]
  assert 'onnxruntime' in outputs[0]
  assert 'the fastest of' in outputs[1]
