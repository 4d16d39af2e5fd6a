"""The heads of two-stage detectors: what a map proposes, what a box holds, where keypoints are.

Source: torchvision/models/detection/{rpn,faster_rcnn,keypoint_rcnn}.py.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models import layers

_SMALL = nn.initializers.normal(0.01)
_DENSE = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
"""PyTorch's for `nn.Linear`."""
_DECONV = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
"""What PyTorch's `fan_out` is of a transposed kernel."""


class RpnHead(nn.Module):
  """Of every anchor of a map: whether it is on an object, and how the object's box lies to it.

  Parameters: `conv`, `objectness`, `deltas`, the same for maps of all strides.
  """

  num_anchors: int = 3
  conv: Callable = layers.Conv

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return float32 logits `[B, h * w * A]` and deltas `[B, h * w * A, 4]` of a map `[B, h, w, C]`."""
    y = self.conv(x.shape[-1], 3, bias=True, kernel_init=_SMALL, name='conv')(x)
    y = nn.relu(y)
    A = self.num_anchors
    logits = self.conv(A, 1, bias=True, kernel_init=_SMALL, name='objectness')(y)
    deltas = self.conv(4 * A, 1, bias=True, kernel_init=_SMALL, name='deltas')(y)
    B = x.shape[0]
    return (
      logits.reshape(B, -1).astype(jnp.float32),
      deltas.reshape(B, -1, 4).astype(jnp.float32),
    )


class BoxHead(nn.Module):
  """Of every region: its class, and how the box of each class lies to it.

  Outcomes C are the background, which is the first, and the classes.

  Parameters: `fc6`, `fc7`, `classes`, `deltas`.
  """

  num_outcomes: int
  hidden: int = 1024
  dense: Callable = nn.Dense

  @nn.compact
  def __call__(self, regions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return float32 logits `[B, R, C]` and deltas `[B, R, C, 4]` of `[B, R, s, s, F]` regions."""
    B, R = regions.shape[:2]
    x = regions.reshape(B * R, -1)
    for name in ('fc6', 'fc7'):
      x = nn.relu(self.dense(self.hidden, kernel_init=_DENSE, name=name)(x))
    logits = self.dense(self.num_outcomes, kernel_init=_DENSE, name='classes')(x)
    deltas = self.dense(4 * self.num_outcomes, kernel_init=_DENSE, name='deltas')(x)
    return (
      logits.reshape(B, R, -1).astype(jnp.float32),
      deltas.reshape(B, R, -1, 4).astype(jnp.float32),
    )


class KeypointHead(nn.Module):
  """Of every region: a heatmap of logits for each keypoint, four times as high and wide.

  Parameters: `conv<i>` from 0, `deconv`.
  """

  num_keypoints: int
  features: Sequence[int] = (512,) * 8
  conv: Callable = layers.Conv
  deconv: Callable = layers.Deconv

  @nn.compact
  def __call__(self, regions: jax.Array) -> jax.Array:
    """Return float32 heatmaps `[B, R, 4 s, 4 s, K]` of `[B, R, s, s, F]` regions."""
    B, R, side = regions.shape[:3]
    x = regions.reshape(B * R, side, side, -1)
    for i, features in enumerate(self.features):
      x = nn.relu(self.conv(features, 3, bias=True, name=f'conv{i}')(x))
    x = self.deconv(self.num_keypoints, bias=True, kernel_init=_DECONV, name='deconv')(x)
    shape = (B * R, 4 * side, 4 * side, self.num_keypoints)
    x = jax.image.resize(x.astype(jnp.float32), shape, 'linear', antialias=False)
    return x.reshape(B, R, *shape[1:])
