"""Greedy non-maximum suppression of boxes. NumPy."""

import numpy as np

from posejax.geometry import boxes as boxes_lib
from posejax.types import Array


def nms(boxes: Array, scores: Array, iou: float) -> np.ndarray:
  """Return which boxes stay when each, from the best on, removes those that overlap it by more.

  Args:
    boxes: `[N, 4]` xyxy.
    scores: `[N]`.
    iou: intersection over union above which the lower one goes.

  Returns:
    int `[M]`, numbers of the boxes that stay, the best first; of equals the first in order.
  """
  boxes = np.asarray(boxes)
  left = np.argsort(-np.asarray(scores), kind='stable')
  kept = []
  while len(left):
    best, left = left[0], left[1:]
    kept.append(best)
    left = left[boxes_lib.iou(boxes[best : best + 1], boxes[left])[0] <= iou]
  return np.array(kept, int)
