"""DenseNet backbones, torchvision-compatible: 121, 169 and 201 layers.

Source: Huang et al., Densely Connected Convolutional Networks (arXiv:1608.06993);
torchvision/models/densenet.py for what the weights assume.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.errors import PosejaxError
from posejax.models import layers

BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
"""Depth -> layers per dense block."""
GROWTH = 32
STEM_FEATURES = 64
BOTTLENECK = 4  # torchvision's bn_size: the 1x1 convolution's width in multiples of the growth


class DenseLayer(nn.Module):
  """Return `x` with `GROWTH` new channels behind it: BN-ReLU-1x1, BN-ReLU-3x3, concatenate."""

  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, x, train: bool):
    """Return `[B, h, w, C + GROWTH]`."""
    y = nn.relu(self.norm(name='norm1')(x, train))
    y = self.conv(BOTTLENECK * GROWTH, 1, name='conv1')(y)
    y = nn.relu(self.norm(name='norm2')(y, train))
    y = self.conv(GROWTH, 3, name='conv2')(y)
    return layers.concatenate(x, y)


class DenseNet(nn.Module):
  """The dense blocks' outputs, at strides 4, 8, 16 and 32.

  Parameters: `conv0`, `norm0`, `denseblock<i>_layer<j>/...` and `transition<i>/...` counted from 1 as
  in torchvision, and `norm5`, which with a ReLU ends the deepest map (the others are not normalised).
  """

  depth: int
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature maps of `[B, H, W, 3]` by their stride."""
    if self.depth not in BLOCKS:
      raise PosejaxError(
        f'There is no DenseNet of depth={self.depth}: depths are {", ".join(map(str, BLOCKS))}.'
      )
    conv, norm = self.conv, self.norm
    layer = layers.rematerialized(DenseLayer, self.remat and train)
    x = nn.relu(norm(name='norm0')(conv(STEM_FEATURES, 7, 2, name='conv0')(x), train))
    x = layers.max_pool(x, 3, 2, padding=1)
    maps = {}
    for i, count in enumerate(BLOCKS[self.depth], 1):
      if i > 1:
        x = nn.relu(norm(name=f'transition{i - 1}_norm')(x, train))
        x = conv(x.shape[-1] // 2, 1, name=f'transition{i - 1}_conv')(x)
        x = layers.avg_pool2(x)
      for j in range(1, count + 1):
        x = layer(conv, norm, name=f'denseblock{i}_layer{j}')(x, train)
      maps[2 ** (i + 1)] = x
    maps[32] = nn.relu(norm(name='norm5')(x, train))
    return maps
