"""A toy backbone in one file: three strided convolutions.

Import it, and `config.model={'name': 'net', 'backbone': {'name': 'strided'}, 'head': {'name': 'skip'}}`
puts it under the top-down head, which joins its maps.
"""

from collections.abc import Callable

import flax.linen as nn

from posejax import models
from posejax.models import layers


class Strided(nn.Module):
  """Maps at strides 4, 8 and 16.

  Attributes:
    features: channels of each map.
    conv, norm: constructors of layers; the net that this is a part of hands them in.
  """

  features: tuple[int, ...] = (16, 32, 64)
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, x, train: bool = False):
    """Return `{stride: [B, H / stride, W / stride, C]}` of pictures `[B, H, W, 3]`."""
    maps, stride = {}, 2
    x = self.conv(self.features[0], 3, 2, name='stem')(x)
    for i, features in enumerate(self.features):
      stride *= 2
      x = self.conv(features, 3, 2, name=f'conv{i}')(x)
      x = maps[stride] = nn.relu(self.norm(name=f'bn{i}')(x, train))
    return maps


models.BACKBONES['strided'] = Strided
