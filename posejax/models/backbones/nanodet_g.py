"""NanoDet-g's backbone: cross-stage partial blocks, of plain convolutions that accelerators like.

Source: `CustomCspNet` of RangiLyu/nanodet nanodet/model/backbone/custom_csp.py (Apache-2.0), with
config/legacy_v0.x_configs/nanodet-g.yml.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models import layers

STEM = 32
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2))
"""(inner blocks, stride) of each stage; a stage doubles the channels."""
SLOPE = 0.1
"""Of the leaky ReLU."""

leaky_relu = partial(nn.leaky_relu, negative_slope=SLOPE)


class ConvBlock(nn.Module):
  """Convolution with bias and a leaky ReLU; its batch norm is folded in. Parameters: `conv`."""

  features: int
  size: int = 3
  stride: int = 1
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolve `[B, h, w, C]` to `[B, h', w', features]`."""
    conv = layers.Conv(
      self.features, self.size, self.stride, bias=True, dtype=self.dtype, name='conv'
    )
    return leaky_relu(conv(x))


class Stage(nn.Module):
  """A convolution, and beside it inner blocks that each lay two halves side by side.

  Parameters: `in_conv`, `inner<i>_in` and `inner<i>_mid` from 0, `out_conv`.
  """

  inner: int
  stride: int
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Return `[B, h / stride, w / stride, 2 * C]`."""
    channels = x.shape[-1]
    x = ConvBlock(channels, 3, self.stride, self.dtype, name='in_conv')(x)
    y = x
    for i in range(self.inner):
      y = ConvBlock(channels // 2, dtype=self.dtype, name=f'inner{i}_in')(y)
      y = jnp.concatenate(
        [ConvBlock(channels // 2, dtype=self.dtype, name=f'inner{i}_mid')(y), y], -1
      )
    y = ConvBlock(channels, dtype=self.dtype, name='out_conv')(y)
    return jnp.concatenate([y, x], -1)


class NanoDetG(nn.Module):
  """Return maps of 128, 256 and 512 channels at strides 8, 16 and 32.

  Parameters: `stem`, `stage0` … `stage3`.
  """

  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature maps of normalised `[B, H, W, 3]`, BGR."""
    del train
    x = ConvBlock(STEM, 3, 2, self.dtype, name='stem')(x)
    x = layers.max_pool(x, 3, 2, 1)
    maps = {}
    for i, (inner, stride) in enumerate(STAGES):
      x = Stage(inner, stride, self.dtype, name=f'stage{i}')(x)
      if i:
        maps[4 * 2**i] = x
    return maps
