"""What a file is and how large its picture says it is, by its first bytes alone."""

import struct

from posejax.data.formats import pictures
from posejax.errors import PosejaxError

READABLE = ('JPEG', 'PNG', 'WebP', 'GIF', 'BMP', 'TIFF')
HEAD_BYTES = 32
# ISO base media brands that are pictures and no films. Source: MP4 registration authority, mp4ra.org.
_PICTURE_BRANDS = {
  b'heic': 'HEIC',
  b'heix': 'HEIC',
  b'heim': 'HEIC',
  b'heis': 'HEIC',
  b'mif1': 'HEIF',
  b'avif': 'AVIF',
}
_PICTURES = (
  (b'\xff\xd8\xff', 'JPEG'),
  (b'\x89PNG\r\n\x1a\n', 'PNG'),
  (b'GIF87a', 'GIF'),
  (b'GIF89a', 'GIF'),
  (b'II*\0', 'TIFF'),
  (b'MM\0*', 'TIFF'),
  (b'II+\0', 'BigTIFF'),
  (b'MM\0+', 'BigTIFF'),
  (b'8BPS', 'Photoshop'),
  (b'\0\0\0\x0cJXL ', 'JPEG XL'),
  (b'\xff\x0a', 'JPEG XL'),
  (b'\0\0\0\x0cjP  ', 'JPEG 2000'),
)
# MP4 and QuickTime, Matroska and WebM, Ogg, Flash, MPEG program streams, Windows Media.
_FILMS = (
  b'\x1a\x45\xdf\xa3',
  b'OggS',
  b'FLV\x01',
  b'\0\0\x01\xba',
  b'\x30\x26\xb2\x75\x8e\x66\xcf\x11',
)
_QUICKTIME_ATOMS = (b'ftyp', b'moov', b'mdat', b'wide')


def picture_format(head: bytes) -> str | None:
  """Return the name of the picture format that a file's first `HEAD_BYTES` bytes show, or None.

  Formats that cannot be read here have names too, for messages: see `READABLE`.
  """
  if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
    return 'WebP'
  if head[4:8] == b'ftyp':
    return _PICTURE_BRANDS.get(head[8:12])
  # Two letters are too few to tell a bitmap from a text: its reserved fields are zero too.
  if head[:2] == b'BM' and head[6:10] == b'\0\0\0\0':
    return 'BMP'
  for magic, name in _PICTURES:
    if head.startswith(magic):
      return name
  return None


def is_film(head: bytes) -> bool:
  """Return whether a file's first bytes are those of a common film format."""
  if head[:4] == b'RIFF':
    return head[8:12] == b'AVI '
  return (head[4:8] in _QUICKTIME_ATOMS and picture_format(head) is None) or head.startswith(_FILMS)


def declared_size(data: bytes, name: str) -> tuple[int, int]:
  """Return the (h, w) that a picture declares, before any rotation, without decoding it.

  Args:
    data: the file.
    name: of the picture in messages.

  Raises:
    PosejaxError: it is no picture of a format in `READABLE`, or its header is damaged.
  """
  kind = picture_format(data[:HEAD_BYTES])
  if kind not in READABLE:
    what = 'no picture' if kind is None else f'a picture in {kind} format'
    what = 'empty (0 bytes)' if not data else f'{what} (its first bytes are {bytes(data[:8])!r})'
    raise PosejaxError(
      f'{name}: it is {what}; {", ".join(READABLE[:-1])} and {READABLE[-1]} pictures can be read. '
      'Convert it, or leave it out.'
    )
  try:
    h, w = pictures.picture_size(data, name) if kind == 'JPEG' else _SIZES[kind](data)
  except (struct.error, KeyError):
    h, w = 0, 0
  if h <= 0 or w <= 0:
    raise PosejaxError(
      f'{name}: the header of this {kind} picture ({len(data)} bytes) is damaged or cut short. '
      'Fetch the file again or leave it out.'
    )
  return h, w


def _png(data: bytes) -> tuple[int, int]:
  w, h = struct.unpack_from('>II', data, 16)
  return (h, w) if data[12:16] == b'IHDR' else (0, 0)


def _gif(data: bytes) -> tuple[int, int]:
  w, h = struct.unpack_from('<HH', data, 6)
  return h, w


def _bmp(data: bytes) -> tuple[int, int]:
  # Rows from the top are told by a negative height; the oldest header has 16-bit fields.
  oldest = struct.unpack_from('<I', data, 14)[0] == 12
  w, h = struct.unpack_from('<HH' if oldest else '<ii', data, 18)
  return abs(h), w


def _webp(data: bytes) -> tuple[int, int]:
  # Source: RFC 9649, sections 2.5 to 2.7.
  chunk = data[12:16]
  if chunk == b'VP8X':
    low_w, high_w, low_h, high_h = struct.unpack_from('<HBHB', data, 24)
    return (high_h << 16 | low_h) + 1, (high_w << 16 | low_w) + 1
  if chunk == b'VP8L':
    bits = struct.unpack_from('<I', data, 21)[0]
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
  if chunk == b'VP8 ':
    w, h = struct.unpack_from('<HH', data, 26)
    return h & 0x3FFF, w & 0x3FFF
  return 0, 0


def _tiff(data: bytes) -> tuple[int, int]:
  # Of a size given twice, or as another kind of number, decoders make what they like.
  w, h = ([value for tag, value in _tiff_entries(data) if tag == wanted] for wanted in (256, 257))
  return (h[0] or 0, w[0] or 0) if len(h) == len(w) == 1 else (0, 0)


def tiff_tags(data: bytes) -> dict[int, int]:
  """Return the first value of every tag of short or long integers in a TIFF's first directory.

  EXIF is a TIFF directory too. Of a tag given twice the last value counts.

  Raises:
    struct.error: it is cut short.
  """
  return {tag: value for tag, value in _tiff_entries(data) if value is not None}


def _tiff_entries(data: bytes) -> list[tuple[int, int | None]]:
  """Return tags with their first values; None where that is no short or long integer."""
  order = '>' if data[:2] == b'MM' else '<'
  (start,) = struct.unpack_from(f'{order}I', data, 4)
  (count,) = struct.unpack_from(f'{order}H', data, start)
  entries = []
  for i in range(count):
    tag, kind = struct.unpack_from(f'{order}HH', data, start + 2 + 12 * i)
    layout, value = {3: 'H', 4: 'I'}.get(kind), None
    if layout:
      (value,) = struct.unpack_from(order + layout, data, start + 10 + 12 * i)
    entries.append((tag, value))
  return entries


_SIZES = {'PNG': _png, 'GIF': _gif, 'BMP': _bmp, 'WebP': _webp, 'TIFF': _tiff}
