import io
import struct
import time

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image, ImageOps
import pytest

from posejax.errors import PosejaxError
from posejax.infer.frames import decoding, headers

H, W = 40, 64
_ROWS, _COLUMNS = np.mgrid[:H, :W]
RGB = np.stack([_COLUMNS * 4, _ROWS * 6, _COLUMNS + 2 * _ROWS], -1).astype(np.uint8)
PICTURE = Image.fromarray(RGB)
FADED = Image.fromarray(np.dstack([RGB, np.uint8(_COLUMNS * 4)]))
PALETTE = PICTURE.quantize(16)
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF')


def encode(picture, form, **options):
  if form == 'WEBP':
    options['lossless'] = True
  file = io.BytesIO()
  picture.save(file, form, **options)
  return file.getvalue()


def reference(data):
  """Return a picture as Pillow reads it: upright, on white, 8 bits."""
  with Image.open(io.BytesIO(data)) as picture:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith('I;16'):
      picture = Image.fromarray((np.asarray(picture) / 257).round().astype(np.uint8))
    if 'A' in picture.mode or 'transparency' in picture.info:
      picture = picture.convert('RGBA')
      white = Image.new('RGBA', picture.size, 'white')
      white.alpha_composite(picture)
      picture = white
    return np.asarray(picture.convert('RGB'))


def exif(orientation):
  tags = Image.Exif()
  tags[0x0112] = orientation
  return tags


def cv_encode(ending, image):
  return cv2.imencode(ending, image)[1].tobytes()


SIXTEEN = RGB[..., ::-1].astype(np.uint16) * 257
KINDS = {
  **{form: encode(PICTURE, form) for form in FORMATS},
  '16-bit PNG': cv_encode('.png', SIXTEEN),
  '16-bit TIFF': cv_encode('.tif', SIXTEEN),
  '16-bit grey': cv_encode('.png', SIXTEEN[..., 0]),
  'grey JPEG': encode(PICTURE.convert('L'), 'JPEG'),
  'grey PNG': encode(PICTURE.convert('L'), 'PNG'),
  'grey TIFF': encode(PICTURE.convert('L'), 'TIFF'),
  'black and white': encode(PICTURE.convert('1'), 'PNG'),
  'palette': encode(PALETTE, 'PNG'),
  'palette BMP': encode(PALETTE, 'BMP'),
  'CMYK JPEG': encode(PICTURE.convert('CMYK'), 'JPEG'),
  'CMYK TIFF': encode(PICTURE.convert('CMYK'), 'TIFF'),
  'progressive': encode(PICTURE, 'JPEG', progressive=True),
  'alpha PNG': encode(FADED, 'PNG'),
  'alpha WebP': encode(FADED, 'WEBP'),
  'alpha TIFF': encode(FADED, 'TIFF'),
  'grey alpha': encode(FADED.convert('LA'), 'PNG'),
  'transparent colour': encode(PALETTE, 'PNG', transparency=3),
  'transparent GIF': encode(PALETTE, 'GIF', transparency=3),
  'alpha turned': encode(FADED, 'PNG', exif=exif(6)),
  **{
    f'animated {form}': encode(
      PICTURE, form, save_all=True, append_images=[ImageOps.invert(PICTURE), PICTURE], duration=90
    )
    for form in ('GIF', 'PNG', 'WEBP')
  },
  **{
    f'{form} orientation {o}': encode(PICTURE, form, exif=exif(o))
    for o in range(1, 9)
    for form in ('JPEG', 'PNG', 'WEBP', 'TIFF')
  },
}


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_comes_out_as_pillow_reads_it(kind):
  data = KINDS[kind]
  expected = reference(data)
  found = decoding.decode_picture(data, 'picture')
  assert found.dtype == np.uint8
  assert found.shape == expected.shape
  assert found.flags.c_contiguous
  # CMYK and JPEG are rounded in their own ways.
  assert np.abs(found.astype(int) - expected).max() <= 2


