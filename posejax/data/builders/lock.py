"""A folder that one process at a time works in, while others wait and say for whom."""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import logging
import os
import socket
import threading
import time
from typing import IO

from posejax.errors import PosejaxError

_LOG = logging.getLogger(__name__)
_POLL_SECONDS, _SIGN_SECONDS = 0.5, 20.0
# After so long without a sign of life the holder is dead, and the file system has not noticed.
_DEAD_SECONDS = 600.0
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextlib.contextmanager
def held(folder: str, doing: str) -> Iterator[None]:
  """Hold a folder against all other processes, on this host and on those that share it.

  The system releases it when its process dies, however it dies. On a file system that has no locks
  nobody waits.

  Args:
    folder: exists; a file `.lock` in it says who holds it, and is touched now and then while held.
    doing: what the holder does there, for whoever waits.

  Raises:
    PosejaxError: the holder has given no sign of life for ten minutes.
  """
  path = os.path.join(folder, '.lock')
  with open(path, 'a+') as file:
    _wait(file, path)
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}, {doing}')
    file.flush()
    over = threading.Event()
    signs = threading.Thread(target=_give_signs, args=(path, over), daemon=True)
    signs.start()
    try:
      yield
    finally:
      over.set()
      signs.join()


def _wait(file: IO, path: str) -> None:
  is_said = False
  while not _take(file):
    silent = time.time() - os.stat(path).st_mtime
    with open(path) as other:
      holder = other.read() or 'another process'
    if silent > _DEAD_SECONDS:
      raise PosejaxError(
        f'{path} is held by {holder}, without a sign of life for {silent / 60:.0f} minutes. If that '
        'one is gone, remove the file and run again.'
      )
    if not is_said:
      _LOG.warning('Waiting for %s.', holder)
      is_said = True
    time.sleep(_POLL_SECONDS)


def _take(file: IO) -> bool:
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError as error:
    if error.errno not in _NO_LOCKS:
      raise
  return True


def _give_signs(path: str, over: threading.Event) -> None:
  while not over.wait(_SIGN_SECONDS):
    with contextlib.suppress(OSError):
      os.utime(path)
