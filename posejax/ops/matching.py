"""Which annotated box an anchor or a proposal is to learn, and which of them do learn in a step.

Source: torchvision/models/detection/_utils.py, `Matcher` and `BalancedPositiveNegativeSampler`.
"""

import jax
from jax import lax
import jax.numpy as jnp

from posejax.ops import boxes as boxes_lib

BACKGROUND = -1
"""Matches nothing."""
IGNORED = -2
"""Matches something too badly to be either, or lies in a crowd."""
CROWD_SHARE = 0.5
"""What has more of its area than this in a crowd's box is no background."""


def match(
  references: jax.Array,
  boxes: jax.Array,
  box_mask: jax.Array,
  crowds: jax.Array,
  high: float,
  low: float,
  low_quality: bool,
) -> jax.Array:
  """Return which box each of the references (anchors or proposals) belongs to.

  Args:
    references: `[A, 4]`.
    boxes: `[N, 4]` annotated boxes and padding.
    box_mask: bool `[N]`, the boxes to match.
    crowds: bool `[N]`, the boxes around crowds, which match nothing; none of them is in `box_mask`.
    high: intersection over union with the best box from which on a reference belongs to it.
    low: below it the reference is background; between, it is ignored.
    low_quality: a box's best references belong, whatever the overlap, to the box that is best for them.

  Returns:
    int32 `[A]`: the number of a box (of equally good ones the first), `BACKGROUND` or `IGNORED`.
  """
  overlap = jnp.where(box_mask[:, None], boxes_lib.iou(boxes, references), -1)
  best, number = overlap.max(0), overlap.argmax(0).astype(jnp.int32)
  matched = jnp.where(best >= high, number, jnp.where(best >= low, IGNORED, BACKGROUND))
  if low_quality:
    # A box that no reference overlaps has no best ones (torchvision takes all, at 0).
    most = overlap.max(1, keepdims=True)
    rescued = ((overlap == most) & (most > 0)).any(0)
    matched = jnp.where(rescued, number, matched)
  crowded = (boxes_lib.shares(references, boxes) > CROWD_SHARE) & crowds
  return jnp.where((matched == BACKGROUND) & crowded.any(1), IGNORED, matched)


def sample(
  key: jax.Array, positive: jax.Array, negative: jax.Array, num: int, positive_fraction: float
) -> tuple[jax.Array, jax.Array]:
  """Draw `num` references, at most a share of them positive, the rest negative.

  Args:
    key: of the draw.
    positive: bool `[A]`.
    negative: bool `[A]`, A at least `num`.
    num: how many are drawn; fewer are valid where there are not enough.
    positive_fraction: of `num`, the most that are positive; what is missing is filled with negatives.

  Returns:
    `(indices int32 [num], valid bool [num])`: the positives first, which are among the first
    `int(num * positive_fraction)`; then the negatives, then what is not valid.
  """
  priority = jax.random.uniform(key, positive.shape)
  most = int(num * positive_fraction)
  value, positives = lax.top_k(jnp.where(positive, priority, -1), most)
  is_positive = value >= 0
  value, negatives = lax.top_k(jnp.where(negative, priority, -1), num)
  is_negative = (value >= 0) & (jnp.arange(num) < num - is_positive.sum())
  valid = jnp.concatenate([is_positive, is_negative])
  chosen = jnp.argsort(~valid, stable=True)[:num]
  return jnp.concatenate([positives, negatives])[chosen].astype(jnp.int32), valid[chosen]
