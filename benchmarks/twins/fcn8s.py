"""The twin of `fcn8s`.

Source of the architecture: Simonyan & Zisserman (arXiv:1409.1556), Long et al. (arXiv:1411.4038).
"""

import torch
from torch import nn

from posejax.models.backbones.vgg import BLOCKS
from twins.base import Twin


class Fcn8s(Twin):
  """Images `[B, 3, H, W]` to logits `[B, C, H, W]`."""

  def __init__(self, num_classes: int):
    super().__init__()
    self.backbone = nn.ModuleDict()
    previous = 3
    for block, (features, count) in enumerate(BLOCKS, 1):
      for layer in range(1, count + 1):
        self.backbone[f'conv{block}_{layer}'] = nn.Conv2d(previous, features, 3, padding=1)
        self.backbone[f'bn{block}_{layer}'] = nn.BatchNorm2d(features)
        previous = features
    self.head = nn.ModuleDict()
    for name, features, factor in (('pool5', 512, 2), ('pool4', 512, 2), ('pool3', 256, 8)):
      self.head[f'score_{name}'] = nn.Conv2d(features, num_classes, 1)
      self.head[f'deconv_{name}'] = nn.ConvTranspose2d(
        num_classes, num_classes, 2 * factor, factor, factor // 2, bias=False
      )

  def forward(self, x):
    maps = {}
    for block, (_, count) in enumerate(BLOCKS, 1):
      for layer in range(1, count + 1):
        x = self.backbone[f'bn{block}_{layer}'](self.backbone[f'conv{block}_{layer}'](x))
        x = torch.relu_(x)
      x = torch.max_pool2d(x, 2)
      maps[f'pool{block}'] = x
    y = 0
    for name in ('pool5', 'pool4', 'pool3'):
      y = self.head[f'deconv_{name}'](y + self.head[f'score_{name}'](maps[name]))
    return y
