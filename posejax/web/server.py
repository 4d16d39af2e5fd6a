"""An application on the network: HTTP or HTTPS, until it is told to stop.

uvicorn, because one server has to do all of it: TLS whose handshakes do not hold up other clients,
slow clients that hold no thread, and stopping without breaking off what is being answered. waitress
has no TLS, and cheroot shakes hands with one client at a time while all others wait.
"""

from collections.abc import Callable, Iterable
import os
import signal
import socket
import ssl

from posejax.errors import PosejaxError
from posejax.web.app import create_app
from posejax.web.bridge import Bridge
from posejax.web.limits import Limits
from posejax.web.missing import missing
from posejax.web.predictor import Predicts


def serve(
  predictor: Predicts,
  host: str = '127.0.0.1',
  port: int = 8000,
  *,
  limits: Limits | None = None,
  cert: str | None = None,
  key: str | None = None,
  names: Iterable[str] = (),
  on_ready: Callable[[str], None] = lambda url: print(f'Serving {url}', flush=True),
) -> None:
  """Serve the page and the API until SIGTERM or Ctrl-C; then answer what is in flight, and return.

  Args:
    predictor: the net.
    host: address or name to listen at; only this machine reaches 127.0.0.1.
    port: to listen at; 0 for any that is free.
    limits: what clients may ask for.
    cert: file of the TLS certificate (PEM); browsers give their camera to HTTPS and localhost only.
    key: file of its key; None where `cert` has it.
    names: host names, beside this machine's own, that the API answers to without TLS.
    on_ready: told the address once connections are taken.

  Raises:
    PosejaxError: the extra `web` is not installed, the port is taken, or the certificate is not good.
  """
  try:
    import uvicorn
  except ImportError as error:
    raise missing(error) from error

  limits = limits or Limits()
  _check_certificate(cert, key)
  listener = _listen(host, port)
  app = create_app(predictor, limits=limits, names=[host, *names])
  parts = app.extensions['posejax']
  bridge = Bridge(
    app, limits, lambda status: parts.metrics.requests.labels('none', str(status)).inc()
  )
  shown = f'[{host}]' if ':' in host else host
  url = f'{"https" if cert else "http"}://{shown}:{listener.getsockname()[1]}'

  class Server(uvicorn.Server):
    async def startup(self, sockets=None):
      await super().startup(sockets)
      on_ready(url)

  config = uvicorn.Config(
    bridge,
    loop='asyncio',
    http='h11',
    ws='none',
    lifespan='off',
    log_config=None,
    access_log=False,
    server_header=False,
    proxy_headers=False,
    ssl_certfile=cert,
    ssl_keyfile=key,
    timeout_graceful_shutdown=max(1, round(limits.drain_seconds)),
  )
  server = Server(config)

  def stop(*_):
    server.should_exit = True

  # For a signal before uvicorn has handlers of its own; and it hands the signal that stopped it to
  # the handlers of before, where to be told to stop must be no failure.
  signals = (signal.SIGTERM, signal.SIGINT)
  before = {number: signal.signal(number, stop) for number in signals}
  try:
    server.run([listener])
  finally:
    listener.close()
    for number, handler in before.items():
      signal.signal(number, handler)
    parts.batcher.close(limits.drain_seconds)


def _check_certificate(cert: str | None, key: str | None) -> None:
  if key and not cert:
    raise PosejaxError(f'The key {key} needs its certificate; give both.')
  for path in filter(None, (cert, key)):
    if not os.path.isfile(path):
      raise PosejaxError(f'There is no file {path}; cert and key name PEM files.')
  if cert:
    try:
      ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
      raise PosejaxError(
        f'{cert} and {key or "the key in it"} do not go together as a PEM certificate and its key: '
        f'{error}.'
      ) from error


def _listen(host: str, port: int) -> socket.socket:
  if not 0 <= port <= 65535:  # getaddrinfo takes the lowest 16 bits
    raise PosejaxError(f'Nothing can listen at {host}:{port}; ports are from 0 to 65535.')
  try:
    family, kind, protocol, _, address = socket.getaddrinfo(
      host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # With protocol 0 asyncio does not know TCP, leaves Nagle's algorithm on, and answers take 40 ms more.
    listener = socket.socket(family, kind, protocol)
    try:
      listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      listener.bind(address)
      listener.listen(128)
    except BaseException:
      listener.close()
      raise
  except (OSError, OverflowError) as error:
    raise PosejaxError(
      f'Nothing can listen at {host}:{port} ({error}); choose another port or address.'
    ) from error
  return listener
