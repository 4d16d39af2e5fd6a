"""From an ASGI server to a WSGI application, with bounds on what a client can hold.

Slow clients are waited for by the server's event loop; a thread and a place among those answered are
taken only once a request is whole, and there are only so many. Requests without a body have places of
their own, so that who watches over the server hears from it however busy it is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import io
import json
import sys
import threading
from typing import Any

from posejax.web import security
from posejax.web.app import IS_GONE
from posejax.web.limits import Limits

_TOO_MANY = 'Too many requests at once; send this one again in a second.'
_DISCARD_SECONDS = 2.0  # for the rest of a request that is too large


class _RefusedError(Exception):
  def __init__(self, status: int, message: str):
    super().__init__(message)
    self.status = status


class _GoneError(Exception):
  pass


class Bridge:
  """An ASGI application that asks a WSGI one.

  Args:
    app: the WSGI application.
    limits: `requests`, `request_bytes` and `receive_seconds` are looked after here.
    on_refusal: told the status of every request that the application never saw.
  """

  def __init__(self, app: Callable, limits: Limits, on_refusal: Callable[[int], None]):
    self._app = app
    self._limits = limits
    self._on_refusal = on_refusal
    self._predictions = _Places(limits.requests)
    self._others = _Places(limits.requests)
    self._held_bytes = 0  # of bodies, received in part or whole

  async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
    """Answer one request; the signature is ASGI's."""
    if scope['type'] != 'http':
      raise ValueError(f'Only HTTP is answered here, not {scope["type"]}.')
    parts: list[bytes] = []
    try:
      body = await self._read(parts, receive)
      with (self._predictions if body else self._others).one() as threads:
        await self._ask(threads, scope, body, receive, send)
    except _RefusedError as error:
      self._on_refusal(error.status)
      await _send(send, *_refusal(error))
    except _GoneError:
      pass
    finally:
      self._let_go(parts)

  def _let_go(self, parts: list[bytes]) -> None:
    self._held_bytes -= sum(map(len, parts))
    parts.clear()

  async def _read(self, parts: list[bytes], receive: Callable) -> bytes:
    try:
      async with asyncio.timeout(self._limits.receive_seconds):
        await self._read_bounded(parts, receive)
        parts[:] = [b''.join(parts)]  # it is held once
        return parts[0]
    except TimeoutError as error:
      raise _RefusedError(
        408, f'The request was not whole after {self._limits.receive_seconds:g} seconds.'
      ) from error

  async def _read_bounded(self, parts: list[bytes], receive: Callable) -> None:
    size, more = 0, True
    while more:
      body, more = await _chunk(receive)
      size += len(body)
      parts.append(body)
      self._held_bytes += len(body)
      if refused := self._refused(size):
        self._let_go(parts)
        await _discard(receive, more)
        raise refused

  def _refused(self, size: int) -> _RefusedError | None:
    """Return why a request of so many bytes, which are held with others', goes no further."""
    largest = self._limits.request_bytes
    if size > largest:
      return _RefusedError(413, f'A request has at most {largest:,} bytes; send fewer or smaller.')
    if self._held_bytes > self._limits.requests * largest:
      return _RefusedError(503, _TOO_MANY)
    return None

  async def _ask(
    self, threads: ThreadPoolExecutor, scope: dict, body: bytes, receive: Callable, send: Callable
  ) -> None:
    gone = threading.Event()
    watch = asyncio.create_task(_watch(receive, gone))
    try:
      environ = _environ(scope, body) | {IS_GONE: gone.is_set}
      del body
      loop = asyncio.get_running_loop()
      answer = await loop.run_in_executor(threads, _run, self._app, environ)
    finally:
      watch.cancel()
    if not gone.is_set():
      await _send(send, *answer)


class _Places:
  """So many requests are answered at the same time, in as many threads."""

  def __init__(self, number: int):
    self._number, self._taken = number, 0
    self._threads = ThreadPoolExecutor(number, 'posejax-request')

  @contextlib.contextmanager
  def one(self) -> Iterator[ThreadPoolExecutor]:
    """Take one of the places, or refuse."""
    if self._taken >= self._number:
      raise _RefusedError(503, _TOO_MANY)
    self._taken += 1
    try:
      yield self._threads
    finally:
      self._taken -= 1


async def _chunk(receive: Callable[[], Awaitable[dict]]) -> tuple[bytes, bool]:
  message = await receive()
  if message['type'] == 'http.disconnect':
    raise _GoneError
  return message.get('body', b''), message.get('more_body', False)


async def _discard(receive: Callable, more: bool) -> None:
  """Read on for a moment: a client that still sends when the connection ends never sees the answer."""
  try:
    async with asyncio.timeout(_DISCARD_SECONDS):
      while more:
        _, more = await _chunk(receive)
  except TimeoutError:
    pass


async def _watch(receive: Callable, gone: threading.Event) -> None:
  while (await receive())['type'] != 'http.disconnect':
    pass
  gone.set()


async def _send(send: Callable, status: int, headers: list[tuple[bytes, bytes]], body: bytes):
  await send({'type': 'http.response.start', 'status': status, 'headers': headers})
  await send({'type': 'http.response.body', 'body': body})


def _refusal(error: _RefusedError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
  body = json.dumps({'error': str(error)}).encode()
  headers = {
    'Content-Type': 'application/json',
    'Content-Length': str(len(body)),
    'Cache-Control': 'no-store',
    'Connection': 'close',
    **security.HEADERS,
  }
  if error.status == 503:
    headers['Retry-After'] = '1'
  return error.status, [(k.lower().encode(), v.encode()) for k, v in headers.items()], body


def _run(app: Callable, environ: dict) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
  """Call a WSGI application and return its whole answer; they are all small here."""
  started: list = []

  def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None):
    started[:] = [int(status.split(' ', 1)[0]), headers]
    return None

  result = app(environ, start_response)
  try:
    body = b''.join(result)
  finally:
    if hasattr(result, 'close'):
      result.close()
  status, headers = started
  encoded = [(name.lower().encode('latin-1'), value.encode('latin-1')) for name, value in headers]
  return status, encoded, body


def _environ(scope: dict, body: bytes) -> dict[str, Any]:
  """Return what WSGI (PEP 3333) calls an environment."""
  server = scope.get('server') or ('localhost', 0)
  client = scope.get('client') or ('', 0)
  environ = {
    'REQUEST_METHOD': scope['method'],
    'SCRIPT_NAME': '',
    'PATH_INFO': scope['path'].encode('utf-8').decode('latin-1'),
    'QUERY_STRING': scope['query_string'].decode('latin-1'),
    'SERVER_NAME': server[0],
    'SERVER_PORT': str(server[1] or ''),
    'SERVER_PROTOCOL': f'HTTP/{scope["http_version"]}',
    'REMOTE_ADDR': client[0],
    'wsgi.version': (1, 0),
    'wsgi.url_scheme': scope['scheme'],
    'wsgi.input': io.BytesIO(body),
    'wsgi.errors': sys.stderr,
    'wsgi.multithread': True,
    'wsgi.multiprocess': False,
    'wsgi.run_once': False,
  }
  for name, value in scope['headers']:
    key = name.decode('latin-1').upper().replace('-', '_')
    if key not in ('CONTENT_TYPE', 'CONTENT_LENGTH'):
      key = f'HTTP_{key}'
    text = value.decode('latin-1')
    environ[key] = f'{environ[key]},{text}' if key in environ else text
  # The body is whole now, however it was sent.
  environ.pop('HTTP_TRANSFER_ENCODING', None)
  environ['CONTENT_LENGTH'] = str(len(body))
  return environ
