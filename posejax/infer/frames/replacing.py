"""Files that are there whole or not at all."""

from collections.abc import Iterator
import contextlib
import os

from posejax.errors import PosejaxError, is_disk_full


class Replacement:
  """A file written under a temporary name beside its target, and renamed to it when it is whole.

  Attributes:
    path: the target.
    temporary: where to write; its ending is the target's, by which writers tell formats.

  Raises:
    PosejaxError: the target's folder does not exist or is none.
  """

  def __init__(self, path: str):
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
    os.replace(self.temporary, self.path)

  def discard(self) -> None:
    """Remove what was written; fine where nothing was."""
    with contextlib.suppress(FileNotFoundError):
      os.remove(self.temporary)

  def explain(self, error: BaseException) -> PosejaxError:
    """Return what to tell a user about an error on writing."""
    if is_disk_full(error):
      return PosejaxError(
        f'{self.path}: the disk or its quota is full; the unfinished file was removed. Make room, or '
        'write elsewhere.'
      )
    return PosejaxError(f'{self.path}: cannot be written: {error}.')


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
  """Give a temporary name to write to, which takes the target's place when the block ends well.

  Raises:
    PosejaxError: the block raised an OSError: the disk is full, or writing is not allowed.
  """
  file = Replacement(path)
  try:
    yield file.temporary
    file.commit()
  except OSError as error:
    raise file.explain(error) from error
  finally:
    file.discard()
