"""MobileNetV2 as MoveNet has it: the width of its last layer is fixed, and batch norm may be folded.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018; layers and
padding as in keras-team/keras keras/src/applications/mobilenet_v2.py.
"""

from functools import partial
import math
from typing import Any

import flax.linen as nn
import jax

from posejax.errors import PosejaxError
from posejax.models import layers
from posejax.models.mobile_layers import normed

STEM = 32
LAST = 1280
EXPANSION = 6
STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
"""(channels at width 1, blocks, stride of the first) of each stage; the first is not expanded."""
TAPS = {2: 4, 5: 8, 9: 16}
"""Block -> stride of the map that it ends. Stride 16 is taken after the 64 channels, not the 96."""


def scaled(channels: int, width: float) -> int:
  """Return the channels of a net `width` times as wide, a multiple of 8 and not under 0.9 of it.

  Source: `_make_divisible` of keras-team/keras keras/src/applications/mobilenet_v2.py.
  """
  wanted = channels * width
  rounded = max(8, int(wanted + 4) // 8 * 8)
  return rounded if rounded >= 0.9 * wanted else rounded + 8


def blocks(width: float) -> list[tuple[int, int, bool]]:
  """Return `(channels, stride, expanded)` of every block, the seventeen from `block0` on."""
  return [
    (scaled(channels, width), stride if i == 0 else 1, stage > 0)
    for stage, (channels, count, stride) in enumerate(STAGES)
    for i in range(count)
  ]


class Block(nn.Module):
  """Inverted residual: 1x1 to six times the channels, 3x3 depthwise, 1x1 without activation.

  The input is added where it has the output's shape. Parameters: `expand` (not in the first),
  `depthwise`, `project`.
  """

  features: int
  stride: int = 1
  expanded: bool = True
  batch_norm: bool = False
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Return `[B, h / stride, w / stride, features]`."""
    conv = partial(
      normed, batch_norm=self.batch_norm, dtype=self.dtype, bn_group_size=self.bn_group_size
    )
    y, channels = x, x.shape[-1]
    if self.expanded:
      y = nn.relu6(conv(EXPANSION * channels, 1, name='expand')(y, train))
    y = nn.relu6(conv(None, 3, self.stride, name='depthwise')(y, train))
    y = conv(self.features, 1, name='project')(y, train)
    return layers.add(x, y) if self.stride == 1 and channels == self.features else y


class MobileNetV2(nn.Module):
  """Return maps at strides 4, 8, 16 and 32; all but the last are linear.

  Height and width must be divisible by 32. Parameters: `conv1`, `block0` …, `conv_last`.

  Attributes:
    width: multiplier of the channels.
    num_blocks: so many of the seventeen, the first ones; all where None. The last hold most parameters.
    last_features: channels of `conv_last`; None leaves it out, and the last block's map has stride 32.
    batch_norm: batch norms of their own, to train them; else they are folded into the convolutions.
  """

  width: float = 1.0
  num_blocks: int | None = None
  last_features: int | None = LAST
  batch_norm: bool = False
  dtype: Any = 'float32'
  bn_group_size: int | None = None
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return the feature maps of normalised `[B, H, W, 3]`.

    Raises:
      PosejaxError: there are no such blocks, or not enough to reach stride 32.
    """
    every = blocks(self.width)
    chosen = every[: self.num_blocks]
    if math.prod(stride for _, stride, _ in chosen) < 16 or len(chosen) < (self.num_blocks or 0):
      raise PosejaxError(
        f'config.model.backbone.num_blocks={self.num_blocks} of {len(every)} blocks: there must be '
        'enough of them to reach stride 32, 14 or more.'
      )
    common = {
      'batch_norm': self.batch_norm,
      'dtype': self.dtype,
      'bn_group_size': self.bn_group_size,
    }
    x = nn.relu6(normed(scaled(STEM, self.width), 3, 2, name='conv1', **common)(x, train))
    block = layers.rematerialized(Block, self.remat and train)
    maps = {}
    for i, (features, stride, expanded) in enumerate(chosen):
      x = block(features, stride, expanded, name=f'block{i}', **common)(x, train)
      if i in TAPS:
        maps[TAPS[i]] = x
    if self.last_features is not None:
      x = nn.relu6(normed(self.last_features, 1, name='conv_last', **common)(x, train))
    maps[32] = x
    return maps
