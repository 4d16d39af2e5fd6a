"""A residual CNN with max-pooling, for nets that output coordinates."""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.models import layers
from posejax.models.backbones.resnet import Block


class ResidualCNN(nn.Module):
  """Maps at strides 4, 8, ...: of residual blocks and a 2x2 max-pool each.

  A 5x5 convolution of stride 2 comes first. Parameters: `conv1`, `bn1`, and `layer<stage>_<block>/...`
  from `layer1_0`.

  Attributes:
    features: channels of each stage.
    blocks: residual blocks of each stage.
  """

  features: tuple[int, ...] = (32, 64, 128, 192, 256)
  blocks: int = 1
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature maps of `[B, H, W, 3]` by their stride."""
    x = self.conv(self.features[0], 5, 2, name='conv1')(x)
    x = nn.relu(self.norm(name='bn1')(x, train))
    block = layers.rematerialized(Block, self.remat and train)
    maps = {}
    for stage, features in enumerate(self.features, 1):
      for i in range(self.blocks):
        layer = block('basic', features, conv=self.conv, norm=self.norm, name=f'layer{stage}_{i}')
        x = layer(x, train)
      x = layers.max_pool(x, 2)
      maps[2 ** (stage + 1)] = x
    return maps
