"""Where to look for a figure in the next frame, from where it was in this one."""

import numpy as np

PADDING = 1.25
"""From the box around keypoints to the person's, as nets are trained on: with hands, feet and hair. What
the net's own view adds comes on top. Of less, every frame sees less than the one before, and the person
is lost. Source: Tau-J/rtmlib rtmlib/tools/solution/pose_tracker.py, whose nets pad again too."""
MIN_AREA = 1000.0
"""Of a box to look into, in square pixels. Source: as `PADDING`, which follows nobody smaller."""


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
