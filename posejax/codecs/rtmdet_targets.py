"""What RTMDet learns: which cells answer for which boxes, and the losses.

Source: DynamicSoftLabelAssigner, QualityFocalLoss, GIoULoss and RTMDetHead of open-mmlab/mmdetection
(mmdet/models/task_modules/assigners/dynamic_soft_label_assigner.py, mmdet/models/losses/gfocal_loss.py,
iou_loss.py, mmdet/models/dense_heads/rtmdet_head.py; Apache-2.0).
"""

import jax
import jax.numpy as jnp

from posejax.codecs import rtmdet
from posejax.types import Array, TotalFn

CENTER_RADIUS = 3.0
"""Strides from a box's middle to a cell from which on the distance costs more than 1."""
TOP_K = 13
"""Cells whose overlaps tell how many answer for a box."""
IOU_WEIGHT = 3.0
BOX_WEIGHT = 2.0
_LOG_EPS = 1e-7
_UNION_EPS = 1e-6
_GIOU_EPS = 1e-6


def overlaps(boxes: Array, others: Array) -> jax.Array:
  """Return `[P, N]` intersections over unions, 0 for boxes whose corners are in the wrong order.

  Where mmdet's `bbox_overlaps` takes areas with their sign.
  """
  boxes, others = boxes[:, None], others[None]
  intersection = _common(boxes, others)
  union = _area(boxes) + _area(others) - intersection
  return intersection / jnp.maximum(union, _UNION_EPS)


def _common(boxes: jax.Array, others: jax.Array) -> jax.Array:
  low = jnp.maximum(boxes[..., :2], others[..., :2])
  high = jnp.minimum(boxes[..., 2:], others[..., 2:])
  sides = jnp.maximum(high - low, 0)
  return sides[..., 0] * sides[..., 1]


def _area(boxes: jax.Array) -> jax.Array:
  return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def giou_loss(boxes: jax.Array, targets: jax.Array) -> jax.Array:
  """Return `[...]`: 1 - generalised intersection over union of boxes and targets `[..., 4]`, in pairs."""
  intersection = _common(boxes, targets)
  union = jnp.maximum(_area(boxes) + _area(targets) - intersection, _GIOU_EPS)
  low = jnp.minimum(boxes[..., :2], targets[..., :2])
  high = jnp.maximum(boxes[..., 2:], targets[..., 2:])
  sides = jnp.maximum(high - low, 0)
  around = jnp.maximum(sides[..., 0] * sides[..., 1], _GIOU_EPS)
  return 1 - (intersection / union - (around - union) / around)


def focal(logits: Array, targets: Array) -> jax.Array:
  """Return the quality focal loss (beta 2) of each logit: (target - p) ** 2 times the cross entropy."""
  entropy = jax.nn.softplus(logits) - targets * logits
  return entropy * jnp.square(targets - jax.nn.sigmoid(logits))


