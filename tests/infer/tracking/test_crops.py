import numpy as np
import pytest

from posejax.infer.tracking import crops
from posejax.skeletons import COCO, MPII, Skeleton

HW = (300, 500)


def pose():
  """A person with hips about (200, 150), everything else on top of them, all sure."""
  keypoints = np.tile([200.0, 150], (17, 1))
  keypoints[COCO.index('left_hip')], keypoints[COCO.index('right_hip')] = (205, 150), (195, 150)
  return keypoints, np.full(17, 0.9)


def crop(keypoints, scores):
  return crops.crop_around_pose(keypoints, scores, COCO, HW)


def test_the_torso_sets_the_square():
  keypoints, scores = pose()
  keypoints[COCO.index('left_shoulder')] = 190, 120  # 30 above, 1.9 of it
  np.testing.assert_allclose(crop(keypoints, scores), [143, 93, 257, 207])


def test_the_whole_body_sets_the_square():
  keypoints, scores = pose()
  keypoints[COCO.index('left_shoulder')] = 190, 120
  keypoints[COCO.index('left_wrist')] = 280, 150  # 80 aside, 1.2 of it
  np.testing.assert_allclose(crop(keypoints, scores), [104, 54, 296, 246])
  scores[COCO.index('left_wrist')] = 0.2  # not above it
  np.testing.assert_allclose(crop(keypoints, scores), [143, 93, 257, 207])


def test_one_sure_hip_and_shoulder_are_enough_and_none_is_not():
  keypoints, scores = pose()
  keypoints[COCO.index('right_hip')] = np.nan
  scores[COCO.index('left_shoulder')] = 0
  found = crop(keypoints, scores)
  np.testing.assert_allclose(found.reshape(2, 2).mean(axis=0), [205, 150])
  for part in ('left_hip', 'right_shoulder'):
    unsure = scores.copy()
    unsure[COCO.index(part)] = 0.1
    assert crop(keypoints, unsure) is None


def test_a_square_as_large_as_the_picture_is_the_picture():
  keypoints, scores = pose()
  keypoints[COCO.index('left_ankle')] = 200, 150 + 249.4 / 1.2
  assert crop(keypoints, scores) is not None
  keypoints[COCO.index('left_ankle')] = 200, 150 + 250 / 1.2
  assert crop(keypoints, scores) is None


def test_hips_outside_the_picture_are_lost():
  keypoints, scores = pose()
  assert crop(keypoints - [260, 0], scores) is None


@pytest.mark.parametrize('box', [[10, 20, 10, 20], [10, 20, 14, 80], [0, 0, 30, 30.0]])
def test_a_small_box_grows_evenly_to_an_area(box):
  box = np.array(box, float)
  grown = crops.at_least(box, 1000.0)
  assert (grown[2] - grown[0]) * (grown[3] - grown[1]) == pytest.approx(1000)
  np.testing.assert_allclose(grown - box, (grown - box)[2] * np.array([-1, -1, 1, 1]))
  large = np.array([0, 0, 40, 50.0])
  assert crops.at_least(large, 1000.0) is large


def test_a_torso_needs_its_names():
  assert crops.has_torso(COCO)
  assert crops.has_torso(MPII)
  assert not crops.has_torso(None)
  assert not crops.has_torso(Skeleton('dot', ('dot',), (), (), (0.1,)))
