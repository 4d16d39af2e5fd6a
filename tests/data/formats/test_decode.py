import resource
import struct
import zlib

import cv2
import numpy as np
import pytest

from posejax.data.formats import decode
from posejax.errors import PosejaxError


@pytest.fixture(scope='module')
def picture():
  """RGB, twice as wide as high, a red left and a blue right half over noise."""
  noise = np.random.default_rng(0).integers(0, 60, (60, 120, 3), dtype=np.uint8)
  noise = cv2.GaussianBlur(noise, (5, 5), 0)
  noise[:, :60, 0] = 220
  noise[:, 60:, 2] = 220
  return noise


def _encode(rgb, extension, *options):
  return cv2.imencode(extension, rgb[..., ::-1], options)[1].tobytes()


def _chunk(kind, data):
  return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def _with_exif(jpeg, orientation, thumbnail=b''):
  """Put an EXIF segment behind a JPEG's first marker."""
  tiff = b'MM\x00*\x00\x00\x00\x08' + struct.pack('>HHHIHHI', 1, 0x0112, 3, 1, orientation, 0, 0)
  payload = b'Exif\x00\x00' + tiff + thumbnail
  return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(payload) + 2) + payload + jpeg[2:]


@pytest.mark.parametrize('extension', ['.png', '.bmp'])
def test_lossless_pictures_come_back_in_rgb(picture, extension):
  np.testing.assert_array_equal(decode.decode_image(_encode(picture, extension)), picture)


@pytest.mark.parametrize('progressive', [0, 1])
def test_jpeg_comes_back_in_rgb(picture, progressive):
  jpeg = _encode(picture, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
  decoded = decode.decode_image(jpeg)
  assert decoded.shape == (60, 120, 3)
  assert decoded.dtype == np.uint8
  assert np.abs(decoded.astype(int) - picture).mean() < 6


def test_jpeg_with_restart_markers_and_trailing_bytes_is_whole(picture):
  jpeg = _encode(picture, '.jpg', cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
  assert b'\xff\xd3' in jpeg
  assert decode.decode_image(jpeg + b'\x00\xff\x17 more').shape == (60, 120, 3)


def test_grey_and_transparent_pictures_get_three_channels(picture):
  grey = cv2.imencode('.png', picture[..., 0])[1].tobytes()
  np.testing.assert_array_equal(decode.decode_image(grey), picture[..., [0, 0, 0]])
  transparent = cv2.imencode('.png', np.dstack([picture[..., ::-1], picture[..., 0]]))[1].tobytes()
  np.testing.assert_array_equal(decode.decode_image(transparent), picture)


def test_orientation_is_applied_only_where_asked_for(picture):
  turned = _with_exif(_encode(picture, '.jpg'), orientation=6)
  assert decode.decode_image(turned).shape == (60, 120, 3)
  upright = decode.decode_image(turned, apply_exif=True)
  assert upright.shape == (120, 60, 3)
  # Orientation 6: the first row is the right-hand side, so that the red left half is on top.
  assert upright[:50, :, 0].mean() > 200
  assert upright[70:, :, 2].mean() > 200


def test_arrays_pass_through(picture):
  assert decode.decode_image(picture) is picture


@pytest.mark.parametrize(
  'array', [np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6, 3))]
)
def test_other_arrays_are_refused(array):
  with pytest.raises(PosejaxError, match=r'person 7: .*uint8 array \[h, w, 3\]'):
    decode.decode_image(array, source='person 7')


class TestBadBytes:
  @pytest.mark.parametrize(
    'data', [b'', b'\xff\xd8', b'\xff\xd8\xff', b'<html>404</html>', b'\x00' * 99]
  )
  def test_no_picture(self, data):
    with pytest.raises(PosejaxError, match=r'a\.jpg: '):
      decode.decode_image(data, source='a.jpg')

  @pytest.mark.parametrize('progressive', [0, 1])
  @pytest.mark.parametrize('part', [0.02, 0.3, 0.5, 0.9, 1.0])
  def test_truncated_jpeg(self, picture, part, progressive):
    jpeg = _encode(picture, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    with pytest.raises(PosejaxError, match=r'a\.jpg: a JPEG'):
      decode.decode_image(jpeg[: int(part * (len(jpeg) - 2))], source='a.jpg')

  def test_a_thumbnails_end_is_not_the_pictures(self, picture):
    thumbnail = _encode(picture[::4, ::4], '.jpg')
    jpeg = _with_exif(_encode(picture, '.jpg'), 1, thumbnail)
    assert decode.decode_image(jpeg).shape == (60, 120, 3)
    with pytest.raises(PosejaxError, match='no end marker'):
      decode.decode_image(jpeg[:-2])

  def test_truncated_png(self, picture):
    png = _encode(picture, '.png')
    with pytest.raises(PosejaxError, match='PNG picture cut short or damaged at byte'):
      decode.decode_image(png[: len(png) // 2])

  def test_a_png_chunk_that_says_it_has_4_gib(self, picture):
    png = bytearray(_encode(picture, '.png'))
    place = png.index(b'IDAT') - 4
    png[place] = 0xFE
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PosejaxError, match=f'damaged at byte {place}'):
      decode.decode_image(bytes(png))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1e6  # KB

  def test_what_a_png_tells_beside_its_picture_changes_nothing(self, picture):
    png = _encode(picture, '.png')
    text, gamma = _chunk(b'tEXt', b'Author\0somebody'), _chunk(b'gAMA', struct.pack('>I', 10_000))
    start = png.index(b'IDAT') - 4
    full = png[:start] + gamma + text + png[start:] + b'after the end'
    np.testing.assert_array_equal(decode.decode_image(full), picture)

  @pytest.mark.parametrize('progressive', [0, 1])
  def test_foreign_marker_in_the_image_data(self, picture, progressive):
    jpeg = bytearray(_encode(picture, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))
    middle = len(jpeg) - 200
    jpeg[middle : middle + 2] = b'\xff\x17'
    # Of a baseline JPEG OpenCV gives a picture all the same.
    assert progressive or cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) is not None
    with pytest.raises(PosejaxError, match='marker FF17'):
      decode.decode_image(bytes(jpeg))
