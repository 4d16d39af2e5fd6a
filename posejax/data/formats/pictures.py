"""Picture files: find them, look at them without decoding, and say what is wrong with them."""

from collections import Counter
from collections.abc import Iterable
import logging
import os

import cv2
import numpy as np

from posejax.data.formats import decode
from posejax.errors import PosejaxError

_LOG = logging.getLogger(__name__)
_NAMED = 10
BROKEN = ('missing pictures', 'broken pictures')
# Start-of-frame markers, which hold the size; C4, C8 and CC between them mean other things.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a length, and the zero that makes none of them. Source: ITU T.81, table B.1.
_ALONE = {0x00, 0x01, *range(0xD0, 0xDA)}


def picture_size(data: bytes, name: str = 'image') -> tuple[int, int]:
  """Return (h, w) of an encoded picture as its pixels lie, EXIF orientation left aside.

  Of a JPEG only the header is read (microseconds); others are decoded.

  Raises:
    PosejaxError: this is no picture.
  """
  if data[:2] != b'\xff\xd8':
    return decode.decode_image(data, source=name).shape[:2]
  position = 2
  while position + 9 <= len(data) and data[position] == 0xFF:
    code = data[position + 1]
    if code in _FRAMES:
      h, w = data[position + 5 : position + 7], data[position + 7 : position + 9]
      return int.from_bytes(h, 'big'), int.from_bytes(w, 'big')
    if code == 0xFF:
      position += 1
    elif code in _ALONE:
      position += 2
    else:
      position += 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
  raise PosejaxError(
    f'{name}: a JPEG without a header ({len(data)} bytes). Fetch the file again or leave it out.'
  )


def check_picture(data: bytes, name: str, thorough: bool = False) -> tuple[int, int]:
  """Return (h, w) of an encoded picture, or say what is wrong with it.

  A JPEG's markers tell whether it is cut short or holds foreign bytes, at a thirtieth of the cost of
  decoding it.

  Args:
    data: the file's bytes.
    name: of the picture in messages.
    thorough: decode it too (at an eighth of its size), which finds what the markers don't.

  Raises:
    PosejaxError: it is no picture, cut short or visibly corrupt.
  """
  size = picture_size(data, name)
  if data[:2] != b'\xff\xd8':
    return size  # it took decoding
  fault = decode._jpeg_fault(data)
  if fault is None and thorough:
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
    try:
      decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
      decoded = None
    if decoded is None:
      fault = 'a picture that OpenCV cannot decode'
  if fault is not None:
    raise PosejaxError(
      f'{name}: {fault} ({len(data)} bytes). Fetch the file again or leave it out.'
    )
  return size


def files_below(folder: str) -> set[str]:
  """Return the files of a folder and of the folders in it, as paths relative to it with `/`."""
  found = set()
  for directory, _, names in os.walk(folder, followlinks=True):
    below = os.path.relpath(directory, folder).replace(os.sep, '/')
    found.update(names if below == '.' else (f'{below}/{name}' for name in names))
  return found


class Faults:
  """What is left out while a data set is read: counted, named, and refused or logged at the end.

  Attributes:
    counts: reason -> how many, of everything left out on purpose (crowds, …) or for a fault.
    broken: reason and name of every picture that is missing or broken.
  """

  def __init__(self):
    self.counts: Counter[str] = Counter()
    self.broken: list[str] = []

  def add_broken(self, kind: str, message: str) -> None:
    """Note a picture that is missing or broken; `kind` is one of `BROKEN`."""
    self.counts[kind] += 1
    self.broken.append(message)

  def settle(self, what: str, on_error: str, total: int) -> None:
    """Log what was left out, or refuse.

    Args:
      what: the data set, in messages.
      on_error: 'raise' refuses broken and missing pictures, 'skip' logs them.
      total: pictures there should be.

    Raises:
      PosejaxError: names the first ten broken pictures, counts all.
    """
    if self.broken and on_error == 'raise':
      raise PosejaxError(
        f'{what}: {len(self.broken)} of {total} pictures are missing or broken:\n'
        f'{listed(self.broken)}\n'
        "Fetch them again, or set config.data.on_error='skip' to do without them."
      )
    if self.counts:
      counted = ', '.join(f'{n} {reason}' for reason, n in sorted(self.counts.items()))
      names = f'\n{listed(self.broken)}' if self.broken else ''
      _LOG.warning('%s: left out %s.%s', what, counted, names)


def listed(lines: Iterable[str]) -> str:
  """Return lines, indented, the first ten of them."""
  lines = list(lines)
  more = [f'  … and {len(lines) - _NAMED} more'] if len(lines) > _NAMED else []
  return '\n'.join([f'  {line}' for line in lines[:_NAMED]] + more)
