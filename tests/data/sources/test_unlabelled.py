import json

import numpy as np
import pytest

from posejax import skeletons
from posejax.data.sources import unlabelled
from posejax.errors import PosejaxError
from tests.data import layouts

COCO = skeletons.COCO


@pytest.fixture
def folder(tmp_path):
  """Three pictures in two folders, and a text."""
  images = tmp_path / 'images'
  layouts.write(images / '000000000785.jpg', layouts.jpeg(0, (40, 60)))
  layouts.write(images / 'day' / 'b.jpeg', layouts.jpeg(1, (50, 30)))
  layouts.write(images / 'a.jpg', layouts.jpeg(2))
  layouts.write(images / 'notes.txt', b'nothing')
  return images


def test_the_whole_picture_is_one_persons(folder):
  found = unlabelled.find(str(folder), 'raise')
  assert found.sizes == {'000000000785.jpg': (40, 60), 'a.jpg': layouts.HW, 'day/b.jpeg': (50, 30)}
  people = unlabelled.whole_pictures(found, COCO)
  assert len(people) == 3
  example = people[2]
  assert example['image'] == (folder / 'day' / 'b.jpeg').read_bytes()
  np.testing.assert_array_equal(example['box'], [0, 0, 29, 49])
  assert not example['visibility'].any()


def test_broken_pictures(folder):
  layouts.cut_short(folder / 'a.jpg')
  with pytest.raises(PosejaxError, match='1 of 3 pictures are missing or broken:\n.*a.jpg'):
    unlabelled.find(str(folder), 'raise')
  found = unlabelled.find(str(folder), 'skip')
  assert list(found.sizes) == ['000000000785.jpg', 'day/b.jpeg']
  assert found.left_out == {'broken pictures': 1}


@pytest.mark.parametrize('missing', ['nowhere', 'empty'])
def test_no_pictures(tmp_path, missing):
  (tmp_path / 'empty').mkdir()
  with pytest.raises(PosejaxError, match=f'--images=.*{missing}'):
    unlabelled.find(str(tmp_path / missing), 'raise')


def detection(image_id, box, **more):
  return {'image_id': image_id, 'category_id': 1, 'bbox': box, 'score': 0.9, **more}


def test_boxes_of_detections_find_their_pictures_by_number_or_name(folder, tmp_path):
  entries = [
    detection(785, [1, 2, 10, 20]),
    detection('a.jpg', [3, 4, 5, 6]),
    detection('b', [0, 0, 30, 50]),
    detection('day/b.jpeg', [2, 2, 4, 4]),
    detection(786, [1, 2, 10, 20]),
    detection(785, [1, 2, 0, 20]),
    detection(785, [1, 2, 3, 20], category_id=2),
  ]
  layouts.write(tmp_path / 'boxes.json', entries)
  found = unlabelled.find(str(folder), 'raise')
  people, left_out = unlabelled.from_file(found, COCO, str(tmp_path / 'boxes.json'))
  names = [people.labels(i)['image_name'] for i in range(len(people))]
  assert names == ['000000000785.jpg', 'a.jpg', 'day/b.jpeg', 'day/b.jpeg']
  np.testing.assert_array_equal(people.labels(0)['box'], [1, 2, 11, 22])
  assert left_out == {'other category': 1, 'unknown picture': 1, 'empty box': 1}


def test_boxes_of_annotations(folder, tmp_path):
  dataset = {
    'images': [{'id': 1, 'file_name': 'day/b.jpeg'}, {'id': 2, 'file_name': 'gone.jpg'}],
    'annotations': [
      {'image_id': 1, 'bbox': [3, 4, 10, 20]},
      {'image_id': 1, 'bbox': [3, 4, 10, 20], 'iscrowd': 1},
      {'image_id': 1},
      {'image_id': 2, 'bbox': [3, 4, 10, 20]},
    ],
  }
  layouts.write(tmp_path / 'people.json', dataset)
  found = unlabelled.find(str(folder), 'raise')
  people, left_out = unlabelled.from_file(found, COCO, str(tmp_path / 'people.json'))
  assert len(people) == 1
  np.testing.assert_array_equal(people.labels(0)['box'], [3, 4, 12, 23])
  assert left_out == {'boxes on other pictures, or empty': 1}


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (None, 'No file at --boxes='),
    (b'{', 'is not JSON'),
    (b'{"images": []}', 'neither a list of detections nor'),
    (b'{"images": [], "annotations": []}', 'none of its 0 boxes'),
    (json.dumps([detection(1, [1, 2, 3, 4])]).encode(), 'none of 1 boxes counts'),
    (json.dumps({'images': [{'id': 1, 'file_name': 'a.jpg'}],
                 'annotations': [{'image_id': 1, 'bbox': [1, 2, 3]}]}).encode(), 'must be four'),
  ],
)  # fmt: skip
def test_files_without_boxes_for_these_pictures(folder, tmp_path, content, message):
  path = tmp_path / 'boxes.json'
  if content is not None:
    path.write_bytes(content)
  found = unlabelled.find(str(folder), 'raise')
  with pytest.raises(PosejaxError, match=message):
    unlabelled.from_file(found, COCO, str(path))
