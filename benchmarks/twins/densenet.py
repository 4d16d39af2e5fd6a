"""The twin of `pose_densenet<depth>`.

Source of the architecture: Huang et al. (arXiv:1608.06993), Xiao et al. (arXiv:1804.06208).
"""

import torch
from torch import nn

from posejax.models.backbones.densenet import BLOCKS, BOTTLENECK, GROWTH, STEM_FEATURES
from twins.base import SimpleBaselineHead, Twin, conv


class DenseLayer(nn.Module):
  """Norm, ReLU, 1x1, norm, ReLU, 3x3; the new channels stand behind the old ones."""

  def __init__(self, features_in: int):
    super().__init__()
    self.norm1 = nn.BatchNorm2d(features_in)
    self.conv1 = conv(features_in, BOTTLENECK * GROWTH, 1)
    self.norm2 = nn.BatchNorm2d(BOTTLENECK * GROWTH)
    self.conv2 = conv(BOTTLENECK * GROWTH, GROWTH, 3)

  def forward(self, x):
    y = self.conv1(torch.relu_(self.norm1(x)))
    return torch.cat([x, self.conv2(torch.relu_(self.norm2(y)))], 1)


class PoseDenseNet(Twin):
  """DenseNet with the SimpleBaseline head: `[B, 3, H, W]` to heatmaps `[B, K, H / 4, W / 4]`."""

  def __init__(self, depth: int, num_keypoints: int):
    super().__init__()
    features = STEM_FEATURES
    self.backbone = nn.ModuleDict(
      {'conv0': conv(3, features, 7, 2), 'norm0': nn.BatchNorm2d(features)}
    )
    self.counts = BLOCKS[depth]
    for i, count in enumerate(self.counts, 1):
      if i > 1:
        self.backbone[f'transition{i - 1}_norm'] = nn.BatchNorm2d(features)
        self.backbone[f'transition{i - 1}_conv'] = conv(features, features // 2, 1)
        features //= 2
      for j in range(1, count + 1):
        self.backbone[f'denseblock{i}_layer{j}'] = DenseLayer(features)
        features += GROWTH
    self.backbone['norm5'] = nn.BatchNorm2d(features)
    self.head = SimpleBaselineHead(features, num_keypoints)

  def forward(self, x):
    x = torch.relu_(self.backbone['norm0'](self.backbone['conv0'](x)))
    x = torch.max_pool2d(x, 3, 2, 1)
    for i, count in enumerate(self.counts, 1):
      if i > 1:
        x = torch.relu_(self.backbone[f'transition{i - 1}_norm'](x))
        x = torch.nn.functional.avg_pool2d(self.backbone[f'transition{i - 1}_conv'](x), 2)
      for j in range(1, count + 1):
        x = self.backbone[f'denseblock{i}_layer{j}'](x)
    return self.head(torch.relu_(self.backbone['norm5'](x)))
