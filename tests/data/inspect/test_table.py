import numpy as np
import pytest

from posejax import skeletons
from posejax.data.inspect import table
from posejax.data.sources import coco_file
from posejax.data.sources.people import People
from posejax.data.synthetic.people import SyntheticPeople
from posejax.errors import PosejaxError
from tests.data import layouts


def test_labels_of_everybody(tmp_path):
  dataset = layouts.coco_dataset(3)
  layouts.write(tmp_path / 'people.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  source = People(coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images')))
  seen = []

  def progress(items):
    for item in items:
      seen.append(item)
      yield item

  given = table.read(source, progress)
  assert seen == list(range(6))
  assert len(given) == 6
  assert given.skeleton is skeletons.COCO
  for i in range(6):
    labels = source.labels(i)
    np.testing.assert_array_equal(given.keypoints[i], labels['keypoints'])
    np.testing.assert_array_equal(given.visibility[i], labels['visibility'])
    np.testing.assert_array_equal(given.boxes[i], labels['box'])
    assert given.names[i] == {
      'index': i,
      **{key: labels[key] for key in ('image_name', 'image_id', 'annotation_id')},
    }
  assert given.by_picture() == [[0, 1], [2, 3], [4, 5]]


def test_pictures_of_one_name_apart_are_two_and_without_a_name_everyone_has_one():
  zeros = np.zeros((5, 1, 2), np.float32), np.ones((5, 1), int), np.zeros((5, 4), np.float32)
  names = [{'image_id': 7, 'image_name': name} for name in 'aabba']
  given = table.Table(skeletons.COCO, *zeros, names)
  assert given.by_picture() == [[0, 1], [2, 3], [4]]
  assert table.read(People(SyntheticPeople('eval', 0, 2))).by_picture() == [[0], [1]]


def test_other_data_sets_are_refused():
  class Digits:
    name = 'digits'

    def __len__(self):
      return self.number

    def labels(self, index):
      return {'label': index}

  digits = Digits()
  digits.number = 3
  with pytest.raises(PosejaxError, match=r"'digits' has no people.*\['label'\]"):
    table.read(digits)
  digits.number = 0
  with pytest.raises(PosejaxError, match='no examples'):
    table.read(digits)
