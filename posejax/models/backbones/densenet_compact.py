"""A compact DenseNet for small crops and CPUs.

Source: Huang et al., Densely Connected Convolutional Networks (arXiv:1608.06993); what differs from
it is said below.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax

from posejax.models import layers


class ConvBN(nn.Module):
  """Convolution, batch norm, ReLU."""

  features: int
  size: int = 3
  stride: int = 1
  padding: int | None = None
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, x, train: bool):
    """Return `[B, h / stride, w / stride, features]`."""
    x = self.conv(self.features, self.size, self.stride, self.padding, name='conv')(x)
    return nn.relu(self.norm(name='bn')(x, train))


class CompactDenseNet(nn.Module):
  """Maps at strides 4, 8, ...: of one dense block per entry of `block_layers`.

  What differs from `DenseNet`, to spend little on memory traffic and to compile fast: the stem is
  one `4x4` convolution of stride 4; a dense layer is one 3x3 convolution whose *output* is normalised
  (as in PeleeNet, arXiv:1804.06882), so a channel is normalised once instead of by every later layer;
  a transition is one 2x2 convolution of stride 2 to `compression` times its input's channels.
  Parameters: `stem/...`, `denseblock<i>_layer<j>/...` and `transition<i>/...` counted from 1.
  """

  growth: int = 16
  block_layers: tuple[int, ...] = (2, 4, 6)
  stem_features: int = 32
  compression: float = 0.5
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature maps of `[B, H, W, 3]` by their stride."""
    conv_bn = layers.rematerialized(ConvBN, self.remat and train)
    block = partial(conv_bn, conv=self.conv, norm=self.norm)
    x = block(self.stem_features, 4, 4, 0, name='stem')(x, train)
    maps = {}
    for i, count in enumerate(self.block_layers, 1):
      if i > 1:
        features = int(x.shape[-1] * self.compression)
        x = block(features, 2, 2, 0, name=f'transition{i - 1}')(x, train)
      for j in range(1, count + 1):
        y = block(self.growth, name=f'denseblock{i}_layer{j}')(x, train)
        x = layers.concatenate(x, y)
      maps[2 ** (i + 1)] = x
    return maps
