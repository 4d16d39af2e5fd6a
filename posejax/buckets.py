"""What a run keeps in a bucket, `gs://BUCKET/FOLDER`: through epath and gcsfs.

An object is written whole or not at all, and seen at once by all who read it; nothing can be appended to
it, and nothing locks it. A folder is what names begin with, there as long as something is in it.
"""

from collections.abc import Iterator
import contextlib
import functools
import importlib.util
import os
import tempfile
from typing import TYPE_CHECKING

from posejax.errors import PosejaxError

if TYPE_CHECKING:
  from etils import epath

_SCHEME = 'gs://'
_NEEDED = ('gcsfs', 'google.cloud.storage')


def is_in_one(path: str) -> bool:
  """Return whether a path is a URL, and so no file or folder of this machine."""
  return '://' in path


def at(path: str) -> 'epath.Path':
  """Return a place in a bucket.

  Raises:
    PosejaxError: it is in something else than a bucket of Google's, or what reads those is not installed.
  """
  if not path.startswith(_SCHEME) or not path.removeprefix(_SCHEME).strip('/'):
    raise PosejaxError(
      f'{path} cannot be written to: name a folder of a file system, or one in a bucket, '
      f'{_SCHEME}BUCKET/FOLDER. (Orbax, which writes checkpoints, knows no other buckets; mount those.)'
    )
  for name in _NEEDED:
    if not _is_installed(name):
      raise PosejaxError(f"{path} needs {name}: pip install 'posejax[gcs]', or mount the bucket.")
  _choose_gcsfs()
  from etils import epath

  return epath.Path(path)


@functools.cache
def _choose_gcsfs() -> None:
  """Make epath take gcsfs, with no lists kept, where it would take TensorFlow if that is installed.

  TensorFlow takes seconds to import and has errors of its own; lists that are kept would not show what
  other processes and Orbax's own driver wrote.
  """
  from etils.epath import gpath
  from fsspec import config

  os.environ['EPATH_USE_TF'] = 'false'
  if chosen := getattr(gpath, '_is_tf_installed', None):
    chosen.cache_clear()  # Orbax may have asked already, for a path of this machine
  config.conf.setdefault('gcs', {}).setdefault('use_listings_cache', False)


def _is_installed(name: str) -> bool:
  try:
    return importlib.util.find_spec(name) is not None
  except ModuleNotFoundError:
    return False


def read(path: str) -> bytes:
  """Return an object's content.

  Raises:
    FileNotFoundError: there is none of this name.
    PosejaxError: the bucket cannot be read.
  """
  with _said(path):
    return at(path).read_bytes()


def write(path: str, content: bytes) -> None:
  """Write an object, in place of what is there.

  Raises:
    PosejaxError: there is no such bucket, or it cannot be written to.
  """
  with _said(path, FileNotFoundError):
    at(path).write_bytes(content)


def names(folder: str) -> list[str]:
  """Return what lies in a folder, objects and folders, sorted; nothing where there is no such folder.

  Raises:
    PosejaxError: the bucket cannot be read.
  """
  with _said(folder), contextlib.suppress(FileNotFoundError):
    return sorted(place.name for place in at(folder).iterdir())
  return []


def check(path: str) -> None:
  """Refuse a place in a bucket that is not there.

  Raises:
    PosejaxError: that, or the bucket cannot be read.
  """
  at(path)
  root = '/'.join(path.split('/')[:3])
  with _said(root, FileNotFoundError):
    for _ in at(root).iterdir():
      break


@contextlib.contextmanager
def _said(path: str, *also: type[Exception]) -> Iterator[None]:
  """Say of an error, which may be of any of four libraries, where it was met.

  One of a name that is not there is for the caller, unless it is among `also`.
  """
  try:
    yield
  except PosejaxError:
    raise
  except Exception as error:
    if isinstance(error, FileNotFoundError) and not also:
      raise
    cause = (str(error).strip().splitlines() or [''])[0][:200]
    raise PosejaxError(
      f'{path} could not be reached ({type(error).__name__}: {cause}). The bucket must exist, and this '
      'machine have credentials for it: `gcloud auth application-default login`, or its service account.'
    ) from error


class Mirror:
  """A folder of this machine that stands for one of a bucket: written here, put there now and then.

  So rows can be appended, and libraries write that know nothing of buckets.

  Attributes:
    folder: of this machine, with what the bucket's had when this began.
  """

  def __init__(self, remote: str):
    self._remote = remote
    self._temporary = tempfile.TemporaryDirectory(prefix='posejax-')
    self._put: dict[str, tuple[int, int]] = {}
    self.folder = self._temporary.name

  def fetch(self, *wanted: str) -> None:
    """Bring files here, and all of folders, which end in `/`; what is not there is passed over."""
    for name in wanted:
      inside = [name]
      if name.endswith('/'):
        os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        inside = [name + inner for inner in names(f'{self._remote}/{name}')]
      for file in inside:
        with contextlib.suppress(FileNotFoundError):
          content = read(f'{self._remote}/{file}')
          with open(os.path.join(self.folder, file), 'wb') as here:
            here.write(content)
          self._put[file] = self._state(file)

  def push(self) -> None:
    """Put what was changed here since it was fetched or put."""
    found = {
      os.path.relpath(os.path.join(root, name), self.folder)
      for root, _, files in os.walk(self.folder)
      for name in files
    }
    for name in sorted(found):
      if self._put.get(name) != (state := self._state(name)):
        with open(os.path.join(self.folder, name), 'rb') as file:
          write(f'{self._remote}/{name}', file.read())
        self._put[name] = state

  def close(self) -> None:
    """Put everything, and remove the folder here."""
    try:
      self.push()
    finally:
      self._temporary.cleanup()

  def _state(self, name: str) -> tuple[int, int]:
    found = os.stat(os.path.join(self.folder, name))
    return found.st_size, found.st_mtime_ns
