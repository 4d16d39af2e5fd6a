"""ResNet backbones: torchvision-compatible (v1) and pre-activation (v2).

Source: He et al., Deep Residual Learning (arXiv:1512.03385) and Identity Mappings (arXiv:1603.05027);
torchvision/models/resnet.py for what the weights assume: bottleneck stride on the 3x3 convolution,
padding 1 for stride-2 3x3 convolutions and for the max-pool.
"""

from functools import partial
from typing import Any

import flax.linen as nn

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
  dtype: Any = 'float32'
  bn_group_size: int | None = None
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x, train: bool):
    """Return `[B, h / stride, w / stride, C']`."""
    conv = partial(layers.Conv, dtype=self.dtype)
    norm = partial(layers.BatchNorm, group_size=self.bn_group_size, dtype=self.dtype)
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
  """Return `{'c2': ..., 'c3': ..., 'c4': ..., 'c5': ...}`, feature maps at strides 4, 8, 16 and 32.

  Parameters: `conv1`, `bn1` (v1), `layer<stage>_<block>/...` from `layer1_0`; v2 ends in `bn_final`,
  which normalises `c5` only.
  """

  depth: int
  version: int = 1
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x, train: bool = False):
    """Return the feature maps of `[B, H, W, 3]`."""
    kind, counts = BLOCKS[self.depth]
    norm = partial(layers.BatchNorm, group_size=self.bn_group_size, dtype=self.dtype)
    x = layers.Conv(64, 7, 2, dtype=self.dtype, name='conv1')(x)
    if self.version == 1:
      x = nn.relu(norm(name='bn1')(x, train))
    x = layers.max_pool(x, 3, 2, padding=1)
    maps = {}
    for stage, count in enumerate(counts, 1):
      for i in range(count):
        x = Block(
          kind,
          64 * 2 ** (stage - 1),
          2 if i == 0 and stage > 1 else 1,
          self.version,
          self.dtype,
          self.bn_group_size,
          name=f'layer{stage}_{i}',
        )(x, train)
      maps[f'c{stage + 1}'] = x
    if self.version == 2:
      maps['c5'] = nn.relu(norm(name='bn_final')(x, train))
    return maps
