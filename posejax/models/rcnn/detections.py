"""The second stage's result: boxes with a class and a score.

Source: torchvision/models/detection/roi_heads.py, `RoIHeads.postprocess_detections`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from posejax.ops import boxes as boxes_lib
from posejax.ops import nms

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Of the deltas."""
_LEAST_SCORE = 0.05
_LEAST_SIDE = 1e-2
_IOU = 0.5


class Detections(NamedTuple):
  """What was found on a batch of pictures, the best first.

  Attributes:
    boxes: `[B, D, 4]` xyxy on the canvas, continuous coordinates as in `posejax.ops`.
    scores: `[B, D]` in [0, 1]; 0 where there is nothing.
    labels: int32 `[B, D]`, the classes, from 0 on without the background; 0 where there is nothing.
  """

  boxes: jax.Array
  scores: jax.Array
  labels: jax.Array


def detect(
  logits: jax.Array,
  deltas: jax.Array,
  proposals: jax.Array,
  valid: jax.Array,
  image_sizes: jax.Array,
  num_detections: int,
) -> Detections:
  """Return the best boxes of all classes, those of one class apart from one another.

  Args:
    logits: `[B, R, C]`, the background's first.
    deltas: `[B, R, C, 4]`.
    proposals: `[B, R, 4]`.
    valid: bool `[B, R]`, which proposals are any.
    image_sizes: `[B, 2]`, (h, w) of the part of the canvas that is filled.
    num_detections: at most so many on a picture.
  """

  def of_picture(logits, deltas, proposals, valid, size):
    classes = logits.shape[-1] - 1
    scores = jax.nn.softmax(logits)[:, 1:].reshape(-1)
    boxes = boxes_lib.decode(deltas[:, 1:], proposals[:, None], WEIGHTS).reshape(-1, 4)
    boxes = boxes_lib.clip(boxes, size)
    labels = jnp.tile(jnp.arange(classes, dtype=jnp.int32), len(proposals))
    large = (boxes[:, 2:] - boxes[:, :2] >= _LEAST_SIDE).all(-1)
    counts = jnp.repeat(valid, classes) & large & (scores > _LEAST_SCORE)
    kept, found = nms.batched_nms(
      boxes, jnp.where(counts, scores, -jnp.inf), labels, _IOU, num_detections
    )
    return Detections(
      jnp.where(found[:, None], boxes[kept], 0),
      jnp.where(found, scores[kept], 0),
      jnp.where(found, labels[kept], 0),
    )

  return jax.vmap(of_picture)(logits, deltas, proposals, valid, image_sizes)
