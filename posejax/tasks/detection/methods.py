"""How detectors learn and how boxes are read off them, one method for each kind of net.

A net of one stage gives raw arrays for its whole input, which are compared with the truth afterwards. One
of two stages chooses in its forward pass where to look again, and in training needs truth and randomness
for it. A method has both: it applies the net itself. A net that is used as it was published, and not
trained here, has no loss.
"""

from collections.abc import Callable, Mapping
import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from posejax.codecs import Codec, movenet_multi, rcnn_keypoints, rtmdet, rtmdet_targets
from posejax.codecs.movenet_codec import MoveNet
from posejax.models.rcnn import detections, lessons
from posejax.types import Batch, Predictions, TotalFn

ApplyFn = Callable[..., Any]
"""`(images float [B, H, W, 3], **options) -> outputs`, the net's `apply` with its variables bound;
options are Flax's (`train`, `mutable`, `rngs`) and the net's own."""
Losses = tuple[jax.Array, dict[str, jax.Array], Mapping[str, Any]]
"""Per picture `[B]`, whose mean is learnt; scalars to be logged; the updated non-parameter variables."""


@dataclasses.dataclass(frozen=True)
class Method:
  """What makes a detector of a net.

  Attributes:
    loss: `(apply, images, truth, key, total) -> Losses`. `truth` is the batch without its images
      (`posejax.types`), `key` the step's, `total` as `Task.loss` takes it. None where the net
      is not trained.
    detect: `(apply, images, image_size) -> predictions`: `boxes` `[B, M, 4]`, `scores` `[B, M]` and
      `labels` int32 `[B, M]`, and where `keypoints`, `keypoints_crop` `[B, M, K, 2]` with
      `keypoint_scores` `[B, M, K]`. An `image_size` of None says that pictures fill their canvases.
    keypoints: whether the net finds those of who it finds; then it learns from `keypoints` too.
    sized: whether `detect` wants to know the `image_size`.
    classes: whether the net tells classes apart; else all that it finds is of one, people.
    codec: of maps of keypoints, to be looked at; `detect` then gives the net's outputs too.
  """

  loss: Callable[[ApplyFn, jax.Array, Batch, jax.Array, TotalFn], Losses] | None
  detect: Callable[[ApplyFn, jax.Array, jax.Array | None], Predictions]
  keypoints: bool = False
  sized: bool = False
  classes: bool = True
  codec: type[Codec] | None = None


def _rtmdet(
  *,
  max_detections: int = 100,
  score_threshold: float = rtmdet.SCORE_THRESHOLD,
  iou_threshold: float = rtmdet.IOU_THRESHOLD,
) -> Method:
  """Return RTMDet's.

  Args:
    max_detections: M.
    score_threshold: of the boxes that are looked at.
    iou_threshold: a box that overlaps a better one of its class by more goes.
  """

  def loss(
    apply: ApplyFn, images: jax.Array, truth: Batch, key: jax.Array, total: TotalFn
  ) -> Losses:
    outputs, state = apply(images, train=True, mutable=['batch_stats'], rngs={'dropout': key})
    example_losses, scalars = rtmdet_targets.losses(outputs, truth, total)
    return example_losses, scalars, state

  def detect(apply: ApplyFn, images: jax.Array, image_size: jax.Array | None) -> Predictions:
    del image_size  # cells are judged each by itself
    return rtmdet.select(
      *rtmdet.decode(apply(images)),
      images.shape[1:3],
      max_detections=max_detections,
      score_threshold=score_threshold,
      iou_threshold=iou_threshold,
    )

  return Method(loss, detect)


def _rcnn(*, keypoints: bool) -> Method:
  """Return that of nets of two stages.

  Args:
    keypoints: whether theirs find them; these score the logistic of their logit.
  """

  def loss(
    apply: ApplyFn, images: jax.Array, truth: Batch, key: jax.Array, total: TotalFn
  ) -> Losses:
    drawn, state = apply(images, truth, key, method='learn', mutable=['batch_stats'])
    losses = lessons.losses(*drawn, truth, total)
    return sum(losses.values()), {name: value.mean() for name, value in losses.items()}, state

  def detect(apply: ApplyFn, images: jax.Array, image_size: jax.Array | None) -> Predictions:
    outputs = apply(images, image_sizes=image_size)
    found = {name: outputs[name] for name in detections.Detections._fields}
    if keypoints:
      there = found['scores'] > 0
      points, logits = rcnn_keypoints.decode(outputs['heatmaps'], found['boxes'], there)
      scores = jax.nn.sigmoid(logits)
      # Boxes are by edges, where the pixel at 0 has its centre at 0.5.
      found['keypoints_crop'] = jnp.where(there[..., None, None], points - 0.5, 0)
      found['keypoint_scores'] = jnp.where(there[..., None], scores, 0)
    return found

  return Method(loss, detect, keypoints, sized=True)


def _movenet(*, max_people: int = movenet_multi.MAX_PEOPLE) -> Method:
  """Return MoveNet MultiPose's.

  Args:
    max_people: M.
  """

  def detect(apply: ApplyFn, images: jax.Array, image_size: jax.Array | None) -> Predictions:
    del image_size
    outputs = apply(images)
    found = movenet_multi.decode_multi(outputs, max_people)
    # Corners of boxes are edges, half a pixel outside of the outermost pixels' centres.
    found['boxes'] = found.pop('boxes_crop') + 0.5
    found['labels'] = jnp.zeros(found['scores'].shape, jnp.int32)
    order = jnp.argsort(-found['scores'], axis=1)
    surest_first = {name: jax.vmap(lambda a, at: a[at])(a, order) for name, a in found.items()}
    return {**outputs, **surest_first}

  return Method(None, detect, keypoints=True, classes=False, codec=MoveNet)


METHODS: dict[str, Callable[..., Method]] = {
  'rtmdet': _rtmdet,
  'faster_rcnn': partial(_rcnn, keypoints=False),
  'keypoint_rcnn': partial(_rcnn, keypoints=True),
  'movenet_multipose': _movenet,
}
"""Name, as in `config.codec.name` -> what makes the method of that section's other options."""
