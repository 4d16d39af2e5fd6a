"""The server as a process: both protocols, slow and vanished clients, and how it stops."""

from concurrent.futures import ThreadPoolExecutor
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from posejax.errors import PosejaxError
from posejax.web.server import serve
from tests.web import beacons, running

DATA = beacons.jpeg(beacons.paint((120, 160), [beacons.figure(80, 10, 100)], radius=2))


def ask(url, method='POST', path='/api/v1/predict', body=DATA, context=None, **headers):
  """Send one request; return its status and its answer from JSON."""
  parts = urlsplit(url)
  if parts.scheme == 'https':
    connection = http.client.HTTPSConnection(parts.netloc, timeout=20, context=context)
  else:
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
  headers = {'Content-Type': 'image/jpeg'} | headers if method == 'POST' else headers
  try:
    connection.request(method, path, body if method == 'POST' else None, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())
  finally:
    connection.close()


def connect(url):
  parts = urlsplit(url)
  return socket.create_connection((parts.hostname, parts.port), timeout=20)


@pytest.fixture(scope='module')
def url():
  with running.server() as (_, address):
    yield address


def test_a_request_over_http(url):
  status, body = ask(url)
  assert status == 200
  assert len(body['results'][0]['instances']) == 1
  chunks = iter([DATA[:100], DATA[100:]])  # without a length: chunked
  status, body = ask(url, body=chunks)
  assert status == 200
  assert ask(url, 'GET', '/healthz') == (200, {'status': 'ok'})
  # A name of the whole world for this machine's own address.
  assert ask(url, Host='evil.example')[0] == 403


def test_a_request_over_https(tmp_path):
  cert, key = tmp_path / 'cert.pem', tmp_path / 'key.pem'
  make = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  make += ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  try:
    subprocess.run([*make, '-keyout', key, '-out', cert], check=True, capture_output=True)
  except FileNotFoundError:
    pytest.skip('no openssl to make a certificate with')
  with running.server(f'--cert={cert}', f'--key={key}') as (_, url):
    assert url.startswith('https://')
    context = ssl.create_default_context(cafile=cert)
    with connect(url):  # a client that never shakes hands holds up nobody
      began = time.monotonic()
      assert ask(url, context=context)[0] == 200
      assert time.monotonic() - began < 5
    origin = {'Origin': url}
    assert ask(url, context=context, **origin)[0] == 200
  with pytest.raises(PosejaxError, match='do not go together'):
    serve(beacons.Beacons(), port=0, cert=str(cert), key=str(cert))


def test_bad_places_and_files(tmp_path):
  with socket.socket() as taken:
    taken.bind(('127.0.0.1', 0))
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(PosejaxError, match=f'127.0.0.1:{port}'):
      serve(beacons.Beacons(), port=port)
  with pytest.raises(PosejaxError, match='no file'):
    serve(beacons.Beacons(), cert=str(tmp_path / 'none.pem'))
  with pytest.raises(PosejaxError, match='needs its certificate'):
    serve(beacons.Beacons(), key=__file__)


def test_answers_are_sent_at_once(url):
  # Where the head of an answer and its body wait for each other (Nagle's algorithm and delayed
  # acknowledgements), every answer but a connection's first dozen takes 40 ms.
  connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
  seconds = []
  for _ in range(60):
    began = time.perf_counter()
    connection.request('GET', '/healthz')
    connection.getresponse().read()
    seconds.append(time.perf_counter() - began)
  connection.close()
  assert min(seconds[40:]) < 0.03


def test_too_large_is_told_even_to_a_client_that_still_sends(url):
  with connect(url) as client:
    size = 40 * 2**20
    head = f'POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n'
    client.sendall(head.encode())
    client.sendall(b'\0' * size)
    assert client.recv(12) == b'HTTP/1.1 413'


def test_slow_clients_hold_up_nobody():
  head = b'POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx'
  with running.server('--requests=4', '--receive=2') as (_, url):
    slow = [connect(url) for _ in range(9)]
    for client in slow[:3]:
      client.sendall(head)  # and no more
    for client in slow[3:]:
      client.sendall(b'GET / HT')
    assert ask(url)[0] == 200
    for client in slow[:3]:
      assert client.recv(12) == b'HTTP/1.1 408'
    for client in slow:
      client.close()


def test_requests_that_never_become_whole_take_nobodys_place():
  head = b'POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx'
  with running.server('--requests=2', '--seconds=0.5') as (_, url):
    slow = [connect(url) for _ in range(4)]
    for client in slow:
      client.sendall(head)
    with ThreadPoolExecutor(2) as threads:
      busy = [threads.submit(ask, url) for _ in range(2)]
      time.sleep(0.2)
      assert ask(url, 'GET', '/healthz') == (200, {'status': 'ok'})
      assert [one.result()[0] for one in busy] == [200, 200]
    for client in slow:
      client.close()


def test_too_many_requests_at_once_get_503():
  with running.server('--requests=2', '--seconds=1') as (_, url):
    with ThreadPoolExecutor(6) as threads:
      statuses = list(threads.map(lambda _: ask(url)[0], range(6)))
    assert sorted(set(statuses)) == [200, 503]
    assert statuses.count(200) >= 2
    assert ask(url)[0] == 200


def test_clients_that_went_away_are_not_computed_for():
  with running.server('--seconds=0.7') as (_, url):
    with ThreadPoolExecutor(1) as threads:
      busy = threads.submit(ask, url)
      time.sleep(0.2)
      for _ in range(5):
        head = 'POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n'
        with connect(url) as client:
          client.sendall(f'{head}Content-Length: {len(DATA)}\r\n\r\n'.encode() + DATA)
          time.sleep(0.05)
      assert busy.result()[0] == 200
    assert ask(url)[0] == 200
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request('GET', '/metrics')
    text = connection.getresponse().read().decode()
    connection.close()
    assert 'posejax_batch_size_sum 2.0' in text


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_answers_what_is_in_flight(number):
  with running.server('--seconds=0.8') as (process, url), ThreadPoolExecutor(3) as threads:
    with connect(url):  # an idle connection does not keep it alive
      answers = [threads.submit(ask, url) for _ in range(3)]
      time.sleep(0.4)
      process.send_signal(number)
      time.sleep(0.3)
      with pytest.raises(ConnectionRefusedError):
        connect(url)
      assert [answer.result()[0] for answer in answers] == [200] * 3
      assert process.wait(10) == 0
    assert process.stderr.read() == ''


def test_stopping_has_a_bound():
  with running.server('--drain=1', '--receive=60') as (process, url), connect(url) as client:
    client.sendall(
      b'POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx'
    )
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 5


WITHOUT = """
import sys
from posejax.errors import PosejaxError
from posejax.web.server import serve
from tests.web.beacons import Beacons
for name in ('uvicorn', 'prometheus_client', 'flask'):
  sys.modules[name] = None
  try:
    serve(Beacons(), port=0)
  except PosejaxError as error:
    print(error)
  del sys.modules[name]
"""


def test_a_missing_library_is_one_sentence():
  command = [sys.executable, '-c', WITHOUT]
  result = subprocess.run(command, cwd=running.ROOT, capture_output=True, text=True, check=False)
  assert result.stdout.splitlines() == [
    f"The web application needs {name}: pip install 'posejax[web]'."
    for name in ('uvicorn', 'prometheus_client', 'flask')
  ]
