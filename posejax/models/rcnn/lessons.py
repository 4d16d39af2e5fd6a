"""What the stages of a two-stage detector learn from in a step, and the losses.

Source: torchvision/models/detection/{rpn,roi_heads}.py.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from posejax import losses as losses_lib
from posejax.codecs import rcnn_keypoints
from posejax.models.rcnn import detections, proposals
from posejax.ops import boxes as boxes_lib
from posejax.ops import matching
from posejax.types import TotalFn

_BETA = 1 / 9
"""Of the smooth L1 loss of deltas."""
_ANCHOR_IOU = 0.7, 0.3
_REGION_IOU = 0.5, 0.5
_ANCHOR_FRACTION, _REGION_FRACTION = 0.5, 0.25
"""Of what is drawn, the most that belongs to objects."""

Truth = Mapping[str, jax.Array]


class Lesson(NamedTuple):
  """Boxes that were drawn to be learnt from, S of each picture, and what the net says of them.

  Attributes:
    references: `[B, S, 4]`, anchors or regions.
    valid: bool `[B, S]`.
    matched: int32 `[B, S]`, the numbers of the objects they belong to, negative for the background.
    logits: `[B, S]` of an object, or `[B, S, C]` of the outcomes.
    deltas: `[B, S, 4]` or `[B, S, C, 4]`.
    heatmaps: `[B, S', s, s, K]` of the first S' regions, or None.
  """

  references: jax.Array
  valid: jax.Array
  matched: jax.Array
  logits: jax.Array | None = None
  deltas: jax.Array | None = None
  heatmaps: jax.Array | None = None


def most_positive(num_regions: int) -> int:
  """Return how many of the regions can belong to objects; they are the first."""
  return int(num_regions * _REGION_FRACTION)


def of_anchors(
  key: jax.Array,
  logits: Mapping[int, jax.Array],
  deltas: Mapping[int, jax.Array],
  anchors: Mapping[int, jax.Array],
  truth: Truth,
  num: int,
) -> Lesson:
  """Return the lesson of `num` anchors of each picture.

  Args:
    key: which are drawn.
    logits: `{stride: [B, A]}`.
    deltas: `{stride: [B, A, 4]}`.
    anchors: `{stride: [A, 4]}`.
    truth: as `RCNN.learn` takes it.
    num: S.
  """
  strides = sorted(anchors)
  references = jnp.concatenate([anchors[s] for s in strides])
  flat = [jnp.concatenate([values[s] for s in strides], 1) for values in (logits, deltas)]

  def of_picture(key, logits, deltas, boxes, mask, ignore):
    matched = matching.match(references, boxes, mask, ignore, *_ANCHOR_IOU, low_quality=True)
    drawn, valid = matching.sample(
      key, matched >= 0, matched == matching.BACKGROUND, num, _ANCHOR_FRACTION
    )
    return Lesson(references[drawn], valid, matched[drawn], logits[drawn], deltas[drawn])

  keys = jax.random.split(key, len(flat[0]))
  return jax.vmap(of_picture)(keys, *flat, truth['boxes'], truth['box_mask'], truth['box_ignore'])


def choose_regions(
  key: jax.Array, regions: jax.Array, valid: jax.Array, truth: Truth, num: int
) -> Lesson:
  """Return the references of `num` regions of each picture, those of objects first.

  The objects' own boxes are added to what was proposed.

  Args:
    key: which are drawn.
    regions: `[B, R, 4]`.
    valid: bool `[B, R]`.
    truth: as `RCNN.learn` takes it.
    num: S.
  """

  def of_picture(key, regions, valid, boxes, mask, ignore):
    regions, valid = jnp.concatenate([regions, boxes]), jnp.concatenate([valid, mask])
    matched = matching.match(regions, boxes, mask, ignore, *_REGION_IOU, low_quality=False)
    positive, negative = matched >= 0, matched == matching.BACKGROUND
    drawn, drawn_valid = matching.sample(
      key, positive & valid, negative & valid, num, _REGION_FRACTION
    )
    return Lesson(regions[drawn], drawn_valid, matched[drawn])

  keys = jax.random.split(key, len(regions))
  return jax.vmap(of_picture)(
    keys, regions, valid, truth['boxes'], truth['box_mask'], truth['box_ignore']
  )


def losses(
  of_anchors: Lesson, of_regions: Lesson, truth: Truth, total: TotalFn
) -> dict[str, jax.Array]:
  """Return float32 `[B]` losses by name, whose means over the batch torchvision adds up.

  `objectness` and `anchor_boxes` of the first stage; `classes`, `boxes` and, of nets that find them,
  `keypoints` of the second. All but the last are divided by the number of anchors or regions that the
  whole batch learns from, `keypoints` by that of keypoints that are labelled and in their regions. A
  picture's loss is its share of that, times the size of the batch. (torchvision counts what one GPU has,
  which differs for keypoints alone, as long as every picture has enough anchors and regions to draw.)

  Args:
    of_anchors: from `RCNN.learn`.
    of_regions: likewise.
    truth: as that takes it; also `keypoints` and `visibility` where heatmaps are learnt.
    total: sums counts over the whole batch.
  """
  positive, deltas = _deltas(of_anchors, truth, proposals.WEIGHTS)
  objectness = jnp.maximum(of_anchors.logits, 0) - of_anchors.logits * positive
  objectness += jnp.log1p(jnp.exp(-jnp.abs(of_anchors.logits)))
  anchor_boxes = losses_lib.huber(of_anchors.deltas - deltas, _BETA).sum(-1) * positive

  positive, deltas = _deltas(of_regions, truth, detections.WEIGHTS)
  labels = jnp.take_along_axis(truth['labels'], jnp.maximum(of_regions.matched, 0), 1)
  outcomes = jnp.where(positive, labels + 1, 0)
  likelihood = jax.nn.log_softmax(of_regions.logits)
  classes = -jnp.take_along_axis(likelihood, outcomes[..., None], -1)[..., 0]
  predicted = jnp.take_along_axis(of_regions.deltas, outcomes[..., None, None], 2)[:, :, 0]
  boxes = losses_lib.huber(predicted - deltas, _BETA).sum(-1) * positive
  counted = {'anchors': of_anchors.valid, 'regions': of_regions.valid}
  found = {
    'objectness': ('anchors', objectness),
    'anchor_boxes': ('anchors', anchor_boxes),
    'classes': ('regions', classes),
    'boxes': ('regions', boxes),
  }
  if of_regions.heatmaps is not None:
    keypoints, counted['keypoints'] = _keypoints(of_regions, truth)
    found['keypoints'] = 'keypoints', keypoints
  counts = {name: valid.sum(dtype=jnp.float32) for name, valid in counted.items()}
  counts, pictures = total((counts, jnp.float32(len(truth['boxes']))))
  return {
    name: _sums(values, counted[what]) * (pictures / jnp.maximum(counts[what], 1))
    for name, (what, values) in found.items()
  }


def _keypoints(lesson: Lesson, truth: Truth) -> tuple[jax.Array, jax.Array]:
  """Return the cross-entropy of every keypoint's cell, `[B, S', K]`, and which of them count."""
  B, S, side, _, K = lesson.heatmaps.shape
  matched = lesson.matched[:, :S]
  places = jnp.maximum(matched, 0)
  visibility = jnp.take_along_axis(truth['visibility'], places[..., None], 1)
  visibility *= (lesson.valid[:, :S] & (matched >= 0))[..., None]
  # Boxes are by edges, where the pixel at 0 has its centre at 0.5.
  keypoints = jnp.take_along_axis(truth['keypoints'], places[..., None, None], 1) + 0.5
  cells, valid = rcnn_keypoints.encode(keypoints, visibility, lesson.references[:, :S], side)
  likelihood = jax.nn.log_softmax(lesson.heatmaps.reshape(B, S, side * side, K), 2)
  cross_entropy = -jnp.take_along_axis(likelihood, cells[:, :, None], 2)[:, :, 0]
  return cross_entropy, valid


def _deltas(lesson: Lesson, truth: Truth, weights) -> tuple[jax.Array, jax.Array]:
  """Return which references belong to objects, `[B, S]`, and the deltas to these, else 0."""
  positive = lesson.valid & (lesson.matched >= 0)
  objects = jnp.take_along_axis(truth['boxes'], jnp.maximum(lesson.matched, 0)[..., None], 1)
  # Any box does for those that belong to none, but not one without sides, whose deltas are no numbers.
  unit = jnp.array([0.0, 0, 1, 1])
  objects, references = (
    jnp.where(positive[..., None], boxes, unit) for boxes in (objects, lesson.references)
  )
  return positive, boxes_lib.encode(objects, references, weights)


def _sums(losses: jax.Array, counted: jax.Array) -> jax.Array:
  """Return `[B]`: each picture's sum of what is counted."""
  return jnp.where(counted, losses, 0).sum(tuple(range(1, losses.ndim)))
