"""VGG16 backbones, torchvision-compatible, without the classifier.

Source: Simonyan & Zisserman, Very Deep Convolutional Networks (arXiv:1409.1556);
torchvision/models/vgg.py (configuration D) for what the weights assume.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.models import layers

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each block; a 2x2 max-pool ends it."""


class VGG16(nn.Module):
  """Maps at strides 8, 16 and 32: what the last three blocks' pooling gives.

  Parameters: `conv<block>_<layer>` with a bias and, with batch norm, `bn<block>_<layer>`, counted
  from 1 as in the paper.

  Attributes:
    batch_norm: normalise after every convolution.
    width: channels are this many times those of the paper, for what has to be small.
  """

  batch_norm: bool = False
  width: float = 1.0
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature maps of `[B, H, W, 3]` by their stride."""
    maps = {}
    for block, (features, count) in enumerate(BLOCKS, 1):
      for layer in range(1, count + 1):
        name = f'{block}_{layer}'
        channels = max(1, round(self.width * features))
        x = self.conv(channels, bias=True, name=f'conv{name}')(x)
        if self.batch_norm:
          x = self.norm(name=f'bn{name}')(x, train)
        x = nn.relu(x)
      x = layers.max_pool(x, 2)
      maps[2**block] = x
    return {stride: maps[stride] for stride in (8, 16, 32)}