def test_where_the_orientations_lead():
  """The reference above turns pictures too; this one is EXIF's own table, tag 274."""
  corner = np.zeros((H, W, 3), np.uint8)
  corner[:8, :16] = 255  # the first row and column meet here
  places = ['tl', 'tr', 'br', 'bl', 'tl', 'tr', 'br', 'bl']
  for orientation, place in enumerate(places, 1):
    data = encode(Image.fromarray(corner), 'PNG', exif=exif(orientation))
    found = decoding.decode_picture(data)
    assert found.shape == ((H, W, 3) if orientation < 5 else (W, H, 3))
    y, x = (0 if place[0] == 't' else -1), (0 if place[1] == 'l' else -1)
    assert found[y, x].tolist() == [255, 255, 255], orientation
    assert found[..., 0].sum() == 255 * 8 * 16


@pytest.mark.parametrize('share', [0.2, 0.6, 0.95])
@pytest.mark.parametrize('kind', [*FORMATS, 'alpha PNG', 'alpha WebP', 'alpha TIFF', '16-bit PNG'])
def test_cut_short(kind, share):
  data = KINDS[kind]
  with pytest.raises(PosejaxError, match='holiday.jpg'):
    decoding.decode_picture(data[: int(share * len(data))], 'holiday.jpg')


@pytest.mark.parametrize(
  ('data', 'says'),
  [
    (b'', r'empty \(0 bytes\)'),
    (b'<html>not found</html>', 'no picture'),
    (b'BM', 'no picture'),
    (b'\xff\xd8\xff', 'holiday'),
    (b'\0\0\0\x18ftypheic' + bytes(40), 'HEIC'),
    (b'\0\0\0\x18ftypmp42' + bytes(40), 'no picture'),
    (b'\x89PNG\r\n\x1a\n' + bytes(8), 'damaged'),
  ],
)
def test_no_picture(data, says):
  with pytest.raises(PosejaxError, match=says) as raised:
    decoding.decode_picture(data, 'holiday.jpg')
  assert str(raised.value).startswith('holiday.jpg: ')


def bombs():
  """Return tiny files of every format that declare 30,000x30,000 pixels."""
  n = 30_000
  png = bytearray(KINDS['PNG'])
  png[16:24] = struct.pack('>II', n, n)
  gif = bytearray(KINDS['GIF'])
  gif[6:10] = struct.pack('<HH', n, n)
  bmp = bytearray(KINDS['BMP'])
  bmp[18:26] = struct.pack('<ii', n, -n)
  jpeg = bytearray(KINDS['JPEG'])
  place = jpeg.index(b'\xff\xc0')
  jpeg[place + 5 : place + 9] = struct.pack('>HH', n, n)
  webp = bytearray(KINDS['alpha WebP'])
  assert webp[12:16] == b'VP8L'
  webp[21:25] = struct.pack('<I', 16_382 | 16_382 << 14)
  extended = bytearray(KINDS['animated WEBP'])
  assert extended[12:16] == b'VP8X'
  extended[24:30] = (n - 1).to_bytes(3, 'little') * 2
  tiff = bytearray(KINDS['TIFF'])
  for tag in (256, 257):
    place = tiff.index(struct.pack('<HHI', tag, 4, 1))
    tiff[place : place + 12] = struct.pack('<HHII', tag, 4, 1, n)
  return {
    'png': png, 'gif': gif, 'bmp': bmp, 'jpg': jpeg, 'webp': webp, 'extended': extended, 'tif': tiff,
  }  # fmt: skip


@pytest.mark.parametrize('kind', list(bombs()))
def test_a_huge_size_is_refused_before_decoding(kind):
  data = bytes(bombs()[kind])
  assert len(data) < 12_000
  with pytest.raises(PosejaxError, match='larger than the limit of 100 megapixels'):
    decoding.decode_picture(data, 'holiday')


def small_on_its_face(marker):
  """Return a JPEG whose segment after a marker without length is read as a frame of 10x10 by some."""
  jpeg = KINDS['JPEG']
  frame = b'\xff\xc0' + struct.pack('>HBHHB', 11, 8, 10, 10, 1)
  # Taken for a length, the marker of the next segment leads to its end.
  segment = bytes(0xFFE0 - 4) + frame
  return jpeg[:2] + marker + b'\xff\xe0' + struct.pack('>H', len(segment) + 2) + segment + jpeg[2:]


