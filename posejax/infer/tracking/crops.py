"""Where to look for a figure in the next frame, from where it was in this one."""

import numpy as np

from posejax.skeletons import Skeleton

PADDING = 1.25
"""Of a box around keypoints. Source: Tau-J/rtmlib rtmlib/tools/solution/pose_tracker.py."""
MIN_AREA = 1000.0
"""Of a box to look into, in square pixels. Source: as `PADDING`, which follows nobody smaller."""
# Source: tensorflow/examples lite/examples/pose_estimation/raspberry_pi/ml/movenet.py.
_TORSO_REACH, _BODY_REACH, _MIN_SCORE = 1.9, 1.2, 0.2
_TORSO = [[f'{side}_{part}' for side in ('left', 'right')] for part in ('shoulder', 'hip')]


def whole_picture(image_hw: tuple[int, int]) -> np.ndarray:
  """Return the box `[4]` of a picture of (h, w)."""
  h, w = image_hw
  return np.array([0, 0, w - 1, h - 1], np.float32)


def padded(box: np.ndarray, padding: float = PADDING) -> np.ndarray:
  """Return a box (xyxy) with its sides `padding` times as long, about its centre."""
  low, high = np.asarray(box, np.float64).reshape(2, 2)
  centre, half = (low + high) / 2, (high - low) / 2 * padding
  return np.concatenate([centre - half, centre + half])


def joined(box: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Return the smallest box that holds two."""
  return np.concatenate([np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])])


def at_least(box: np.ndarray, area: float = MIN_AREA) -> np.ndarray:
  """Return a box grown about its centre, evenly to all sides, until it has an area."""
  w, h = np.maximum(box[2:] - box[:2], 0)
  if w * h >= area:
    return box
  # (w + 2 d) (h + 2 d) = area
  grow = (np.sqrt((w - h) ** 2 + 4 * area) - (w + h)) / 4
  return box + grow * np.array([-1, -1, 1, 1])


def has_torso(skeleton: Skeleton | None) -> bool:
  """Return whether a skeleton has the shoulders and hips that `crop_around_pose` needs."""
  return skeleton is not None and all(n in skeleton.keypoints for pair in _TORSO for n in pair)


def crop_around_pose(
  keypoints: np.ndarray, scores: np.ndarray, skeleton: Skeleton, image_hw: tuple[int, int]
) -> np.ndarray | None:
  """Return the square to look into next for the one person that was found, as MoveNet does.

  Its centre is the middle of the hips; its half side the larger of 1.9 times the farthest shoulder or
  hip and 1.2 times the farthest keypoint above score 0.2, both along one axis, but not beyond the
  picture's farthest border. A hip or shoulder that is not sure counts as its sure twin.

  Args:
    keypoints: `[K, 2]`.
    scores: `[K]`.
    skeleton: that `has_torso`.
    image_hw: (h, w) of the picture.

  Returns:
    float32 `[4]`, which may lie partly outside the picture; None where the whole picture is to be
    looked at: no sure shoulder or no sure hip, or a square as large as the picture.
  """
  h, w = image_hw
  keypoints = np.asarray(keypoints, np.float64)
  sure = (np.asarray(scores) > _MIN_SCORE) & np.isfinite(keypoints).all(axis=-1)
  shoulders, hips = ([k for k in map(skeleton.index, pair) if sure[k]] for pair in _TORSO)
  if not shoulders or not hips:
    return None
  centre = keypoints[hips].mean(axis=0)
  if not ((centre >= 0) & (centre <= (w - 1, h - 1))).all():
    return None
  torso = np.abs(keypoints[shoulders + hips] - centre).max()
  body = np.abs(keypoints[sure] - centre).max()
  half = max(_TORSO_REACH * torso, _BODY_REACH * body, MIN_AREA**0.5 / 2)
  half = min(half, float(np.maximum(centre, np.array([w - 1, h - 1]) - centre).max()))
  if half > (max(h, w) - 1) / 2:
    return None
  return np.concatenate([centre - half, centre + half]).astype(np.float32)
