"""Boxes of people from files, as training and measuring have them."""

import json

import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer import box_files


def read(tmp_path, content, **options):
  path = tmp_path / 'boxes.json'
  path.write_text(content if isinstance(content, str) else json.dumps(content))
  return box_files.read(str(path), **options)


def test_detections(tmp_path):
  rows = [
    {'image_id': 7, 'bbox': [1, 2, 30, 40.5], 'score': 0.5},
    {'image_id': 'b.jpg', 'bbox': [0, 0, 9, 9], 'score': 0.1},
    {'image_id': 7, 'bbox': [5, 5, 0, 9], 'score': 0.9},
  ]
  found = read(tmp_path, rows)
  boxes, scores = found.of('some/where/000007.jpg')
  np.testing.assert_array_equal(boxes, [[1, 2, 31, 42.5]])
  np.testing.assert_array_equal(scores, [0.5])
  assert len(found.of('x/b.jpg')[0]) == 1
  assert found.of('c.jpg')[0].shape == (0, 4)
  assert read(tmp_path, rows, min_score=0.3).of('b.jpg')[0].shape == (0, 4)


def test_annotations(tmp_path):
  images = [{'id': 31, 'file_name': 'train/0007.jpg'}, {'id': 7, 'file_name': 'b.jpg'}]
  annotations = [
    {'image_id': 31, 'bbox': [1, 2, 30, 40.5]},
    {'image_id': 31, 'bbox': [1, 2, 3, 4], 'iscrowd': 1},
    {'image_id': 7, 'bbox': [3, 3, 0.5, 5]},
  ]
  found = read(tmp_path, {'images': images, 'annotations': annotations})
  assert found.image_id('elsewhere/0007.jpg') == 31
  boxes, scores = found.of('0007.jpg')
  np.testing.assert_array_equal(boxes, [[1, 2, 30, 41.5]])  # the outermost pixels' centres
  np.testing.assert_array_equal(scores, [1])
  np.testing.assert_array_equal(found.of('b.jpg')[0], [[3, 3, 3, 7]])


def test_pictures_of_one_name_in_two_folders_are_told_apart(tmp_path):
  images = [{'id': n, 'file_name': f'{folder}/7.jpg'} for n, folder in ((3, 'day'), (4, 'night'))]
  annotations = [{'image_id': 3, 'bbox': [1, 2, 30, 40]}, {'image_id': 4, 'bbox': [5, 2, 30, 40]}]
  found = read(tmp_path, {'images': images, 'annotations': annotations})
  assert found.image_id('day/7.jpg') == 3
  assert found.of('elsewhere/night/7.jpg')[0][0, 0] == 5
  assert not len(found.of('7.jpg')[0])  # of which nobody knows which it is
  assert len(found) == 2


def test_a_list_names_pictures_by_path_name_stem_or_number(tmp_path):
  names = ['day/b.jpeg', 'a.jpg', 'c', 785]
  rows = [{'image_id': name, 'bbox': [i, 2, 30, 40]} for i, name in enumerate(names)]
  found = read(tmp_path, rows)
  for i, name in enumerate(['x/day/b.jpeg', 'y/a.jpg', 'c.png', '000000000785.jpg']):
    assert found.of(name)[0][:, 0].tolist() == [i]
  assert not len(found.of('b.jpeg')[0])


def test_of_several_categories_people_are_taken(tmp_path, caplog):
  box = {'image_id': 7, 'bbox': [1, 2, 30, 40], 'score': 0.5}
  rows = [{**box, 'category_id': c, 'score': c / 100} for c in (1, 44, 1, 3)]
  np.testing.assert_allclose(read(tmp_path, rows).of('7.jpg')[1], [0.01, 0.01])
  assert '2 boxes of other categories than people' in caplog.text
  # A single category is whatever the net is to look at.
  assert len(read(tmp_path, rows[1:2]).of('7.jpg')[0]) == 1
  with pytest.raises(PosejaxError, match=r"none of which is 1, COCO's people \(\['3', '44'\]\)"):
    read(tmp_path, rows[1::2])
  names = {1: 'cat', 44: 'person', 3: 'dog'}
  content = {
    'images': [{'id': 7, 'file_name': '7.jpg'}],
    'annotations': rows,
    'categories': [{'id': number, 'name': name} for number, name in names.items()],
  }
  assert len(read(tmp_path, content).of('7.jpg')[0]) == 1
  content['categories'][1]['name'] = 'bottle'
  with pytest.raises(PosejaxError, match=r"none of which is called 'person' .*'bottle'"):
    read(tmp_path, content)


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('[', 'is not JSON'),
    ('7', 'expected a list of'),
    ('{"images": 3}', 'expected a list of'),
    ('[{"image_id": 3}]', 'entry 0 is'),
    ('[{"image_id": [3], "bbox": [1, 2, 3, 4]}]', 'entry 0 is'),
    ('[5]', 'entry 0 is 5'),
    ('[{"image_id": 3, "bbox": [1, 2, 3, NaN]}]', 'entry 0: .*finite numbers'),
    ('[{"image_id": 3, "bbox": [1, 2, 0, 5]}]', 'none of its 1 boxes counts'),
  ],
)
def test_files_of_another_form(tmp_path, content, message):
  with pytest.raises(PosejaxError, match=message):
    read(tmp_path, content)


def test_a_file_that_is_not_there():
  with pytest.raises(PosejaxError, match='nowhere.json: cannot be read'):
    box_files.read('nowhere.json')
