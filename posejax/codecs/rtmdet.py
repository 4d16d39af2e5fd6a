"""RTMDet's outputs as boxes, and which of them stay.

Source: RTMDetHead of mmdet/models/dense_heads/rtmdet_head.py, DistancePointBBoxCoder and
MlvlPointGenerator (offset 0) of open-mmlab/mmdetection (Apache-2.0).
"""

import functools

import jax
import jax.numpy as jnp

from posejax.ops import nms
from posejax.types import Array

STRIDES = (8, 16, 32)
SCORE_THRESHOLD = 0.001
IOU_THRESHOLD = 0.65
"""Source: test_cfg of configs/rtmdet/rtmdet_l_8xb32-300e_coco.py."""
CANDIDATES = 1000
"""Boxes that are looked at, the best ones; mmdet takes 30,000 of each map, all there are."""


def points(size: tuple[int, int]) -> jax.Array:
  """Return float32 `[P, 3]`: x, y and stride of every cell's point on a canvas of (H, W) pixels.

  The point of a cell is its upper left corner, in edges' coordinates; cells of the smallest stride
  first, row by row.
  """
  H, W = size
  parts = []
  for stride in STRIDES:
    x, y = (jnp.arange(side // stride, dtype=jnp.float32) * stride for side in (W, H))
    grid = jnp.stack(jnp.meshgrid(x, y), -1).reshape(-1, 2)
    parts.append(jnp.concatenate([grid, jnp.full((len(grid), 1), stride, jnp.float32)], 1))
  return jnp.concatenate(parts)


def decode(outputs: dict[str, Array]) -> tuple[jax.Array, jax.Array]:
  """Return every cell's box and logits.

  Args:
    outputs: of `posejax.models.heads.RTMDetHead`.

  Returns:
    `(boxes [B, P, 4], logits [B, P, C])`, float32: xyxy in pixels of the canvas, by edges, not clipped;
    corners may be in the wrong order. Cells in the order of `points`.
  """
  flat = {'classes': [], 'distances': []}
  for stride in STRIDES:
    for name, parts in flat.items():
      y = jnp.asarray(outputs[f'{name}_{stride}'], jnp.float32)
      parts.append(y.reshape(y.shape[0], -1, y.shape[-1]))
  h, w = outputs[f'classes_{STRIDES[0]}'].shape[1:3]
  middles = points((h * STRIDES[0], w * STRIDES[0]))[:, :2]
  distances = jnp.concatenate(flat['distances'], 1)
  boxes = jnp.concatenate([middles - distances[..., :2], middles + distances[..., 2:]], -1)
  return boxes, jnp.concatenate(flat['classes'], 1)


def select(
  boxes: Array,
  logits: Array,
  size: tuple[int, int],
  *,
  max_detections: int,
  score_threshold: float = SCORE_THRESHOLD,
  iou_threshold: float = IOU_THRESHOLD,
) -> dict[str, jax.Array]:
  """Return the boxes of each picture that are sure enough and not of the same thing.

  A cell may be of several classes; boxes of different classes do not remove one another.

  Args:
    boxes: as `decode` gives them.
    logits: likewise.
    size: (H, W) of the canvas, which boxes are cut to.
    max_detections: M.
    score_threshold: of the boxes that are looked at.
    iou_threshold: a box that overlaps a better one of its class by more goes.

  Returns:
    `boxes` `[B, M, 4]`, `scores` `[B, M]` and `labels` int32 `[B, M]`, the surest first; scores and all
    else are 0 where there are no more.
  """
  one = functools.partial(
    _select,
    size=size,
    max_detections=max_detections,
    score_threshold=score_threshold,
    iou_threshold=iou_threshold,
  )
  return jax.vmap(one)(boxes, logits)


def _select(boxes, logits, size, max_detections, score_threshold, iou_threshold):
  H, W = size
  num_classes = logits.shape[-1]
  scores = jax.nn.sigmoid(logits).reshape(-1)
  # What is not finite is nothing.
  finite = jnp.isfinite(boxes).all(-1)
  scores = jnp.where(jnp.repeat(finite, num_classes) & (scores > score_threshold), scores, 0)
  scores, best = jax.lax.top_k(scores, min(CANDIDATES, len(scores)))
  labels = (best % num_classes).astype(jnp.int32)
  boxes = jnp.where(finite[:, None], boxes, 0)[best // num_classes]
  boxes = jnp.clip(boxes, 0, jnp.array([W, H, W, H], jnp.float32))
  there = (scores > 0) & (boxes[:, 2:] > boxes[:, :2]).all(-1)
  kept, valid = nms.batched_nms(
    boxes, jnp.where(there, scores, -jnp.inf), labels, iou_threshold, max_detections
  )
  return {
    'boxes': jnp.where(valid[:, None], boxes[kept], 0),
    'scores': jnp.where(valid, scores[kept], 0),
    'labels': jnp.where(valid, labels[kept], 0),
  }
