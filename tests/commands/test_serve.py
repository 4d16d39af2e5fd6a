"""`posejax serve`: from a folder with a run to an answer over HTTP."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from posejax import cli
from tests.web import beacons

for _name in ('flask', 'uvicorn', 'prometheus_client'):
  pytest.importorskip(_name, reason="needs pip install 'posejax[web]'")


@contextlib.contextmanager
def serving(folder, *flags):
  """Start the command in a folder; yield the process, its address and what it said before."""
  root = os.getcwd()
  process = subprocess.Popen(
    [sys.executable, '-m', 'posejax.cli', 'serve', '--port=0', *flags],
    cwd=folder,
    env={**os.environ, 'PYTHONPATH': root},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  try:
    said = []
    for line in process.stdout:
      said.append(line)
      if found := re.match(r'Serving (http://\S+)', line):
        yield process, found.group(1), ''.join(said)
        return
    raise AssertionError(process.stderr.read())
  finally:
    process.kill()
    process.communicate()


def ask(url, method, path, body=None, **headers):
  connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
  try:
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()
  finally:
    connection.close()


def test_the_newest_run_is_served_until_told_to_stop(tiny_run, tmp_path):
  old, new = tmp_path / 'runs' / 'old', tmp_path / 'runs' / 'new'
  shutil.copytree(tiny_run, new)
  shutil.copytree(tiny_run, old)
  for number, run in enumerate((old, new)):
    for step in (run / 'checkpoints').iterdir():
      os.utime(step, (1e9 + number, 1e9 + number))
  with serving(tmp_path) as (process, url, said):
    assert said.startswith(f'{os.path.join("runs", "new")}: pose_densenet_compact, step ')
    assert ask(url, 'GET', '/healthz')[0] == 200
    picture = beacons.jpeg(beacons.paint((90, 140), [beacons.figure(70, 10, 70)], radius=2))
    status, answer = ask(url, 'POST', '/api/v1/predict', picture, **{'Content-Type': 'image/jpeg'})
    assert status == 200
    (result,) = json.loads(answer)['results']
    assert (result['height'], result['width']) == (90, 140)
    (person,) = result['instances']
    assert [k['name'] for k in person['keypoints']][:2] == ['nose', 'left_eye']
    assert b'<title>' in ask(url, 'GET', '/')[1]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, '')


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['--workdir=nowhere'], "There is no run at 'nowhere'"),
    (['--port=123456789', '--workdir=RUN'], 'Nothing can listen at 127.0.0.1:123456789'),
    (['--cert=none.pem', '--workdir=RUN'], 'There is no file none.pem'),
  ],
)
def test_wrong_use_is_one_sentence(capsys, tiny_run, tmp_path, monkeypatch, words, message):
  monkeypatch.chdir(tmp_path)
  code = cli.main(['serve', *(word.replace('RUN', tiny_run) for word in words)])
  errors = capsys.readouterr().err
  assert (code, message in errors, errors.count('\n')) == (2, True, 1)
