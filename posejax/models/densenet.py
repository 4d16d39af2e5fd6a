"""DenseNet backbones: torchvision-compatible 121/169/201, and a compact one for small crops and CPUs.

Source: Huang et al., Densely Connected Convolutional Networks (arXiv:1608.06993);
torchvision/models/densenet.py for what the weights assume.
"""

from functools import partial
from typing import Any

import flax.linen as nn

from posejax.models import layers

BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
"""Depth -> layers per dense block."""
GROWTH = 32
STEM_FEATURES = 64
BOTTLENECK = 4  # torchvision's bn_size: the 1x1 convolution's width in multiples of the growth


class DenseLayer(nn.Module):
  """Return `x` with `GROWTH` new channels behind it: BN-ReLU-1x1, BN-ReLU-3x3, concatenate."""

  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x, train: bool):
    """Return `[B, h, w, C + GROWTH]`."""
    norm = partial(layers.BatchNorm, group_size=self.bn_group_size, dtype=self.dtype)
    y = nn.relu(norm(name='norm1')(x, train))
    y = layers.Conv(BOTTLENECK * GROWTH, 1, dtype=self.dtype, name='conv1')(y)
    y = nn.relu(norm(name='norm2')(y, train))
    y = layers.Conv(GROWTH, 3, dtype=self.dtype, name='conv2')(y)
    return layers.concatenate(x, y)


class DenseNet(nn.Module):
  """Return `{'c2', 'c3', 'c4', 'c5'}`, the dense blocks' outputs at strides 4, 8, 16 and 32.

  Parameters: `conv0`, `norm0`, `denseblock<i>_layer<j>/...` and `transition<i>/...` counted from 1 as
  in torchvision, and `norm5`, which with a ReLU ends `c5` (`c2` to `c4` are not yet normalised).
  """

  depth: int
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x, train: bool = False):
    """Return the feature maps of `[B, H, W, 3]`."""
    norm = partial(layers.BatchNorm, group_size=self.bn_group_size, dtype=self.dtype)
    conv = partial(layers.Conv, dtype=self.dtype)
    x = nn.relu(norm(name='norm0')(conv(STEM_FEATURES, 7, 2, name='conv0')(x), train))
    x = layers.max_pool(x, 3, 2, padding=1)
    maps = {}
    for i, count in enumerate(BLOCKS[self.depth], 1):
      if i > 1:
        x = nn.relu(norm(name=f'transition{i - 1}_norm')(x, train))
        x = conv(x.shape[-1] // 2, 1, name=f'transition{i - 1}_conv')(x)
        x = layers.avg_pool2(x)
      for j in range(1, count + 1):
        x = DenseLayer(self.dtype, self.bn_group_size, name=f'denseblock{i}_layer{j}')(x, train)
      maps[f'c{i + 1}'] = x
    maps['c5'] = nn.relu(norm(name='norm5')(x, train))
    return maps


class ConvBN(nn.Module):
  """Convolution, batch norm, ReLU."""

  features: int
  size: int = 3
  stride: int = 1
  padding: int | None = None
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x, train: bool):
    """Return `[B, h / stride, w / stride, features]`."""
    x = layers.Conv(
      self.features, self.size, self.stride, self.padding, dtype=self.dtype, name='conv'
    )(x)
    norm = layers.BatchNorm(group_size=self.bn_group_size, dtype=self.dtype, name='bn')
    return nn.relu(norm(x, train))


class CompactDenseNet(nn.Module):
  """Return `{'c2', 'c3', ...}`: one dense block per entry of `block_layers`, from stride 4 on.

  What differs from `DenseNet`, to spend little on memory traffic and to compile fast: the stem is
  one `4x4` convolution of stride 4; a dense layer is one 3x3 convolution whose *output* is normalised
  (as in PeleeNet, arXiv:1804.06882), so a channel is normalised once instead of by every later layer;
  a transition is one 2x2 convolution of stride 2 to `compression` times its input's channels.
  """

  growth: int = 16
  block_layers: tuple[int, ...] = (2, 4, 6)
  stem_features: int = 32
  compression: float = 0.5
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x, train: bool = False):
    """Return the feature maps of `[B, H, W, 3]`."""
    block = partial(ConvBN, dtype=self.dtype, bn_group_size=self.bn_group_size)
    x = block(self.stem_features, 4, 4, 0, name='stem')(x, train)
    maps = {}
    for i, count in enumerate(self.block_layers, 1):
      if i > 1:
        features = int(x.shape[-1] * self.compression)
        x = block(features, 2, 2, 0, name=f'transition{i - 1}')(x, train)
      for j in range(1, count + 1):
        y = block(self.growth, name=f'denseblock{i}_layer{j}')(x, train)
        x = layers.concatenate(x, y)
      maps[f'c{i + 1}'] = x
    return maps
