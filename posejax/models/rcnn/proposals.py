"""The first stage's result: regions that are worth a look.

Source: torchvision/models/detection/rpn.py, `RegionProposalNetwork.filter_proposals`.
"""

from collections.abc import Mapping

import jax
from jax import lax
import jax.numpy as jnp

from posejax.ops import anchors as anchors_lib
from posejax.ops import boxes as boxes_lib
from posejax.ops import nms

RATIOS = (0.5, 1.0, 2.0)
"""Heights by widths of the anchors."""
ANCHOR_STRIDES = 8
"""An anchor is the square of so many strides of its map."""
WEIGHTS = (1.0, 1.0, 1.0, 1.0)
"""Of the deltas."""
_IOU = 0.7
_LEAST_SIDE = 1e-3


def anchors_of(maps: Mapping[int, jax.Array], canvas_hw: tuple[int, int]) -> dict[int, jax.Array]:
  """Return `{stride: [A, 4]}`: the anchors of maps of a canvas.

  They are as far apart as whole rows and columns of the map go into the canvas, which at the
  coarsest stride is less than the stride where the map is rounded up, as in torchvision.
  """
  anchors = {}
  for stride in sorted(maps):
    grid = maps[stride].shape[1:3]
    steps = (canvas_hw[0] // grid[0], canvas_hw[1] // grid[1])
    cells = anchors_lib.cell_anchors(ANCHOR_STRIDES * stride, RATIOS)
    anchors[stride] = anchors_lib.grid_anchors(grid, steps, cells)
  return anchors


def propose(
  logits: Mapping[int, jax.Array],
  deltas: Mapping[int, jax.Array],
  anchors: Mapping[int, jax.Array],
  image_sizes: jax.Array,
  num_before: int,
  num_after: int,
) -> tuple[jax.Array, jax.Array]:
  """Return the most likely objects' boxes, those of one level apart from one another.

  Args:
    logits: `{stride: [B, A]}`.
    deltas: `{stride: [B, A, 4]}`.
    anchors: `{stride: [A, 4]}`.
    image_sizes: `[B, 2]`, (h, w) of the part of the canvas that is filled.
    num_before: of a level, how many of its best are looked at.
    num_after: how many there are in the end, of all levels.

  Returns:
    `(boxes [B, num_after, 4], scores [B, num_after])`, the best first; -inf and boxes of zeros where
    there are fewer. No gradient goes through either.
  """

  def of_picture(logits, deltas, size):
    boxes, scores, groups = [], [], []
    for level, stride in enumerate(sorted(anchors)):
      logit, place = lax.top_k(logits[stride], min(num_before, logits[stride].shape[-1]))
      box = boxes_lib.decode(deltas[stride][place], anchors[stride][place], WEIGHTS)
      boxes.append(boxes_lib.clip(box, size))
      scores.append(jax.nn.sigmoid(logit))
      groups.append(jnp.full(place.shape, level))
    boxes, scores, groups = map(jnp.concatenate, (boxes, scores, groups))
    large = (boxes[:, 2:] - boxes[:, :2] >= _LEAST_SIDE).all(-1)
    scores = jnp.where(large, scores, -jnp.inf)
    kept, valid = nms.batched_nms(boxes, scores, groups, _IOU, num_after)
    return jnp.where(valid[:, None], boxes[kept], 0), jnp.where(valid, scores[kept], -jnp.inf)

  logits, deltas = lax.stop_gradient((dict(logits), dict(deltas)))
  return jax.vmap(of_picture)(logits, deltas, image_sizes)
