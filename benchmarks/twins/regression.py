"""The twin of `regression_cnn`."""

import torch
from torch import nn

from twins.base import Twin, conv
from twins.resnet import Block

FEATURES = (32, 64, 128, 192, 256)


class RegressionCNN(Twin):
  """Images `[B, 3, H, W]` to coordinates `[B, K, 2]`."""

  def __init__(self, num_keypoints: int):
    super().__init__()
    self.num_keypoints = num_keypoints
    previous = FEATURES[0]
    self.backbone = nn.ModuleDict(
      {'conv1': conv(3, previous, 5, 2), 'bn1': nn.BatchNorm2d(previous)}
    )
    for stage, features in enumerate(FEATURES, 1):
      self.backbone[f'layer{stage}_0'] = Block('basic', previous, features)
      previous = features
    # How many pixels the dense layer sees is the input's business.
    self.head = nn.ModuleDict(
      {'hidden': nn.LazyLinear(256), 'final': nn.Linear(256, 2 * num_keypoints)}
    )

  def forward(self, x):
    x = torch.relu_(self.backbone['bn1'](self.backbone['conv1'](x)))
    for stage in range(1, len(FEATURES) + 1):
      x = torch.max_pool2d(self.backbone[f'layer{stage}_0'](x), 2)
    # Rows, columns, channels, as posejax flattens; free in channels last.
    x = torch.relu_(self.head['hidden'](x.permute(0, 2, 3, 1).flatten(1)))
    return self.head['final'](x).reshape(-1, self.num_keypoints, 2) + 0.5
