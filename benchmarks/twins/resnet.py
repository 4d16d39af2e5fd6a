"""The PyTorch twin of `pose_resnet<depth>`: the same layers under the same names.

Source of the architecture: He et al. (arXiv:1512.03385), Xiao et al. (arXiv:1804.06208).
"""

import numpy as np
import torch
from torch import nn

from posejax.models.resnet import BLOCKS


class Block(nn.Module):
  """Basic or bottleneck residual block."""

  def __init__(self, kind: str, features_in: int, width: int, stride: int):
    super().__init__()
    if kind == 'basic':
      convs = [(width, 3, stride), (width, 3, 1)]
    else:
      convs = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
    self.count = len(convs)
    previous = features_in
    for i, (features, size, step) in enumerate(convs, 1):
      conv = nn.Conv2d(previous, features, size, step, size // 2, bias=False)
      self.add_module(f'conv{i}', conv)
      self.add_module(f'bn{i}', nn.BatchNorm2d(features))
      previous = features
    self.projects = previous != features_in or stride != 1
    if self.projects:
      self.downsample_conv = nn.Conv2d(features_in, previous, 1, stride, bias=False)
      self.downsample_bn = nn.BatchNorm2d(previous)
    self.features = previous

  def forward(self, x):
    y = x
    for i in range(1, self.count + 1):
      y = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(y))
      if i < self.count:
        y = torch.relu_(y)
    return torch.relu_(y + (self.downsample_bn(self.downsample_conv(x)) if self.projects else x))


class PoseResNet(nn.Module):
  """ResNet with the SimpleBaseline head: images `[B, 3, H, W]` to heatmaps `[B, K, H / 4, W / 4]`."""

  def __init__(self, depth: int, num_keypoints: int):
    super().__init__()
    kind, counts = BLOCKS[depth]
    self.backbone = nn.ModuleDict()
    self.backbone['conv1'] = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    self.backbone['bn1'] = nn.BatchNorm2d(64)
    self.blocks = []
    features = 64
    for stage, count in enumerate(counts, 1):
      for i in range(count):
        stride = 2 if i == 0 and stage > 1 else 1
        block = Block(kind, features, 64 * 2 ** (stage - 1), stride)
        features = block.features
        self.blocks.append(f'layer{stage}_{i}')
        self.backbone[self.blocks[-1]] = block
    self.head = nn.ModuleDict()
    for i in (1, 2, 3):
      self.head[f'deconv{i}'] = nn.ConvTranspose2d(features, 256, 4, 2, 1, bias=False)
      self.head[f'bn{i}'] = nn.BatchNorm2d(256)
      features = 256
    self.head['final'] = nn.Conv2d(features, num_keypoints, 1)

  def forward(self, x):
    x = torch.relu_(self.backbone['bn1'](self.backbone['conv1'](x)))
    x = torch.max_pool2d(x, 3, 2, 1)
    for name in self.blocks:
      x = self.backbone[name](x)
    for i in (1, 2, 3):
      x = torch.relu_(self.head[f'bn{i}'](self.head[f'deconv{i}'](x)))
    return self.head['final'](x)

  def load_posejax(self, variables) -> None:
    """Take over parameters and batch statistics; every name must be there on both sides."""
    names = {'kernel': 'weight', 'scale': 'weight', 'mean': 'running_mean', 'var': 'running_var'}
    state = {k: v for k, v in self.state_dict().items() if k.endswith('num_batches_tracked')}

    def walk(tree, path):
      for key, value in tree.items():
        if hasattr(value, 'items'):
          walk(value, [*path, key])
          continue
        value = np.asarray(value)
        if key == 'kernel':
          value = (
            value.transpose(2, 3, 0, 1) if 'deconv' in path[-1] else value.transpose(3, 2, 0, 1)
          )
        state['.'.join([*path, names.get(key, key)])] = torch.tensor(value)

    walk(variables['params'], [])
    walk(variables['batch_stats'], [])
    self.load_state_dict(state)
