"""A folder of pictures without labels."""

from collections.abc import Callable
import dataclasses
import os

import numpy as np

from posejax.data.formats import decode, pictures
from posejax.errors import PosejaxError

ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')


@dataclasses.dataclass(frozen=True)
class Pictures:
  """The pictures of a folder and of the folders in it.

  Attributes:
    folder: where they lie.
    sizes: file name relative to `folder` -> (h, w) in pixels as they lie, EXIF orientation left aside.
    left_out: reason -> how many.
  """

  folder: str
  sizes: dict[str, tuple[int, int]]
  left_out: dict[str, int]

  def read(self, name: str) -> np.ndarray:
    """Return the picture of a name, uint8 `[h, w, 3]` RGB."""
    return decode.decode_image(_content(os.path.join(self.folder, name)), source=name)


def find(folder: str, on_error: str, progress: Callable = iter) -> Pictures:
  """Look at the pictures of a folder.

  Args:
    folder: searched with its subfolders for `ENDINGS`.
    on_error: a broken picture: 'raise' names it, 'skip' leaves it out, counted.
    progress: wraps the list of file names.

  Raises:
    PosejaxError: no such folder, no picture in it, or a broken one.
  """
  if not os.path.isdir(folder):
    raise PosejaxError(f'--images={folder} is not a folder.')
  names = sorted(name for name in pictures.files_below(folder) if name.lower().endswith(ENDINGS))
  sizes, faults = {}, pictures.Faults()
  for name in progress(names):
    path = os.path.join(folder, name)
    try:
      sizes[name] = pictures.check_picture(_content(path), path, thorough=on_error == 'skip')
    except (PosejaxError, OSError) as error:
      faults.add_broken('broken pictures', str(error))
  faults.settle(folder, on_error, len(names))
  if not sizes:
    raise PosejaxError(f'--images={folder} has no picture that can be read ({", ".join(ENDINGS)}).')
  return Pictures(folder, sizes, dict(faults.counts))


def _content(path: str) -> bytes:
  with open(path, 'rb') as file:
    return file.read()
