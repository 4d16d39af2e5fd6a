"""Processes that belong to one run: they begin alike and end together.

What they tell one another here goes through JAX's coordination service, not through devices: it works
before there are any, and while a computation waits for a process that is gone.
"""

from collections.abc import Iterator, Mapping
import contextlib
import hashlib
import itertools
import json
import pathlib
import threading
import time
import traceback
from typing import Any

from posejax.errors import PosejaxError
from posejax.process.distributed import end

_FAILED, _HEARD = 'posejax/failed/', 'posejax/heard/'
_POLL_SECONDS = 0.5
# How long process 0, with whom the service ends, waits until the others know why.
_LISTEN_SECONDS = 5.0
# How long one process may be behind another, from the same point of the same program.
_WAIT_SECONDS = 600
_SHOWN = 3
_calls = itertools.count()


def _service():
  """Return `(client, this process, number of processes)`; None for a run of one process."""
  # Public JAX has no access to what it keeps by key; Orbax takes the same way.
  from jax._src import distributed

  state = distributed.global_state
  if state.client is None or state.num_processes == 1:
    return None
  return state.client, state.process_id, state.num_processes


def check_same(mine: Mapping[str, Any]) -> None:
  """Refuse to go on where another process of this run has other values than process 0.

  Every process must call it, and is told of all differences.

  Args:
    mine: name -> what this process has, JSON-ready.

  Raises:
    PosejaxError: on all processes; it says what differs.
  """
  service = _service()
  if service is None:
    return
  client, number, _ = service
  place, milliseconds = f'posejax/same/{next(_calls)}/', _WAIT_SECONDS * 1000
  mine = json.loads(json.dumps(mine))
  if number == 0:
    client.key_value_set(place + 'first', json.dumps(mine))
  first = json.loads(client.blocking_key_value_get(place + 'first', milliseconds))
  different = [
    f'{key} is {first.get(key, "not set")!r} on process 0 and {mine.get(key, "not set")!r} on {number}'
    for key in sorted(first.keys() | mine.keys())
    if first.get(key) != mine.get(key)
  ]
  if different:
    client.key_value_set(f'{place}different/{number}', json.dumps(different[:_SHOWN]))
  client.wait_at_barrier(place + 'all', milliseconds)
  found = sorted(client.key_value_dir_get(place + 'different/'))
  if found:
    listed = [text for _, texts in found[:_SHOWN] for text in json.loads(texts)]
    raise PosejaxError(
      f'The processes of this run differ: {"; ".join(listed)}. Start all of them with the same command '
      'and the same installation.'
    )


def digest_of_code() -> str:
  """Return what tells one state of posejax's code from another, whatever it calls its version."""
  root = pathlib.Path(__file__).parents[1]
  digest = hashlib.sha256()
  for path in sorted(root.rglob('*.py')):
    digest.update(path.relative_to(root).as_posix().encode() + b'\0' + path.read_bytes() + b'\0')
  return digest.hexdigest()[:12]


@contextlib.contextmanager
def ending() -> Iterator[None]:
  """End all processes of a run with the error of the one in which what is inside fails.

  A process that leaves Python as usual first waits for the others, which wait for it in a computation. So
  it says why, on all of them, and ends at once. One that was killed says nothing: JAX misses its
  heartbeat, and ends the others.
  """
  service = _service()
  if service is None:
    yield
    return
  _, number, count = service
  over = threading.Event()
  listener = threading.Thread(target=_listen, args=(service, over), daemon=True)
  listener.start()
  try:
    yield
  except (Exception, KeyboardInterrupt) as error:
    # What breaks off because another process failed is not the news.
    if not isinstance(error, PosejaxError):
      _hear(service)
    message = f'Process {number} of {count}: ' + (
      f'Error: {error}' if isinstance(error, PosejaxError) else _trace(error)
    )
    _tell(service, message)
    end(message)
  finally:
    over.set()
    listener.join()


def _trace(error: BaseException) -> str:
  import jax

  text = traceback.format_exc()
  if isinstance(error, jax.errors.JaxRuntimeError):
    text += 'If it is a connection that was closed: another process of this run was killed.'
  return text


def _tell(service, message: str) -> None:
  """Leave a message for the other processes; process 0 stays until they have it."""
  client, number, count = service
  with contextlib.suppress(Exception):  # whatever goes wrong here, the message's error is the news
    client.key_value_set(f'{_FAILED}{number}', message)
    client.key_value_set(f'{_HEARD}{number}', '', allow_overwrite=True)
    limit = time.monotonic() + _LISTEN_SECONDS
    while number == 0 and time.monotonic() < limit:
      if len(client.key_value_dir_get(_HEARD)) >= count:
        return
      time.sleep(_POLL_SECONDS / 5)


def _listen(service, over: threading.Event) -> None:
  while not over.wait(_POLL_SECONDS):
    try:
      _hear(service)
    except Exception:
      return  # process 0 is gone: JAX ends this one, and says so


def _hear(service) -> None:
  """End this process if another one has failed, with what that one said."""
  client, number, _ = service
  found = [text for key, text in client.key_value_dir_get(_FAILED) if key != f'{_FAILED}{number}']
  if found:
    client.key_value_set(f'{_HEARD}{number}', '', allow_overwrite=True)
    end('\n'.join(found))
