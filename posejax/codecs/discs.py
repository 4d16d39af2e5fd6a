"""Every pixel's class as what a net outputs: the disc of a keypoint, or background."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from posejax.codecs import peaks
from posejax.codecs.base import OneOutput
from posejax.types import Array


@dataclasses.dataclass(frozen=True)
class Discs(OneOutput):
  """Keypoints as discs of pixels: class 0 is the background, class k + 1 keypoint k.

  Targets are classes `[B, H, W]`, one per pixel of the crop; where discs overlap, a pixel belongs to
  the nearest keypoint. Outputs are logits `[B, H, W, K + 1]`. A keypoint whose disc lies outside the
  crop has weight 0, like one without a label.

  Inside a disc a good net's probability is flat, so its highest pixel says little. Decoding smooths
  every class's probability by a Gaussian about as wide as the disc, whose peak is the disc's middle,
  and takes the highest pixel of that. The score is the highest probability before smoothing.

  The pixel grid mirrors onto itself, so the flip test needs no shift.

  Source: classes of pixels within a radius of each keypoint are those of Papandreou et al., "Towards
  Accurate Multi-person Pose Estimation in the Wild", CVPR 2017 (25 pixels in crops of 353 x 257).

  Attributes:
    radius: of a disc in pixels of the crop.
  """

  radius: float = 8.0

  outputs: ClassVar[tuple[str, ...]] = ('logits',)
  convention: ClassVar[str] = 'msra'
  shift_flip: ClassVar[bool] = False

  def __post_init__(self):
    super().__post_init__()
    self._check_positive('radius')

  def _encode(self, keypoints_crop: Array, visibility: Array) -> tuple[jax.Array, jax.Array]:
    """Return `(classes int32 [B, H, W], weights [B, K])`."""
    labelled = jnp.asarray(visibility) > 0
    points = jnp.where(labelled[..., None], jnp.asarray(keypoints_crop, jnp.float32), 0.0)
    # Far away is what is not labelled: it wins no pixel.
    squared = [
      (jnp.arange(length, dtype=jnp.float32)[:, None] - points[:, None, :, axis]) ** 2
      for axis, length in ((1, self.crop_size[0]), (0, self.crop_size[1]))
    ]
    along_y, along_x = jnp.where(labelled[:, None], squared[0], jnp.inf), squared[1]
    # One keypoint after the other: XLA's argmin over the last axis is slow on CPUs.
    closest = jnp.float32(self.radius**2)
    classes = jnp.int32(0)
    for k in range(points.shape[1]):
      here = along_y[:, :, None, k] + along_x[:, None, :, k]
      closer = (here < closest) | ((here == closest) & (classes == 0))
      closest = jnp.where(closer, here, closest)
      classes = jnp.where(closer, k + 1, classes)
    H, W = self.crop_size
    nearest_pixel = jnp.clip(jnp.round(points), 0, jnp.array([W - 1, H - 1]))
    reaches = ((points - nearest_pixel) ** 2).sum(axis=-1) <= self.radius**2
    return classes, (labelled & reaches).astype(jnp.float32)

  def _decode(self, outputs: Array) -> tuple[jax.Array, jax.Array]:
    """Return the pixels in the middle of the classes' highest probabilities, and those."""
    smooth = peaks.blur(self._output_maps(outputs), max(1, round(self.radius)))
    x, y, scores = peaks.maximum(smooth)
    return jnp.stack([x, y], axis=-1).astype(jnp.float32), scores

  def _flip(self, outputs: Array, flip_permutation: Array, shift: bool) -> jax.Array:
    """Mirror the maps, exchange left and right, and move by a pixel to the right if `shift`."""
    classes = np.concatenate([[0], np.asarray(flip_permutation) + 1])
    outputs = jnp.asarray(outputs)[:, :, ::-1, classes]
    return peaks.shift_right(outputs) if shift else outputs

  def _target_maps(self, targets: Array, weights: Array) -> jax.Array:
    """Return one map of 1 in the discs and 0 elsewhere, `[B, H, W, 1]`."""
    del weights  # a disc that counts for nothing is not in the targets
    return (jnp.asarray(targets) > 0).astype(jnp.float32)[..., None]

  def _output_maps(self, outputs: Array) -> jax.Array:
    """Return the keypoints' class probabilities, float32 `[B, H, W, K]`."""
    return jax.nn.softmax(jnp.asarray(outputs, jnp.float32), axis=-1)[..., 1:]
