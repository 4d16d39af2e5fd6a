"""Whom a net finds on pictures that nobody has labelled."""

import numpy as np
import pytest

from posejax.data.formats import picture_folder, pseudo_labels
from posejax.errors import PosejaxError
from posejax.geometry import boxes as box_geometry
from posejax.infer import box_files, unlabelled
from tests.data import layouts
from tests.infer import finder
from tests.web import beacons

HW = (240, 320)
FIGURES = {  # by picture; more pictures than go through a net at once
  f'{folder}/{number:02d}.png': beacons.figure(60 + 20 * number, 30, 100 + 8 * number)
  for folder, numbers in (('a', range(5)), ('b', range(3, 9)))
  for number in numbers
}


@pytest.fixture(scope='module')
def predictor():
  return finder.predictor()


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  for name, figure in FIGURES.items():
    layouts.write(folder / name, beacons.jpeg(beacons.paint(HW, [figure]), '.png'))
  return picture_folder.find(str(folder), 'raise')


def around(figure):
  low, high = figure.min(0), figure.max(0)
  return [*low, *(high - low + 1)]


def test_boxes_of_a_file_are_looked_into_by_the_pictures_that_they_are_of(
  predictor, pictures, tmp_path
):
  images = [{'id': 70 + i, 'file_name': name} for i, name in enumerate(FIGURES)]
  annotations = [
    {'image_id': 70 + i, 'bbox': around(figure)} for i, figure in enumerate(FIGURES.values())
  ]
  annotations.append({'image_id': 72, 'bbox': [-90, 0, 40, 40]})
  annotations.append({'image_id': 5, 'bbox': [10, 0, 40, 40]})
  layouts.write(tmp_path / 'boxes.json', {'images': images, 'annotations': annotations})
  boxes = box_files.read(str(tmp_path / 'boxes.json'))
  people = unlabelled.find(predictor, pictures, boxes)
  assert people.names == tuple(FIGURES)
  # Limbs and neighbours cover some of a patch.
  np.testing.assert_allclose(people.keypoints, np.stack(list(FIGURES.values())), atol=2.5)
  assert people.scores.min() > 0.5
  outermost = [box_geometry.box_from_keypoints(f, np.ones(len(f))) for f in FIGURES.values()]
  np.testing.assert_allclose(people.boxes, outermost, atol=1e-4)
  assert people.left_out == {'boxes on other pictures, or outside of theirs': 2}
  layouts.write(tmp_path / 'other.json', [{'image_id': 'c.png', 'bbox': [1, 2, 3, 4]}])
  with pytest.raises(PosejaxError, match='none of its 1 boxes is on a picture below'):
    unlabelled.find(predictor, pictures, box_files.read(str(tmp_path / 'other.json')))


def test_who_fills_a_picture_is_looked_at_again_in_a_box_around_what_was_found(predictor, pictures):
  people = unlabelled.find(predictor, pictures, passes=2)
  assert people.names == tuple(FIGURES)
  assert people.boxes is None
  for number, name in enumerate(FIGURES):
    image = pictures.read(name)
    whole = np.array([[0, 0, 319, 239]], np.float32)
    (first,) = predictor(image, whole).instances
    points, scores = first.keypoints[None], first.keypoint_scores[None]
    closer = pseudo_labels.tightened([name], points, scores, pictures.sizes, whole)
    assert box_geometry.area(closer[0]) < 0.7 * box_geometry.area(whole[0])
    (second,) = predictor(image, closer).instances
    np.testing.assert_allclose(people.keypoints[number], second.keypoints, atol=1e-4)
    np.testing.assert_allclose(people.scores[number], second.keypoint_scores, atol=1e-6)


def test_a_detector_says_where_to_look(pictures):
  boxes = np.array([[20, 20, 200, 220], [0, 0, 60, 60]], np.float32)
  people = unlabelled.find(
    finder.predictor(detector=lambda image: (boxes, np.array([0.9, 0.8]))), pictures
  )
  assert people.names == tuple(name for name in FIGURES for _ in range(2))
  assert {tuple(box) for box in people.boxes.tolist()} == {tuple(box) for box in boxes.tolist()}
