"""Files that are there whole or not at all, of this machine or in a bucket."""

from collections.abc import Iterator
import contextlib
import os
import tempfile

from posejax import buckets
from posejax.errors import PosejaxError, is_disk_full


class Replacement:
  """A file written under a temporary name beside its target, and renamed to it when it is whole.

  One in a bucket is written here, and put there.

  Attributes:
    path: the target.
    temporary: where to write; its ending is the target's, by which writers tell formats.

  Raises:
    PosejaxError: the target's folder does not exist or is none.
  """

  def __init__(self, path: str):
    if buckets.is_in_one(path):
      self.path = path
      handle, self.temporary = tempfile.mkstemp(os.path.splitext(path)[1], 'posejax-')
      os.close(handle)
      return
    folder, name = os.path.split(os.path.abspath(path))
    if not os.path.isdir(folder):
      raise PosejaxError(f'{path}: there is no folder {folder}. Make it, or name another.')
    if os.path.isdir(path):
      raise PosejaxError(f'{path}: this is a folder; a file was to be written there.')
    root, ending = os.path.splitext(name)
    self.path = path
    self.temporary = os.path.join(folder, f'.{root}.{os.getpid()}{ending}')

  def commit(self) -> None:
    """Put the file in its target's place."""
    if buckets.is_in_one(self.path):
      with open(self.temporary, 'rb') as file:
        buckets.write(self.path, file.read())
    else:
      os.replace(self.temporary, self.path)

  def discard(self) -> None:
    """Remove what was written; fine where nothing was."""
    with contextlib.suppress(FileNotFoundError):
      os.remove(self.temporary)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
  """Give a temporary name to write to, which takes the target's place when the block ends well.

  A kill leaves either the old file or the new one. What must survive a loss of power too, `sync` first.
  """
  file = Replacement(path)
  try:
    yield file.temporary
    file.commit()
  finally:
    file.discard()


def replace(path: str, content: bytes) -> None:
  """Write a file so that a kill, or a loss of power, leaves either the old one or the new one."""
  with replacing(path) as temporary:
    with open(temporary, 'wb') as file:
      file.write(content)
    sync(temporary)


def read(path: str) -> bytes:
  """Return a file's content.

  Raises:
    FileNotFoundError: there is none.
    PosejaxError: it is in a bucket that cannot be read.
  """
  if buckets.is_in_one(path):
    return buckets.read(path)
  with open(path, 'rb') as file:
    return file.read()


def is_folder(path: str) -> bool:
  """Return whether a folder is there."""
  return bool(buckets.names(path)) if buckets.is_in_one(path) else os.path.isdir(path)


def sync(path: str) -> None:
  """Wait until a file has reached the disk, which takes many times as long as writing it."""
  with open(path, 'rb+') as file:
    os.fsync(file.fileno())


def explain(path: str, error: BaseException) -> PosejaxError:
  """Return what to tell a user about an error on writing a file of theirs."""
  if is_disk_full(error):
    return PosejaxError(
      f'{path}: the disk or its quota is full; the unfinished file was removed. Make room, or '
      'write elsewhere.'
    )
  return PosejaxError(f'{path}: cannot be written: {error}.')
