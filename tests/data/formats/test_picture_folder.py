import cv2
import numpy as np
import pytest

from posejax.data.formats import picture_folder
from posejax.errors import PosejaxError
from tests.data import layouts


@pytest.fixture
def folder(tmp_path):
  """Three pictures in two folders, and a text."""
  images = tmp_path / 'images'
  layouts.write(images / '000000000785.jpg', layouts.jpeg(0, (40, 60)))
  layouts.write(images / 'day' / 'b.jpeg', layouts.jpeg(1, (50, 30)))
  layouts.write(images / 'a.jpg', layouts.jpeg(2))
  layouts.write(images / 'notes.txt', b'nothing')
  return images


def test_pictures_are_found_by_their_endings_with_their_sizes(folder):
  found = picture_folder.find(str(folder), 'raise')
  assert found.sizes == {'000000000785.jpg': (40, 60), 'a.jpg': layouts.HW, 'day/b.jpeg': (50, 30)}
  expected = cv2.imread(str(folder / 'day' / 'b.jpeg'))[..., ::-1]
  np.testing.assert_array_equal(found.read('day/b.jpeg'), expected)


def test_broken_pictures(folder):
  layouts.cut_short(folder / 'a.jpg')
  with pytest.raises(PosejaxError, match='1 of 3 pictures are missing or broken:\n.*a.jpg'):
    picture_folder.find(str(folder), 'raise')
  found = picture_folder.find(str(folder), 'skip')
  assert list(found.sizes) == ['000000000785.jpg', 'day/b.jpeg']
  assert found.left_out == {'broken pictures': 1}


@pytest.mark.parametrize('missing', ['nowhere', 'empty'])
def test_no_pictures(tmp_path, missing):
  (tmp_path / 'empty').mkdir()
  with pytest.raises(PosejaxError, match=f'--images=.*{missing}'):
    picture_folder.find(str(tmp_path / missing), 'raise')
