"""NanoDet's outputs as boxes.

Source: `NanoDetHead.get_bboxes` and `Integral` of RangiLyu/nanodet v0.4
nanodet/model/head/nanodet_head.py and nanodet/model/head/gfl_head.py (Apache-2.0).
"""

import jax
import jax.numpy as jnp
import numpy as np

from posejax.geometry.nms import nms
from posejax.types import Array

STRIDES = (8, 16, 32)
PERSON = 0
"""COCO's first class."""
THRESHOLD = 0.03
IOU = 0.6
"""Source: `nms` of the same file."""
_MOST = 300
"""Boxes that are looked at, the best ones: a crowd's, and suppression takes their square."""


def decode(outputs: dict[str, Array]) -> tuple[jax.Array, jax.Array]:
  """Return every cell's box and class probabilities.

  A side's distance from the middle of the cell is the expectation of its distribution over 0, 1 … 10
  strides.

  Args:
    outputs: `classes_<stride>` `[B, h, w, C]` and `sides_<stride>` `[B, h, w, 44]`, logits.

  Returns:
    `(boxes_crop [B, N, 4], scores [B, N, C])`: xyxy in pixels of the net's input, pixel centres at
    integers, not clipped; in [0, 1]. Cells of all strides, the smallest first, row by row.
  """
  boxes, scores = [], []
  for stride in STRIDES:
    sides = jnp.asarray(outputs[f'sides_{stride}'], jnp.float32)
    B, h, w, channels = sides.shape
    bins = channels // 4
    likely = jax.nn.softmax(sides.reshape(B, h, w, 4, bins))
    distances = stride * (likely * jnp.arange(bins, dtype=jnp.float32)).sum(-1)
    x, y = jnp.arange(w) + 0.5, jnp.arange(h) + 0.5
    middle = stride * jnp.stack(jnp.meshgrid(x, y), -1) - 0.5
    corners = [middle - distances[..., :2], middle + distances[..., 2:]]
    boxes.append(jnp.concatenate(corners, -1).reshape(B, h * w, 4))
    classes = jnp.asarray(outputs[f'classes_{stride}'], jnp.float32)
    scores.append(jax.nn.sigmoid(classes).reshape(B, h * w, -1))
  return jnp.concatenate(boxes, 1), jnp.concatenate(scores, 1)


def select(
  boxes: Array, scores: Array, threshold: float = THRESHOLD, iou: float = IOU
) -> tuple[np.ndarray, np.ndarray]:
  """Return the boxes of one class on one picture that are sure enough and not of the same thing.

  Args:
    boxes: `[N, 4]` xyxy, one picture's of `decode`.
    scores: `[N]`, of the class, e.g. `scores[b, :, PERSON]`.
    threshold: on the score.
    iou: of two boxes that overlap by more, the better one stays.

  Returns:
    `(boxes [M, 4], scores [M])`, the surest first.
  """
  boxes, scores = np.asarray(boxes), np.asarray(scores)
  finite = np.isfinite(boxes).all(-1)
  best = np.argsort(-np.where(finite, scores, -1), kind='stable')[:_MOST]
  best = best[finite[best] & (scores[best] >= threshold)]
  best = best[nms(boxes[best], scores[best], iou)]
  return boxes[best], scores[best]
