"""Where crops are taken."""

import numpy as np
import pytest

from posejax import skeletons
from posejax.data.transforms import augment, crops
from posejax.geometry import affine

CROP = (256, 192)  # H, W


def _moves(keypoints, visibility, around, **augmentation):
  """Return how far from the point `around` crops of a box of 40 x 200 are taken, `[500, 2]`."""
  example = {
    'keypoints': keypoints,
    'visibility': visibility,
    'box': np.array([100, 60, 140, 260], np.float32),
  }
  varied = augment.create('mmpose', rotation=0, scale=0, shift_probability=1, **augmentation)
  crop = crops.CropPerson(skeletons.COCO, CROP, 'msra', varied)
  rng, middle = np.random.default_rng(0), np.array([[CROP[1] / 2, CROP[0] / 2]])
  matrices = [crop.labels(example, rng)[1]['crop_to_image'] for _ in range(500)]
  return np.concatenate([affine.transform_points(middle, m) for m in matrices]) - around


# mmpose's `RandomBBoxTransform` comes before `TopdownAffine`, which fixes the aspect: of 40 x 200,
# padded to 50 x 250, it moves the centre by up to 0.16 of 50 and of 250 pixels. By the crop's region,
# 187.5 x 250, it would be 30 to the side.
def test_mmpose_shifts_by_the_padded_box():
  moved = np.abs(_moves(np.zeros((17, 2)), np.zeros(17), (120, 160), half_body=0)).max(axis=0)
  assert 7.5 < moved[0] <= 8.01
  assert 38 < moved[1] <= 40.01
  of_region = np.abs(
    _moves(np.zeros((17, 2)), np.zeros(17), (120, 160), half_body=0, shift_of='region')
  ).max(axis=0)
  assert 28 < of_region[0] <= 30.01
  assert 38 < of_region[1] <= 40.01


def test_mmpose_shifts_a_half_body_by_its_own_padded_box():
  # Both halves are 12 wide and 60 high around (120, 100): 1.5 times that, and 0.16 of it.
  corners = np.array([[114, 70], [126, 70], [114, 130], [126, 130]], np.float32)
  keypoints, visibility = np.full((17, 2), (120, 100), np.float32), np.full(17, 2)
  keypoints[:4] = keypoints[-4:] = corners
  moved = np.abs(_moves(keypoints, visibility, (120, 100), half_body=1)).max(axis=0)
  assert moved == pytest.approx([0.16 * 18, 0.16 * 90], rel=0.06)
  assert np.all(moved <= np.array([0.16 * 18, 0.16 * 90]) + 0.01)