@pytest.mark.parametrize('marker', [b'\xff\x01', b'\xff\xd0', b'\xff\xd7', b'\xff\x00'])
def test_a_marker_without_length_hides_no_size(marker):
  with pytest.raises(PosejaxError, match=f'{W}x{H} is larger than'):
    decoding.decode_picture(small_on_its_face(marker), max_pixels=H * W - 1)


def sizes_twice(kind):
  """Return a TIFF that gives its size, and before it another as integers of some kind."""
  tiff = bytearray(KINDS['TIFF'])
  (start,) = struct.unpack_from('<I', tiff, 4)
  (count,) = struct.unpack_from('<H', tiff, start)
  entries = tiff[start + 2 : start + 2 + 12 * count]
  other = b''.join(struct.pack('<HHII', tag, kind, 1, n) for tag, n in ((256, 9), (257, 7)))
  directory = struct.pack('<H', count + 2) + other + entries + bytes(4)
  return bytes(tiff[:4] + struct.pack('<I', len(tiff)) + tiff[8:] + directory)


@pytest.mark.parametrize('kind', [1, 4, 9, 16])
def test_a_tiff_of_two_sizes_is_refused(kind):
  with pytest.raises(PosejaxError, match='header of this TIFF picture .* is damaged'):
    decoding.decode_picture(sizes_twice(kind))


@pytest.mark.parametrize('kind', FORMATS)
def test_the_limit_is_a_parameter(kind):
  data = KINDS[kind]
  assert headers.declared_size(data, 'a') == (H, W)
  assert decoding.decode_picture(data, max_pixels=H * W).shape == (H, W, 3)
  with pytest.raises(PosejaxError, match=f'{W}x{H}'):
    decoding.decode_picture(data, max_pixels=H * W - 1)


def test_lossy_webp_declares_its_size():
  file = io.BytesIO()
  PICTURE.save(file, 'WEBP', quality=80)
  assert file.getvalue()[12:16] == b'VP8 '
  assert headers.declared_size(file.getvalue(), 'a') == (H, W)


def test_a_png_chunk_that_says_it_has_4_gib():
  data = bytearray(KINDS['PNG'])
  place = data.index(b'IDAT') - 4
  data[place] = 0xFE
  began = time.perf_counter()
  with pytest.raises(PosejaxError, match=f'damaged at byte {place}'):
    decoding.decode_picture(bytes(data), 'holiday')
  assert time.perf_counter() - began < 1  # memory for it takes longer


def test_reading_files(tmp_path):
  path = tmp_path / 'wrongly named.jpg'
  path.write_bytes(KINDS['PNG'])
  np.testing.assert_array_equal(decoding.read_picture(str(path)), RGB)
  with pytest.raises(PosejaxError, match='No such file'):
    decoding.read_picture(str(tmp_path / 'none.jpg'))
  with pytest.raises(PosejaxError, match='directory'):
    decoding.read_picture(str(tmp_path))


def check(data):
  said = ''
  try:
    found = decoding.decode_picture(bytes(data), 'fuzz', max_pixels=200_000)
  except PosejaxError as error:
    said = str(error)
  if said:
    assert said.startswith('fuzz: ')
  else:
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert found.shape[2] == 3


@settings(max_examples=300, deadline=None)
@given(
  kind=st.sampled_from(sorted(KINDS)),
  places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
  in_header=st.booleans(),
  cut=st.floats(0, 1) | st.none(),
)
def test_damaged_pictures_are_pictures_or_one_sentence(kind, places, in_header, cut):
  data = bytearray(KINDS[kind])
  reach = min(len(data), 200) if in_header else len(data)
  for place, value in places:
    data[int(place * (reach - 1))] = value
  check(data if cut is None else data[: int(cut * len(data))])


@settings(max_examples=200, deadline=None)
@given(
  magic=st.sampled_from([b'', *[data[:16] for data in KINDS.values()]]),
  rest=st.binary(max_size=300),
)
def test_any_bytes_are_a_picture_or_one_sentence(magic, rest):
  check(magic + rest)
