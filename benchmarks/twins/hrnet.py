"""The twin of `pose_hrnet_w<width>`.

Source of the architecture: Sun et al. (arXiv:1902.09212).
"""

import torch
from torch import nn

from posejax.models.backbones.hrnet import BLOCKS, STAGES
from twins.base import Twin, conv
from twins.resnet import Block


def add_conv_bn(modules: nn.Module, name: str, *shape) -> None:
  """Add `<name>_conv` of `shape` (channels in, out, size, stride) and its `<name>_bn`."""
  modules.add_module(f'{name}_conv', conv(*shape))
  modules.add_module(f'{name}_bn', nn.BatchNorm2d(shape[1]))


def conv_bn(modules: nn.Module, name: str, x):
  """Apply them."""
  return getattr(modules, f'{name}_bn')(getattr(modules, f'{name}_conv')(x))


class Exchange(nn.Module):
  """Residual blocks on every branch, then every output is the sum of all branches, resized."""

  def __init__(self, width: int, num_branches: int, num_outputs: int):
    super().__init__()
    self.num_branches, self.num_outputs = num_branches, num_outputs
    widths = [width * 2**i for i in range(num_branches)]
    for i, channels in enumerate(widths):
      for block in range(BLOCKS):
        self.add_module(f'branch{i}_{block}', Block('basic', channels, channels))
    for i in range(num_outputs):
      for j in range(i + 1, num_branches):
        add_conv_bn(self, f'fuse{i}_{j}', widths[j], widths[i], 1)
      for j in range(i):
        for k in range(i - j):
          last = k == i - j - 1
          add_conv_bn(self, f'fuse{i}_{j}_{k}', widths[j], widths[i if last else j], 3, 2)

  def moved(self, x, i: int, j: int):
    """Return branch `j`, which is `x`, at the size and width of branch `i`."""
    if j > i:
      y = conv_bn(self, f'fuse{i}_{j}', x)
      return nn.functional.interpolate(y, scale_factor=2 ** (j - i), mode='nearest')
    for k in range(i - j):
      x = conv_bn(self, f'fuse{i}_{j}_{k}', x)
      x = x if k == i - j - 1 else torch.relu_(x)
    return x

  def forward(self, branches):
    branches = list(branches)
    for i in range(self.num_branches):
      for block in range(BLOCKS):
        branches[i] = getattr(self, f'branch{i}_{block}')(branches[i])
    outputs = []
    for i in range(self.num_outputs):
      total = self.moved(branches[0], i, 0)
      for j in range(1, self.num_branches):
        total = total + self.moved(branches[j], i, j)
      outputs.append(torch.relu(total))
    return outputs


class PoseHRNet(Twin):
  """HRNet: images `[B, 3, H, W]` to heatmaps `[B, K, H / 4, W / 4]`; H and W multiples of 32."""

  def __init__(self, width: int, num_keypoints: int):
    super().__init__()
    self.backbone = parts = nn.Module()
    for i, features_in in ((1, 3), (2, 64)):
      parts.add_module(f'conv{i}', conv(features_in, 64, 3, 2))
      parts.add_module(f'bn{i}', nn.BatchNorm2d(64))
    features = 64
    for block in range(BLOCKS):
      parts.add_module(f'layer1_{block}', Block('bottleneck', features, 64))
      features = 256
    add_conv_bn(parts, 'transition1_0', features, width, 3, 1)
    for stage, count in STAGES.items():
      grown = width * 2 ** (stage - 1)
      add_conv_bn(parts, f'transition{stage - 1}_{stage - 1}', features, grown, 3, 2)
      features = grown
      for module in range(count):
        end = stage == max(STAGES) and module == count - 1
        parts.add_module(f'stage{stage}_{module}', Exchange(width, stage, 1 if end else stage))
    self.head = nn.ModuleDict({'final': nn.Conv2d(width, num_keypoints, 1)})

  def forward(self, x):
    parts = self.backbone
    x = torch.relu_(parts.bn1(parts.conv1(x)))
    x = torch.relu_(parts.bn2(parts.conv2(x)))
    for block in range(BLOCKS):
      x = getattr(parts, f'layer1_{block}')(x)
    branches = [torch.relu_(conv_bn(parts, 'transition1_0', x))]
    for stage, count in STAGES.items():
      deepest = x if stage == 2 else branches[-1]
      grown = conv_bn(parts, f'transition{stage - 1}_{stage - 1}', deepest)
      branches.append(torch.relu_(grown))
      for module in range(count):
        branches = getattr(parts, f'stage{stage}_{module}')(branches)
    return self.head['final'](branches[0])
