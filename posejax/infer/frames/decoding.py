"""A user's picture, whatever it is, to RGB, upright unless its pixels are asked for as they lie."""

import struct

import cv2
import numpy as np

from posejax.data.formats import decode
from posejax.errors import PosejaxError
from posejax.infer.frames import headers

MAX_PIXELS = 100_000_000
_ORIENTATION = 0x0112
_ROWS = 64


def decode_picture(
  data: bytes, name: str = 'image', max_pixels: int = MAX_PIXELS, upright: bool = True
) -> np.ndarray:
  """Return an encoded picture as uint8 `[h, w, 3]` RGB.

  JPEG, PNG, WebP, GIF, BMP and TIFF, told apart by their bytes. 16 bits are reduced to 8, grey gets
  three equal channels, CMYK becomes RGB, what is transparent is laid on white, and of an animation it is
  the first frame.

  Args:
    data: the file's bytes.
    name: of the picture in messages.
    max_pixels: of the size that its header declares; looked at before anything is decoded.
    upright: turn it as its EXIF orientation says; else its pixels are as they lie, which is the frame of
      data sets' labels. (A TIFF's OpenCV turns in any case, also where data sets are read.)

  Raises:
    PosejaxError: it is empty, no picture, cut short, visibly corrupt, or too large.
  """
  h, w = headers.declared_size(data, name)
  if h * w > max_pixels:
    raise PosejaxError(
      f'{name}: a picture of {w}x{h} is larger than the limit of {max_pixels / 1e6:g} megapixels. '
      'Scale it down.'
    )
  kind = headers.picture_format(data[: headers.HEAD_BYTES])
  if kind in ('JPEG', 'BMP'):
    # Neither has transparency: the fourth channel of a bitmap is mostly left at 0.
    return decode.decode_image(data, apply_exif=upright, source=name)
  if kind == 'PNG':
    data = decode.still_png(data, name)
  try:
    # Only the flag that keeps transparency keeps 16 bits, grey and the unturned picture as well.
    image, kinds, metadata = cv2.imdecodeWithMetadata(
      np.frombuffer(data, np.uint8), flags=cv2.IMREAD_UNCHANGED
    )
  except cv2.error:
    image = None
  if image is None:
    raise PosejaxError(
      f'{name}: a {kind} picture that OpenCV cannot decode, or cut short ({len(data)} bytes). '
      'Fetch the file again or leave it out.'
    )
  if image.dtype == np.uint16:
    image = cv2.convertScaleAbs(image, alpha=1 / 257)
  if image.dtype != np.uint8:
    raise PosejaxError(
      f'{name}: a {kind} picture with {image.dtype} pixels; 8 and 16 bits a channel can be read. '
      'Convert it.'
    )
  image = _to_rgb(image, premultiplied=kind == 'TIFF')
  if not upright:
    return image
  exif = dict(zip(np.ravel(kinds).tolist(), metadata, strict=True)).get(cv2.IMAGE_METADATA_EXIF)
  # OpenCV has turned a TIFF already.
  return image if exif is None or kind == 'TIFF' else _turn(image, bytes(exif))


def read_picture(path: str, max_pixels: int = MAX_PIXELS, upright: bool = True) -> np.ndarray:
  """Return a picture file as `decode_picture` does; a file that is no picture is not read whole.

  Raises:
    PosejaxError: as there, or the file cannot be read.
  """
  try:
    with open(path, 'rb') as file:
      data = file.read(headers.HEAD_BYTES)
      if headers.picture_format(data) in headers.READABLE:
        data += file.read()
  except OSError as error:
    raise PosejaxError(f'{path}: cannot be read: {error.strerror}.') from error
  return decode_picture(data, path, max_pixels, upright)


def _to_rgb(image: np.ndarray, premultiplied: bool) -> np.ndarray:
  """Return grey, BGR or BGRA as RGB, laid on white where it is transparent."""
  channels = 1 if image.ndim == 2 else image.shape[2]
  if channels == 1:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
  if channels == 3:
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
  rgb = np.empty((*image.shape[:2], 3), np.uint8)
  # In strips: a whole picture's wider numbers take several times its bytes.
  for top in range(0, len(image), _ROWS):
    rows = slice(top, top + _ROWS)
    alpha = image[rows, :, 3:].astype(np.uint16)
    colors = image[rows, :, 2::-1].astype(np.uint16)
    if premultiplied:
      rgb[rows] = np.minimum(colors + 255 - alpha, 255)
    else:
      rgb[rows] = (colors * alpha + 255 * (255 - alpha) + 127) // 255
  return rgb


def _turn(image: np.ndarray, exif: bytes) -> np.ndarray:
  """Return a picture turned as its EXIF orientation says; as it is where that makes no sense."""
  try:
    orientation = headers.tiff_tags(exif.removeprefix(b'Exif\0\0')).get(_ORIENTATION, 1)
  except struct.error:
    return image
  if orientation not in range(2, 9):
    return image
  # Source: CIPA DC-008 (EXIF 3.0), tag 274: which edges of the scene the first row and column are.
  if orientation >= 5:
    image = image.transpose(1, 0, 2)
  if orientation in (3, 4, 7, 8):
    image = image[::-1]
  if orientation in (2, 3, 6, 7):
    image = image[:, ::-1]
  return np.ascontiguousarray(image)
