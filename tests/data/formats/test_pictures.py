import logging
import struct

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax.data.formats import pictures
from posejax.errors import PosejaxError
from tests.data import layouts


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 1), st.booleans())
def test_size_is_read_from_the_header(h, w, progressive, exif):
  picture = np.full((h, w, 3), 90, np.uint8)
  data = cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))[1].tobytes()
  if exif:  # turned by 90 degrees, which does not matter; with a thumbnail's header inside
    tiff = b'MM\x00*\x00\x00\x00\x08' + struct.pack('>HHHIHHI', 1, 0x0112, 3, 1, 6, 0, 0)
    payload = b'Exif\x00\x00' + tiff + layouts.jpeg(0)
    data = data[:2] + b'\xff\xe1' + struct.pack('>H', len(payload) + 2) + payload + data[2:]
  assert pictures.picture_size(data) == (h, w)
  assert pictures.check_picture(data, 'a.jpg', thorough=True) == (h, w)


def test_size_of_another_kind_of_picture():
  data = cv2.imencode('.png', np.zeros((5, 9, 3), np.uint8))[1].tobytes()
  assert pictures.picture_size(data) == (5, 9)


@pytest.mark.parametrize(
  'data', [b'', b'\xff\xd8', b'\xff\xd8\xff', b'<html>404</html>', b'\0' * 50]
)
def test_what_is_no_picture_is_named(data):
  with pytest.raises(PosejaxError, match=r'^a\.jpg: '):
    pictures.check_picture(data, 'a.jpg')


def test_a_picture_cut_short_or_with_foreign_bytes_is_named():
  data = layouts.jpeg(0)
  with pytest.raises(PosejaxError, match=r'a\.jpg: a JPEG cut short'):
    pictures.check_picture(data[: len(data) // 2], 'a.jpg')
  middle = len(data) - 100
  with pytest.raises(PosejaxError, match=r'a\.jpg: a corrupt JPEG: marker FF17'):
    pictures.check_picture(data[:middle] + b'\xff\x17' + data[middle + 2 :], 'a.jpg')


def test_a_thorough_look_decodes():
  data = layouts.jpeg(0)
  start = data.index(b'\xff\xc0')
  # Precision 3 bits: the markers are in order, and no decoder takes it.
  broken = data[: start + 4] + b'\x03' + data[start + 5 :]
  assert pictures.check_picture(broken, 'a.jpg') == layouts.HW
  with pytest.raises(PosejaxError, match=r'a\.jpg: a picture that OpenCV cannot decode'):
    pictures.check_picture(broken, 'a.jpg', thorough=True)


def test_files_below_a_folder(tmp_path):
  layouts.write(tmp_path / 'a.jpg', b'')
  layouts.write(tmp_path / 'x' / 'y' / 'b.jpg', b'')
  assert pictures.files_below(str(tmp_path)) == {'a.jpg', 'x/y/b.jpg'}


class TestFaults:
  def faults(self, broken):
    faults = pictures.Faults()
    faults.counts['crowds'] += 3
    for n in range(broken):
      faults.add_broken('broken pictures', f'{n}.jpg: bad')
    return faults

  def test_refuses_and_names_ten(self):
    with pytest.raises(PosejaxError, match='lsp: 12 of 50 pictures are missing or broken') as error:
      self.faults(12).settle('lsp', 'raise', 50)
    assert '9.jpg: bad\n  … and 2 more' in str(error.value)
    assert '10.jpg' not in str(error.value)
    assert "config.data.on_error='skip'" in str(error.value)

  def test_logs_what_is_skipped(self, caplog):
    self.faults(1).settle('lsp', 'skip', 50)
    assert caplog.messages == ['lsp: left out 1 broken pictures, 3 crowds.\n  0.jpg: bad']

  def test_nothing_left_out_is_not_worth_a_word(self, caplog):
    caplog.set_level(logging.DEBUG)
    pictures.Faults().settle('lsp', 'raise', 50)
    assert not caplog.messages
