"""The twin of `pose_resnet<depth>`.

Source of the architecture: He et al. (arXiv:1512.03385), Xiao et al. (arXiv:1804.06208).
"""

import torch
from torch import nn

from posejax.models.backbones.resnet import BLOCKS
from twins.base import SimpleBaselineHead, Twin, conv


class Block(nn.Module):
  """Basic or bottleneck residual block."""

  def __init__(self, kind: str, features_in: int, width: int, stride: int = 1):
    super().__init__()
    if kind == 'basic':
      convs = [(width, 3, stride), (width, 3, 1)]
    else:
      convs = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
    self.count = len(convs)
    previous = features_in
    for i, (features, size, step) in enumerate(convs, 1):
      self.add_module(f'conv{i}', conv(previous, features, size, step))
      self.add_module(f'bn{i}', nn.BatchNorm2d(features))
      previous = features
    self.projects = previous != features_in or stride != 1
    if self.projects:
      self.downsample_conv = conv(features_in, previous, 1, stride)
      self.downsample_bn = nn.BatchNorm2d(previous)
    self.features = previous

  def forward(self, x):
    y = x
    for i in range(1, self.count + 1):
      y = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(y))
      if i < self.count:
        y = torch.relu_(y)
    return torch.relu_(y + (self.downsample_bn(self.downsample_conv(x)) if self.projects else x))


class PoseResNet(Twin):
  """ResNet with the SimpleBaseline head: images `[B, 3, H, W]` to heatmaps `[B, K, H / 4, W / 4]`."""

  def __init__(self, depth: int, num_keypoints: int):
    super().__init__()
    kind, counts = BLOCKS[depth]
    self.backbone = nn.ModuleDict({'conv1': conv(3, 64, 7, 2), 'bn1': nn.BatchNorm2d(64)})
    self.blocks = []
    features = 64
    for stage, count in enumerate(counts, 1):
      for i in range(count):
        stride = 2 if i == 0 and stage > 1 else 1
        block = Block(kind, features, 64 * 2 ** (stage - 1), stride)
        features = block.features
        self.blocks.append(f'layer{stage}_{i}')
        self.backbone[self.blocks[-1]] = block
    self.head = SimpleBaselineHead(features, num_keypoints)

  def forward(self, x):
    x = torch.relu_(self.backbone['bn1'](self.backbone['conv1'](x)))
    x = torch.max_pool2d(x, 3, 2, 1)
    for name in self.blocks:
      x = self.backbone[name](x)
    return self.head(x)
