"""Encoded pictures to arrays."""

import struct

import cv2
import numpy as np

from posejax.errors import PosejaxError

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# What may stand between a JPEG's scans: tables (DHT, DQT, DNL, DRI), scans, applications' data,
# comments.
_BETWEEN_SCANS = {0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
# Which byte after FF makes it a segment's marker, and no escaped FF, fill byte or restart marker.
_IS_MARKER = np.ones(256, bool)
_IS_MARKER[[0x00, *range(0xD0, 0xD8), 0xFF]] = False
_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# What makes up a PNG's picture. The others are texts, colour profiles and the frames of animations.
_PNG_CHUNKS = {b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND', b'eXIf'}


def decode_image(
  image: bytes | np.ndarray, apply_exif: bool = False, source: str = 'image'
) -> np.ndarray:
  """Return a picture as uint8 `[h, w, 3]` RGB.

  Args:
    image: an encoded picture (JPEG, PNG, WebP, …), or an array that is already decoded, which comes
      back as it is. Grey pictures get three equal channels; transparency is dropped.
    apply_exif: turn the picture as its EXIF orientation says. Right for a user's own pictures; wrong
      for data sets, whose labels were drawn on the unturned picture.
    source: the picture's name in error messages.

  Raises:
    PosejaxError: this is no picture, or a truncated or visibly corrupt one. A JPEG whose damage
      leaves its markers in order decodes to a damaged picture without a word from any decoder.
  """
  if isinstance(image, np.ndarray):
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
      raise PosejaxError(
        f'{source}: expected a uint8 array [h, w, 3] in RGB, got {image.dtype} {image.shape}.'
      )
    return image
  flags = cv2.IMREAD_COLOR_RGB | (0 if apply_exif else cv2.IMREAD_IGNORE_ORIENTATION)
  decoded = None
  if image.startswith(_PNG_SIGNATURE):
    image = still_png(image, source)
  if image:
    try:
      decoded = cv2.imdecode(np.frombuffer(image, np.uint8), flags)
    except cv2.error as error:
      raise PosejaxError(f'{source}: OpenCV cannot decode it: {error}') from error
  fault = _jpeg_fault(image) if image[:2] == b'\xff\xd8' else None
  if fault is None and decoded is None:
    fault = 'not a picture that OpenCV can decode, or cut short'
  if fault is not None:
    raise PosejaxError(
      f'{source}: {fault} ({len(image)} bytes, the first are {bytes(image[:8])!r}). '
      'Fetch the file again or leave it out.'
    )
  return decoded


def still_png(data: bytes, name: str) -> bytes:
  """Return a PNG with what makes up its first picture, and check that its chunks are all there.

  OpenCV 5 takes as much memory as a chunk says it has, 4 GiB for a file of 166 bytes, before it looks
  whether that is there.

  Raises:
    PosejaxError: it is cut short.
  """
  kept = [data[:8]]
  position, kind = 8, b''
  while kind != b'IEND':
    if position + 12 > len(data):
      break
    length, kind = struct.unpack_from('>I4s', data, position)
    end = position + 12 + length
    if end > len(data):
      break
    if kind in _PNG_CHUNKS:
      kept.append(data[position:end])
    position = end
  else:
    return b''.join(kept)
  raise PosejaxError(
    f'{name}: a PNG picture cut short or damaged at byte {position} of {len(data)}. '
    'Fetch the file again or leave it out.'
  )


def _jpeg_fault(data: bytes) -> str | None:
  """Return what is wrong with the order of a JPEG's markers, or None.

  OpenCV decodes a JPEG with foreign bytes in its middle silently. This walks the segments (a
  thumbnail's own end marker lies inside one) and looks at the coded data between them, where FF is
  followed by 00, a restart marker (D0 to D7) or more FF, and anything else is a segment's marker.
  """
  # In NumPy: a regular expression took as long as decoding the picture.
  values = np.frombuffer(data, np.uint8)
  places = np.flatnonzero(values[:-1] == 0xFF)
  places = places[_IS_MARKER[values[places + 1]]]
  position, scanned = 2, False
  for place in places.tolist():
    if place < position:
      continue
    code = data[place + 1]
    if code == _END_OF_IMAGE and scanned:
      return None
    if scanned and code not in _BETWEEN_SCANS:
      return f'a corrupt JPEG: marker FF{code:02X} in its image data at byte {place}'
    scanned |= code == _START_OF_SCAN
    position = place + 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
  return 'a JPEG cut short: it has no end marker'