def assign(
  boxes: Array, logits: Array, points: Array, truth_boxes: Array, truth_labels: Array, mask: Array
) -> tuple[jax.Array, jax.Array]:
  """Return which true box each cell of one picture answers for.

  The cost of a pair is the focal loss of the cell's logits against the overlap, minus the overlap's
  logarithm, and a power of the distance to the box's middle. Of the cells that lie in any box, each box
  gets those with the lowest costs, as many as the overlaps of its best 13 sum up to; a cell of several
  goes to its cheapest.

  Args:
    boxes: `[P, 4]` as decoded.
    logits: `[P, C]`.
    points: `[P, 3]` of `rtmdet.points`.
    truth_boxes: `[N, 4]`.
    truth_labels: int `[N]`.
    mask: bool `[N]`, which of the boxes are there.

  Returns:
    `(int32 [P]: number of the box, -1 for none; float32 [P]: the overlap with it)`.
  """
  low = points[:, None, :2] - truth_boxes[None, :, :2]
  high = truth_boxes[None, :, 2:] - points[:, None, :2]
  inside = (jnp.minimum(low, high) > 0).all(-1) & mask
  candidate = inside.any(1)[:, None] & mask

  middle = (truth_boxes[:, :2] + truth_boxes[:, 2:]) / 2
  away = jnp.sqrt(((points[:, None, :2] - middle) ** 2).sum(-1)) / points[:, 2:]
  overlap = jnp.where(candidate, overlaps(boxes, truth_boxes), 0)
  own = logits[:, truth_labels]
  others = focal(logits, 0.0).sum(-1, keepdims=True) - focal(own, 0.0)
  cost = focal(own, overlap) + others
  cost += -jnp.log(overlap + _LOG_EPS) * IOU_WEIGHT + 10 ** (away - CENTER_RADIUS)
  cost = jnp.where(candidate, cost, jnp.inf)

  count = min(TOP_K, len(points))
  best, _ = jax.lax.top_k(overlap.T, count)
  wanted = jnp.maximum(best.sum(1).astype(jnp.int32), 1)
  cheapest, cells = jax.lax.top_k(-cost.T, count)  # [N, count]
  taken = (jnp.arange(count) < wanted[:, None]) & (cheapest > -jnp.inf)
  N = len(truth_boxes)
  chosen = jnp.zeros((N, len(points)), bool).at[jnp.arange(N)[:, None], cells].max(taken)
  number = chosen.sum(0)
  box = jnp.where(number > 1, jnp.argmin(cost, 1), jnp.argmax(chosen, 0)).astype(jnp.int32)
  box = jnp.where(number > 0, box, -1)
  return box, jnp.where(box >= 0, jnp.take_along_axis(overlap, box[:, None], 1)[:, 0], 0)


def losses(
  outputs: dict[str, Array], truth: dict[str, Array], total: TotalFn
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """Return the loss of every picture, and its parts.

  Cells within ignored boxes are no background; they do not count unless they answer for a true box.

  Args:
    outputs: of `posejax.models.heads.RTMDetHead`, for a batch.
    truth: `boxes`, `labels`, `box_mask` and `box_ignore` of the batch (`posejax.types`).
    total: sums counts over the whole batch, as mmdet does over its GPUs (`reduce_mean`).

  Returns:
    `(float32 [B], whose mean is the batch's loss; {'class_loss', 'box_loss', 'positives'})`, the last a
    mean number of cells a picture. The sums over cells are divided by the sum of their overlaps over the
    whole batch.
  """
  boxes, logits = rtmdet.decode(outputs)
  h, w = outputs[f'classes_{rtmdet.STRIDES[0]}'].shape[1:3]
  points = rtmdet.points((h * rtmdet.STRIDES[0], w * rtmdet.STRIDES[0]))

  def targets(boxes, logits, truth_boxes, labels, mask, ignore):
    box, overlap = assign(boxes, logits, points, truth_boxes, labels, mask)
    low = points[:, None, :2] > truth_boxes[None, :, :2]
    high = points[:, None, :2] < truth_boxes[None, :, 2:]
    ignored = ((low & high).all(-1) & ignore).any(1)
    classes = jax.nn.one_hot(labels[box], logits.shape[-1]) * overlap[:, None]
    positive = box >= 0
    weights = (positive | ~ignored).astype(jnp.float32)
    return positive, overlap, truth_boxes[box], jnp.where(positive[:, None], classes, 0), weights

  frozen = jax.lax.stop_gradient((boxes, logits))
  keys = ('boxes', 'labels', 'box_mask', 'box_ignore')
  positive, overlap, aims, classes, weights = jax.vmap(targets)(*frozen, *(truth[k] for k in keys))
  class_loss = (focal(logits, classes).sum(-1) * weights).sum(1)
  # A pair that does not count has equal boxes, whose gradient is finite.
  aims = jnp.where(positive[..., None], aims, jax.lax.stop_gradient(boxes))
  box_loss = (jnp.where(positive, giou_loss(boxes, aims), 0) * overlap).sum(1) * BOX_WEIGHT
  overlaps_sum, pictures = total((overlap.sum(), jnp.float32(len(boxes))))
  a_picture = jnp.maximum(overlaps_sum, 1) / pictures
  parts = {'class_loss': class_loss / a_picture, 'box_loss': box_loss / a_picture}
  scalars = {name: loss.mean() for name, loss in parts.items()}
  return sum(parts.values()), {**scalars, 'positives': positive.sum(1).mean(dtype=jnp.float32)}
