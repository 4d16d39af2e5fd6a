"""Exact greedy non-maximum suppression of a fixed number of boxes.

Source of the semantics: torchvision/csrc/ops/cpu/nms_kernel.cpp and torchvision/ops/boxes.py: the best
box stays and removes those that overlap it by more than the threshold; of equal scores the earlier box is
the better one.
"""

import jax
from jax import lax
import jax.numpy as jnp

from posejax.ops import boxes as boxes_lib

_TILE = 64
"""Boxes that are decided upon at a time: their mutual overlaps fit a CPU's nearest cache."""


def nms(
  boxes: jax.Array, scores: jax.Array, iou_threshold: float, max_outputs: int
) -> tuple[jax.Array, jax.Array]:
  """Return which boxes stay when each, from the best on, removes those that overlap it by more.

  Args:
    boxes: `[N, 4]` xyxy.
    scores: `[N]`; a box whose score is -inf or NaN is none.
    iou_threshold: at least 0; an intersection over union above it removes.
    max_outputs: how many stay at most.

  Returns:
    `(indices int32 [max_outputs], valid bool [max_outputs])`, the best first; 0 where not valid.
  """
  return batched_nms(boxes, scores, jnp.zeros(scores.shape, jnp.int32), iou_threshold, max_outputs)


def batched_nms(
  boxes: jax.Array,
  scores: jax.Array,
  groups: jax.Array,
  iou_threshold: float,
  max_outputs: int,
) -> tuple[jax.Array, jax.Array]:
  """Return what `nms` does where only boxes of one group, `[N]` integers, remove one another.

  Groups are classes or levels. The best of all groups together come first.

  The cost is the number of boxes looked at times the number that stay: it ends when `max_outputs` are
  found. Boxes are taken by tiles; those left over by what stays already decide among themselves by
  repeating the rule until nothing changes, which is at most as many times as a tile has boxes.
  """
  n = len(scores)
  scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
  order = jnp.argsort(-scores, stable=True)
  padding = -n % _TILE
  sorted_boxes = jnp.pad(boxes[order], ((0, padding), (0, 0)))
  sorted_groups = jnp.pad(groups[order], (0, padding))
  num_boxes = (scores > -jnp.inf).sum()
  room = -(-max_outputs // _TILE) * _TILE
  later = jnp.arange(_TILE)[:, None] < jnp.arange(_TILE)[None, :]

  def unfinished(state):
    start, count, *_ = state
    return (start < num_boxes) & (count < max_outputs)

  def decide(state):
    start, count, kept, kept_boxes, kept_groups = state
    tile = lax.dynamic_slice_in_dim(sorted_boxes, start, _TILE)
    group = lax.dynamic_slice_in_dim(sorted_groups, start, _TILE)

    def removes(others, other_groups):
      overlap = boxes_lib.iou(others, tile) > iou_threshold
      return overlap & (other_groups[:, None] == group[None, :])

    def compare(i, free):
      others = lax.dynamic_slice_in_dim(kept_boxes, i * _TILE, _TILE)
      other_groups = lax.dynamic_slice_in_dim(kept_groups, i * _TILE, _TILE)
      return free & ~removes(others, other_groups).any(0)

    free = start + jnp.arange(_TILE) < num_boxes
    free = lax.fori_loop(0, (count + _TILE - 1) // _TILE, compare, free)
    mutual = removes(tile, group) & later

    def settle(pair):
      _, stays = pair
      return stays, free & ~(mutual & stays[:, None]).any(0)

    first = free & ~(mutual & free[:, None]).any(0)
    _, stays = lax.while_loop(lambda pair: (pair[0] != pair[1]).any(), settle, (free, first))
    # Those that find no room any more are written nowhere.
    place = jnp.where(stays, count + jnp.cumsum(stays) - 1, room)
    return (
      start + _TILE,
      count + stays.sum(),
      kept.at[place].set(start + jnp.arange(_TILE), mode='drop'),
      kept_boxes.at[place].set(tile, mode='drop'),
      kept_groups.at[place].set(group, mode='drop'),
    )

  empty = (
    jnp.zeros((), jnp.int32),
    jnp.zeros((), jnp.int32),
    jnp.zeros(room, jnp.int32),
    jnp.zeros((room, 4), boxes.dtype),
    jnp.zeros(room, groups.dtype),
  )
  _, count, kept, *_ = lax.while_loop(unfinished, decide, empty)
  valid = jnp.arange(max_outputs) < count
  return jnp.where(valid, order[kept[:max_outputs]], 0).astype(jnp.int32), valid
