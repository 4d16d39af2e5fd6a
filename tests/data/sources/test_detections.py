import json
import os

import cv2
import numpy as np
import pytest

from posejax import skeletons
from posejax.data import batches
from posejax.data.sources import coco_file, detections
from posejax.data.sources.people import People
from posejax.data.transforms import augment, crops
from posejax.errors import PosejaxError
from tests.data import layouts

ENTRIES = [
  {'image_id': 7, 'category_id': 1, 'bbox': [10.5, 20, 30, 60], 'score': 0.25},
  {'image_id': 2**40, 'category_id': 1, 'bbox': [-5, 0, 50, 20.25], 'score': 0.75},
  {'image_id': 7, 'category_id': 18, 'bbox': [0, 0, 9, 9], 'score': 0.9},
  {'image_id': 8, 'category_id': 1, 'bbox': [0, 0, 9, 9], 'score': 0.9},
  {'image_id': 7, 'category_id': 1, 'bbox': [0, 0, 9, 0], 'score': 0.9},
  {'image_id': 7, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.0},
  {'image_id': 7, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': -0.1},
]
KNOWN = (7, 2**40)


def _write(folder, content):
  path = folder / 'detections.json'
  path.write_text(content if isinstance(content, str) else json.dumps(content))
  return str(path)


class TestRead:
  def test_what_counts_in_the_order_of_the_file(self, tmp_path):
    found = detections.read(_write(tmp_path, ENTRIES), KNOWN)
    assert found.image_ids == (7, 2**40, 7)
    assert found.boxes.dtype == np.float32
    np.testing.assert_array_equal(
      found.boxes, [[10.5, 20, 40.5, 80], [-5, 0, 45, 20.25], [1, 2, 4, 6]]
    )
    np.testing.assert_array_equal(found.scores, [0.25, 0.75, 0])
    assert found.left_out == {
      'other category': 1, 'low score': 1, 'unknown picture': 1, 'empty box': 1,
    }  # fmt: skip

  def test_thresholds_and_category(self, tmp_path):
    path = _write(tmp_path, ENTRIES)
    assert detections.read(path, KNOWN, score_threshold=0.25).image_ids == KNOWN
    assert detections.read(path, KNOWN, category_id=18).boxes.tolist() == [[0, 0, 9, 9]]

  def test_the_fingerprint_follows_what_is_read(self, tmp_path):
    path = _write(tmp_path, ENTRIES)
    prints = {
      detections.read(path, KNOWN).fingerprint,
      detections.read(path, (7,)).fingerprint,
      detections.read(path, KNOWN, score_threshold=0.5).fingerprint,
    }
    moved = [ENTRIES[0] | {'bbox': [11, 20, 30, 60]}, *ENTRIES[1:]]
    prints.add(detections.read(_write(tmp_path, moved), KNOWN).fingerprint)
    assert len(prints) == 4
    assert detections.read(_write(tmp_path, ENTRIES), KNOWN).fingerprint in prints

  @pytest.mark.parametrize(
    ('content', 'message'),
    [
      ('[{', 'not JSON'),
      ({'annotations': []}, 'holds a dict; expected a JSON list'),
      ([ENTRIES[0], {'image_id': 7, 'bbox': [1, 2, 3, 4]}], r'entry 1 is .* expected a JSON list'),
      ([ENTRIES[0] | {'bbox': [1, 2, 3]}], 'entry 0: bbox .* four finite numbers'),
      ([ENTRIES[0] | {'score': float('nan')}], 'entry 0: .* score nan'),
      ([ENTRIES[0] | {'bbox': None}], 'entry 0 is'),
      (ENTRIES[2:4], "none of 2 boxes counts.*'unknown picture': 1.* same split"),
    ],
  )
  def test_what_is_refused(self, tmp_path, content, message):
    with pytest.raises(PosejaxError, match=message):
      detections.read(_write(tmp_path, content), KNOWN)

  def test_a_missing_file_is_explained(self, tmp_path):
    with pytest.raises(PosejaxError, match=r'No detections at .* README .* ground-truth boxes'):
      detections.read(str(tmp_path / 'none.json'), KNOWN)

  def test_the_published_form(self):
    folder = os.environ.get('POSEJAX_REAL_DATA')
    if not folder:
      pytest.skip('POSEJAX_REAL_DATA is not set')
    path = os.path.join(folder, 'fixtures', 'coco', 'test_coco_det_AP_H_56.json')
    found = detections.read(path, [785, 40083, 197388, 196141])
    assert len(found.image_ids) == len(found.boxes) == 118
    assert not any(found.left_out.values())
    assert found.image_ids[0] == 785
    np.testing.assert_allclose(found.boxes[0, 2:] - found.boxes[0, :2], (225.0913, 333.5603), 1e-4)


class TestSource:
  def _source(self, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    dataset = {
      'images': [{'id': i, 'file_name': f'{i}.png'} for i in KNOWN],
      'annotations': [layouts.annotation(1, 7, layouts.figure(np.random.default_rng(0), 17))],
      'categories': [{'id': 1, 'name': 'person', 'keypoints': list(skeletons.COCO.keypoints)}],
    }
    layouts.write(tmp_path / 'people.json', dataset)
    for i in KNOWN:
      layouts.write(tmp_path / 'images' / f'{i}.png', cv2.imencode('.png', picture)[1].tobytes())
    source = coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images'))
    return detections.DetectedPeople(
      People(source), detections.read(_write(tmp_path, ENTRIES), KNOWN)
    )

  def test_examples_have_no_labels(self, tmp_path):
    source = self._source(tmp_path)
    assert len(source) == 3
    example, labels = source[1], source.labels(1)
    assert isinstance(example.pop('image'), bytes)
    assert example.keys() == labels.keys()
    assert labels['image_id'] == 2**40
    assert labels['box_score'] == 0.75
    assert labels['keypoints'].shape == (17, 2)
    assert not labels['visibility'].any()
    np.testing.assert_array_equal(labels['box'], [-5, 0, 45, 20.25])
    for index in (-1, 3):
      with pytest.raises(IndexError):
        source[index]

  def test_they_make_batches(self, tmp_path):
    source = self._source(tmp_path)
    skeleton = source.label_space.skeleton
    transform = crops.CropPerson(skeleton, (64, 48), 'msra', augment.create('none'))
    batch = batches.EvalBatches(source, transform, 4)(0)
    assert batch['index'].tolist() == [0, 1, 2, -1]
    np.testing.assert_array_equal(batch['boxes'][:3], source.detections.boxes)
    assert not batch['visibility'].any()
    # The box's middle is the middle of the crop: half a pixel right of and below its grid's.
    middle = batch['crop_to_image'] @ np.array([24, 32, 1])
    np.testing.assert_allclose(middle[0], (25.5, 50), atol=1e-4)
    np.testing.assert_allclose(middle[1], (20, 10.125), atol=1e-4)
