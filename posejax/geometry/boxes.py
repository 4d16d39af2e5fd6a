"""Boxes `[..., 4]`, xyxy, corners at pixel centres; width is `x2 - x1`. NumPy."""

import numpy as np

from posejax.types import Array


def area(boxes: Array) -> np.ndarray:
  """Return `[...]` areas in square pixels; 0 for a box whose corners are in the wrong order."""
  boxes = np.asarray(boxes)
  sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
  return sides[..., 0] * sides[..., 1]


def iou(boxes: Array, others: Array) -> np.ndarray:
  """Return intersection over union of every box with every other, in [0, 1].

  Args:
    boxes: `[..., N, 4]`.
    others: `[..., M, 4]`.

  Returns:
    `[..., N, M]`; 0 where both boxes are empty.
  """
  boxes, others = np.asarray(boxes)[..., :, None, :], np.asarray(others)[..., None, :, :]
  low = np.maximum(boxes[..., :2], others[..., :2])
  high = np.minimum(boxes[..., 2:], others[..., 2:])
  intersection = area(np.concatenate([low, high], axis=-1))
  union = area(boxes) + area(others) - intersection
  return np.divide(intersection, union, out=np.zeros(union.shape, float), where=union > 0)


def clip(boxes: Array, image_hw: tuple[int, int]) -> np.ndarray:
  """Move the corners that lie outside the picture onto its outermost pixels."""
  h, w = image_hw
  return np.clip(boxes, 0, np.array([w - 1, h - 1, w - 1, h - 1]))


def head_size(head_boxes: Array) -> np.ndarray:
  """Return what PCKh divides by, `[...]` pixels, for head boxes `[..., 4]`, xyxy: 0.6 of their diagonals.

  Source: SC_BIAS of microsoft/human-pose-estimation.pytorch lib/dataset/mpii.py (0.8 * 0.75).
  """
  sides = np.asarray(head_boxes, np.float64)
  return 0.6 * np.hypot(*np.moveaxis(sides[..., 2:] - sides[..., :2], -1, 0))


def box_from_keypoints(keypoints: Array, visibility: Array) -> np.ndarray | None:
  """Return the tight box `[4]` around one figure's labelled keypoints, or None if it has none.

  Args:
    keypoints: `[K, 2]`.
    visibility: `[K]`, above 0 where labelled.
  """
  labelled = np.asarray(keypoints)[np.asarray(visibility) > 0]
  if not len(labelled):
    return None
  return np.concatenate([labelled.min(axis=0), labelled.max(axis=0)])
