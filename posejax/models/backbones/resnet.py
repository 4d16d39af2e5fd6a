"""ResNet backbones: torchvision-compatible (v1) and pre-activation (v2).

Source: He et al., Deep Residual Learning (arXiv:1512.03385) and Identity Mappings (arXiv:1603.05027);
torchvision/models/resnet.py for what the weights assume: bottleneck stride on the 3x3 convolution,
padding 1 for stride-2 3x3 convolutions and for the max-pool.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.errors import PosejaxError
from posejax.models import layers

BLOCKS = {
  18: ('basic', (2, 2, 2, 2)),
  34: ('basic', (3, 4, 6, 3)),
  50: ('bottleneck', (3, 4, 6, 3)),
  101: ('bottleneck', (3, 4, 23, 3)),
  152: ('bottleneck', (3, 8, 36, 3)),
}
"""Depth -> kind of block, blocks per stage."""


class Block(nn.Module):
  """Residual block: activation after the addition (`version` 1) or before the convolutions (2).

  `basic` is two 3x3 convolutions of `width`; `bottleneck` 1x1, 3x3 to `width`, then 1x1 to 4 `width`.
  `dropout` leaves out that share of the last convolution's input when training (version 2 only).
  """

  kind: str
  width: int
  stride: int = 1
  version: int = 1
  dropout: float = 0.0
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, x, train: bool):
    """Return `[B, h / stride, w / stride, C']`."""
    conv, norm = self.conv, self.norm
    if self.kind == 'basic':
      convs = [(self.width, 3, self.stride), (self.width, 3, 1)]
    else:
      convs = [(self.width, 1, 1), (self.width, 3, self.stride), (4 * self.width, 1, 1)]
    out = convs[-1][0]
    project = x.shape[-1] != out or self.stride != 1

    shortcut = y = x
    if self.version == 2:
      y = nn.relu(norm(name='bn1')(x, train))
      if project:
        shortcut = conv(out, 1, self.stride, name='downsample_conv')(y)
      for i, (features, size, stride) in enumerate(convs, 1):
        if i > 1:
          y = nn.relu(norm(name=f'bn{i}')(y, train))
        if i == len(convs) and self.dropout:
          y = nn.Dropout(self.dropout, deterministic=not train)(y)
        y = conv(features, size, stride, name=f'conv{i}')(y)
      return layers.add(y, shortcut)

    if project:
      shortcut = conv(out, 1, self.stride, name='downsample_conv')(x)
      shortcut = norm(name='downsample_bn')(shortcut, train)
    for i, (features, size, stride) in enumerate(convs, 1):
      y = conv(features, size, stride, name=f'conv{i}')(y)
      if i < len(convs):
        y = nn.relu(norm(name=f'bn{i}')(y, train))
    return norm(name=f'bn{len(convs)}')(y, train, shortcut)


class ResNet(nn.Module):
  """Maps at strides 4, 8, 16 and 32.

  Parameters: `conv1`, `bn1` (v1), `layer<stage>_<block>/...` from `layer1_0`; v2 ends in `bn_final`,
  which normalises the deepest map only.
  """

  depth: int
  version: int = 1
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature maps of `[B, H, W, 3]` by their stride."""
    if self.depth not in BLOCKS or self.version not in (1, 2):
      raise PosejaxError(
        f'There is no ResNet of depth={self.depth} and version={self.version}: depths are '
        f'{", ".join(map(str, BLOCKS))}, versions 1 and 2.'
      )
    kind, counts = BLOCKS[self.depth]
    block = layers.rematerialized(Block, self.remat and train)
    x = self.conv(64, 7, 2, name='conv1')(x)
    if self.version == 1:
      x = nn.relu(self.norm(name='bn1')(x, train))
    x = layers.max_pool(x, 3, 2, padding=1)
    maps = {}
    for stage, count in enumerate(counts, 1):
      for i in range(count):
        x = block(
          kind,
          64 * 2 ** (stage - 1),
          2 if i == 0 and stage > 1 else 1,
          self.version,
          conv=self.conv,
          norm=self.norm,
          name=f'layer{stage}_{i}',
        )(x, train)
      maps[2 ** (stage + 1)] = x
    if self.version == 2:
      maps[32] = nn.relu(self.norm(name='bn_final')(x, train))
    return maps
