"""Two-stage detectors: a feature pyramid proposes regions, heads say what is in them."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.errors import PosejaxError
from posejax.models.rcnn import detections, lessons, proposals
from posejax.models.rcnn.lessons import Lesson
from posejax.ops import roi_align

MULTIPLE = 32
"""Of pixels: what height and width of a canvas are divisible by."""
BOX_BINS, KEYPOINT_BINS = 7, 14
"""Of a region, per axis."""


class RCNN(nn.Module):
  """Pictures to proposals, detections and their keypoints' heatmaps.

  Parameters: `backbone`, `neck`, `rpn`, `box_head`, and `keypoint_head` where there is one.

  Regions are taken from the backbone's strides and not from the coarser one that the neck adds.

  Attributes:
    backbone: `(images, train) -> {stride: map}`.
    neck: `(maps, train) -> maps` of as many channels each, at one stride more.
    rpn: `map -> (logits, deltas)` of anchors.
    box_head: `regions -> (logits, deltas)` of classes.
    keypoint_head: `regions -> heatmaps`, or None.
    num_proposals: that are looked at when predicting; also how many of a level are before suppression.
    num_detections: that are kept of a picture.
    train_proposals: as `num_proposals`, when training.
    anchor_samples: of a picture, how many the first stage learns from in a step.
    region_samples: the second stage.
    keypoint_samples: of these, from how many that are of objects keypoints are learnt.
  """

  backbone: nn.Module
  neck: nn.Module
  rpn: nn.Module
  box_head: nn.Module
  keypoint_head: nn.Module | None = None
  num_proposals: int = 1000
  num_detections: int = 100
  train_proposals: int = 2000
  anchor_samples: int = 256
  region_samples: int = 512
  keypoint_samples: int = 128

  def features(self, images: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the pyramid `{stride: [B, h, w, C]}` of normalised pictures `[B, H, W, 3]`.

    Raises:
      PosejaxError: H or W is not divisible by 32.
    """
    if any(side % MULTIPLE for side in images.shape[1:3]):
      better = tuple(-(-side // MULTIPLE) * MULTIPLE for side in images.shape[1:3])
      raise PosejaxError(
        f'A canvas of {images.shape[1:3]} must be divisible by {MULTIPLE} both ways; pad it to {better}.'
      )
    return self.neck(self.backbone(images, train), train)

  def anchors(self, pyramid: dict[int, jax.Array]) -> dict[int, jax.Array]:
    """Return `{stride: [A, 4]}` anchors on the canvas that a pyramid is of."""
    stride = min(pyramid)
    h, w = pyramid[stride].shape[1:3]
    return proposals.anchors_of(pyramid, (stride * h, stride * w))

  def objectness(
    self, pyramid: dict[int, jax.Array]
  ) -> tuple[dict[int, jax.Array], dict[int, jax.Array]]:
    """Return `{stride: logits [B, A]}` and `{stride: deltas [B, A, 4]}` of all anchors."""
    pairs = {stride: self.rpn(x) for stride, x in pyramid.items()}
    return {s: pair[0] for s, pair in pairs.items()}, {s: pair[1] for s, pair in pairs.items()}

  def classify(
    self, pyramid: dict[int, jax.Array], boxes: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Return logits `[B, R, C]` and deltas `[B, R, C, 4]` of what is in boxes `[B, R, 4]`."""
    return self.box_head(self._regions(pyramid, boxes, BOX_BINS))

  def heatmaps(self, pyramid: dict[int, jax.Array], boxes: jax.Array) -> jax.Array:
    """Return `[B, R, 56, 56, K]` logits of where keypoints lie in boxes `[B, R, 4]`."""
    return self.keypoint_head(self._regions(pyramid, boxes, KEYPOINT_BINS))

  def __call__(
    self, images: jax.Array, train: bool = False, image_sizes: jax.Array | None = None
  ) -> dict[str, jax.Array]:
    """Return what every stage finds on pictures.

    Args:
      images: `[B, H, W, 3]`, normalised, zeros where a canvas is not filled.
      train: toggles batch statistics.
      image_sizes: `[B, 2]`, (h, w) of the filled part; None where all of it is.

    Returns:
      `proposals` `[B, R, 4]` and `proposal_scores` `[B, R]` (-inf where there is none), `class_logits`
      `[B, R, C]`, `class_deltas` `[B, R, C, 4]`; the detections made of them, `boxes` `[B, D, 4]`,
      `scores` and `labels` `[B, D]`, as `Detections` says; `heatmaps` `[B, D, 56, 56, K]` of these
      where there is a head for keypoints.
    """
    if image_sizes is None:
      image_sizes = jnp.broadcast_to(jnp.array(images.shape[1:3]), (images.shape[0], 2))
    pyramid = self.features(images, train)
    logits, deltas = self.objectness(pyramid)
    regions, scores = proposals.propose(
      logits, deltas, self.anchors(pyramid), image_sizes, self.num_proposals, self.num_proposals
    )
    class_logits, class_deltas = self.classify(pyramid, regions)
    found = detections.detect(
      class_logits, class_deltas, regions, scores > -jnp.inf, image_sizes, self.num_detections
    )
    outputs = {
      'proposals': regions,
      'proposal_scores': scores,
      'class_logits': class_logits,
      'class_deltas': class_deltas,
      **found._asdict(),
    }
    if self.keypoint_head is not None:
      outputs['heatmaps'] = self.heatmaps(pyramid, found.boxes)
    return outputs

  def learn(
    self, images: jax.Array, truth: Mapping[str, jax.Array], key: jax.Array
  ) -> tuple[Lesson, Lesson]:
    """Return what either stage gives for what it is to learn from, with batch statistics.

    Args:
      images: `[B, H, W, 3]`, normalised, zeros where a canvas is not filled.
      truth: `boxes`, `labels`, `box_mask`, `box_ignore`, `image_size` of a batch (`posejax.types`).
      key: which anchors and regions are drawn.

    Returns:
      The lessons of anchors and of regions. In the latter `heatmaps` of the first regions, at most
      `keypoint_samples`, where there is a head for keypoints.
    """
    anchor_key, region_key = jax.random.split(key)
    pyramid = self.features(images, train=True)
    logits, deltas = self.objectness(pyramid)
    anchors = self.anchors(pyramid)
    regions, scores = proposals.propose(
      logits, deltas, anchors, truth['image_size'], self.train_proposals, self.train_proposals
    )
    of_anchors = lessons.of_anchors(anchor_key, logits, deltas, anchors, truth, self.anchor_samples)
    chosen = lessons.choose_regions(
      region_key, regions, scores > -jnp.inf, truth, self.region_samples
    )
    logits, deltas = self.classify(pyramid, chosen.references)
    heatmaps = None
    if self.keypoint_head is not None:
      few = min(self.keypoint_samples, lessons.most_positive(self.region_samples))
      heatmaps = self.heatmaps(pyramid, chosen.references[:, :few])
    return of_anchors, chosen._replace(logits=logits, deltas=deltas, heatmaps=heatmaps)

  def _regions(self, pyramid, boxes, bins):
    coarsest = max(pyramid)
    fine = {stride: x for stride, x in pyramid.items() if stride < coarsest}
    return roi_align.roi_align(fine, boxes, bins)
