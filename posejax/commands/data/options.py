"""Options that several of these commands have, checked before the work begins."""

from collections.abc import Sequence
import os

from posejax.errors import PosejaxError

PICTURES = ('.png', '.jpg')


def positive(name: str, value: int) -> int:
  """Return `value`, or refuse it where it is below 1."""
  if value < 1:
    raise PosejaxError(f'{name}={value} must be at least 1.')
  return value


def file_to_write(name: str, path: str, endings: Sequence[str]) -> str:
  """Make the folder of a file that is to be written; return the file's path.

  Args:
    name: of the option, in messages.
    path: of the file.
    endings: that it may have.

  Raises:
    PosejaxError: it has another ending, is a folder, or its folder can't be made or written to.
  """
  if os.path.splitext(path)[1].lower() not in endings:
    raise PosejaxError(f'{name}={path} must end in {" or ".join(endings)}.')
  if os.path.isdir(path):
    raise PosejaxError(f'{name}={path} is a folder; name a file.')
  folder_to_write(name, os.path.dirname(path) or '.')
  return path


def folder_to_write(name: str, path: str) -> str:
  """Make a folder where there is none; return its path, or refuse one that can't be written to."""
  try:
    os.makedirs(path, exist_ok=True)
  except OSError as error:
    raise PosejaxError(f'{name}: cannot make the folder {path}: {error.strerror}.') from error
  if not os.access(path, os.W_OK):
    raise PosejaxError(f'{name}: the folder {path} cannot be written to; choose another.')
  return path
