"""What CSPNeXt, its neck and RTMDet's head are made of: convolutions with norm and SiLU, CSP layers.

Source: mmdet/models/layers/csp_layer.py and se_layer.py of open-mmlab/mmdetection, ConvModule and
DepthwiseSeparableConvModule of open-mmlab/mmcv (Apache-2.0).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models.mobile_layers import DepthwiseConv

uniform_fan_in = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
"""U(-b, b), b = 1 / sqrt(kh * kw * C_in). Source: init_cfg of mmdet's CSPNeXt (Kaiming, a = sqrt(5))."""


class ConvUnit(nn.Module):
  """Convolution without bias, batch norm, SiLU. Parameters: `conv`, `bn`.

  Attributes:
    features: channels of the result; None for a depthwise convolution.
    size, stride: of the kernel, which is padded symmetrically.
    conv, norm: constructors of layers.
    dtype: of a depthwise convolution.
    kernel_init: of the convolution.
  """

  features: int | None
  size: int
  stride: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  dtype: Any = 'float32'
  kernel_init: Callable = uniform_fan_in

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Map `[B, h, w, C]` to `[B, ceil(h / stride), ceil(w / stride), features]`."""
    if self.features is None:
      conv = DepthwiseConv(
        self.size,
        self.stride,
        dtype=self.dtype,
        symmetric=True,
        kernel_init=self.kernel_init,
        name='conv',
      )
    else:
      conv = self.conv(
        self.features, self.size, self.stride, kernel_init=self.kernel_init, name='conv'
      )
    return nn.silu(self.norm(name='bn')(conv(x), train))


class Separable(nn.Module):
  """A depthwise `ConvUnit` and one of 1x1. Parameters: `depthwise`, `pointwise`."""

  features: int
  size: int
  stride: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  dtype: Any = 'float32'
  kernel_init: Callable = uniform_fan_in

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Map `[B, h, w, C]` to `[B, ceil(h / stride), ceil(w / stride), features]`."""
    rest = (self.conv, self.norm, self.dtype, self.kernel_init)
    x = ConvUnit(None, self.size, self.stride, *rest, name='depthwise')(x, train)
    return ConvUnit(self.features, 1, 1, *rest, name='pointwise')(x, train)


def spatial(depthwise: bool) -> Callable[..., nn.Module]:
  """Return what stands for a convolution over several pixels: `Separable` where `depthwise`."""
  return Separable if depthwise else ConvUnit


class CspBlock(nn.Module):
  """A 3x3 convolution and a separable 5x5 one, with or without a shortcut around both.

  Parameters: `conv1`, `conv2`.
  """

  depthwise: bool
  shortcut: bool
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Map `[B, h, w, C]` to the same shape."""
    channels, rest = x.shape[-1], (self.conv, self.norm, self.dtype)
    y = spatial(self.depthwise)(channels, 3, 1, *rest, name='conv1')(x, train)
    y = Separable(channels, 5, 1, *rest, name='conv2')(y, train)
    return y + x if self.shortcut else y


class ChannelAttention(nn.Module):
  """Every channel times what a 1x1 convolution makes of the means of all. Parameters: `fc`."""

  conv: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Map `[B, h, w, C]` to the same shape."""
    means = x.mean((1, 2), keepdims=True)
    share = self.conv(x.shape[-1], 1, bias=True, kernel_init=uniform_fan_in, name='fc')(means)
    return x * nn.hard_sigmoid(share)


class CspLayer(nn.Module):
  """Half the channels through blocks, half past them, and both joined by a 1x1 convolution.

  Parameters: `main_conv`, `short_conv`, `block0` …, `attention` where there is one, `final_conv`.
  """

  features: int
  blocks: int
  shortcut: bool
  attention: bool
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  depthwise: bool = False
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Map `[B, h, w, C]` to `[B, h, w, features]`."""
    rest = (self.conv, self.norm, self.dtype)
    past = ConvUnit(self.features // 2, 1, 1, *rest, name='short_conv')(x, train)
    x = ConvUnit(self.features // 2, 1, 1, *rest, name='main_conv')(x, train)
    for i in range(self.blocks):
      x = CspBlock(self.depthwise, self.shortcut, *rest, name=f'block{i}')(x, train)
    x = jnp.concatenate([x, past], -1)
    if self.attention:
      x = ChannelAttention(self.conv, name='attention')(x)
    return ConvUnit(self.features, 1, 1, *rest, name='final_conv')(x, train)


class SppBottleneck(nn.Module):
  """Maxima over 5x5, 9x9 and 13x13 pixels beside the map itself. Parameters: `conv1`, `conv2`."""

  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Map `[B, h, w, C]` to the same shape."""
    channels, rest = x.shape[-1], (self.conv, self.norm, self.dtype)
    maps = [ConvUnit(channels // 2, 1, 1, *rest, name='conv1')(x, train)]
    for _ in range(3):  # a maximum over 5 of maxima over n reaches over n + 4
      maps.append(maximum_over_5x5(maps[-1]))
    return ConvUnit(channels, 1, 1, *rest, name='conv2')(jnp.concatenate(maps, -1), train)


def maximum_over_5x5(x: jax.Array) -> jax.Array:
  """Return the largest value of the 5x5 pixels around each; what lies outside does not count."""
  for axis in (1, 2):
    widths = [(0, 0)] * x.ndim
    widths[axis] = (2, 2)
    padded = jnp.pad(x, widths, constant_values=-jnp.inf)
    y = x
    for start in (0, 1, 3, 4):
      other = jax.lax.slice_in_dim(padded, start, start + x.shape[axis], axis=axis)
      y = jnp.where(other > y, other, y)
    x = y
  return x
