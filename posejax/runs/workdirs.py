"""A run's work directory: its config, and who is writing to it."""

from collections.abc import Iterator
import contextlib
import fcntl
import glob
import json
import os
import time
from typing import IO

from posejax import buckets, files
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.runs import older

# Whoever asks `is_claimed` holds the lock for a moment; whoever trains holds it for good.
_CLAIM_SECONDS = 1.0


def read_config(workdir: str) -> Config | None:
  """Return the config a work directory was started with, or None if it is new.

  Raises:
    PosejaxError: `config.json` cannot be read.
  """
  path = os.path.join(workdir, 'config.json')
  try:
    values = json.loads(files.read(path))
  except FileNotFoundError:
    return None
  except ValueError as error:
    raise PosejaxError(
      f'{path} is not valid JSON ({error}). Restore it from the newest checkpoint '
      '(checkpoints/<step>/meta) or choose another --workdir.'
    ) from error
  return Config.from_dict(older.config_values(values))


def write_config(workdir: str, config: Config) -> None:
  """Write `config.json`, whole or not at all."""
  path = os.path.join(workdir, 'config.json')
  files.replace(path, (json.dumps(config.to_dict(), indent=2) + '\n').encode())


@contextlib.contextmanager
def claim(workdir: str, active: bool, option: str = '--workdir') -> Iterator[None]:
  """Create a work directory and hold it against a second process writing to it.

  One in a bucket is held by nothing.

  Args:
    workdir: may exist.
    active: whether this process is the one that holds it (the first of a multi-process run).
    option: what named it, for messages.

  Raises:
    PosejaxError: it is no folder, cannot be created, or another process holds it.
  """
  if buckets.is_in_one(workdir):
    buckets.check(workdir)
    yield
    return
  try:
    os.makedirs(workdir, exist_ok=True)
    lock = open(os.path.join(workdir, '.lock'), 'w')  # noqa: SIM115
  except OSError as error:
    raise PosejaxError(
      f'Cannot write to the work directory {workdir}: {error.strerror}. Choose another {option}.'
    ) from error
  with lock:
    if active:
      give_up = time.monotonic() + _CLAIM_SECONDS
      while not _hold(lock):
        if time.monotonic() > give_up:
          raise PosejaxError(
            f'Another process is at work in {workdir}. Wait for it, or choose another {option}.'
          )
        time.sleep(0.02)
    yield


def is_claimed(workdir: str) -> bool:
  """Return whether some process holds a work directory, as far as the file system can say."""
  try:
    lock = open(os.path.join(workdir, '.lock'))  # noqa: SIM115
  except OSError:
    return False
  with lock:
    return not _hold(lock)


def _hold(lock: IO) -> bool:
  """Take a lock until its file is closed; return False where another process has it."""
  try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError:
    pass  # a file system without locks; nothing to hold it by
  return True


def newest(folder: str) -> str | None:
  """Return the work directory in `folder` whose newest checkpoint was written last; None without one."""
  times = {}
  for path in glob.glob(os.path.join(glob.escape(folder), '*', 'checkpoints', '[0-9]*')):
    # Not those that are being written, or gone since.
    if os.path.basename(path).isdigit():
      with contextlib.suppress(FileNotFoundError):
        times[path] = os.path.getmtime(path)
  if not times:
    return None
  return os.path.dirname(os.path.dirname(max(times, key=times.get)))
