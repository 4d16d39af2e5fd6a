"""The PyTorch twin of `svhn_cnn`'s plain net: the same layers under the same names."""

import numpy as np
import torch
from torch import nn


class PlainNet(nn.Module):
  """Convolution, batch norm, ReLU and max-pooling twice; flatten, dense, ReLU, dense."""

  def __init__(self, image_hw: tuple[int, int], num_classes: int):
    super().__init__()
    self.conv1 = nn.Conv2d(3, 32, 3, padding=1, bias=False)
    self.bn1 = nn.BatchNorm2d(32)
    self.conv2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
    self.bn2 = nn.BatchNorm2d(64)
    self.dense1 = nn.Linear(image_hw[0] // 4 * (image_hw[1] // 4) * 64, 128)
    self.dense2 = nn.Linear(128, num_classes)

  def forward(self, x):
    x = torch.max_pool2d(torch.relu_(self.bn1(self.conv1(x))), 2)
    x = torch.max_pool2d(torch.relu_(self.bn2(self.conv2(x))), 2)
    # Rows, columns, channels, as posejax flattens; free in channels last.
    x = torch.relu_(self.dense1(x.permute(0, 2, 3, 1).flatten(1)))
    return self.dense2(x)

  def load_posejax(self, variables) -> None:
    """Take over parameters and batch statistics; every name must be there on both sides."""
    names = {'kernel': 'weight', 'scale': 'weight', 'mean': 'running_mean', 'var': 'running_var'}
    state = {k: v for k, v in self.state_dict().items() if k.endswith('num_batches_tracked')}
    for layers in (variables['params'], variables['batch_stats']):
      for layer, arrays in layers.items():
        for key, value in arrays.items():
          value = np.asarray(value)
          if key == 'kernel':
            value = value.T if value.ndim == 2 else value.transpose(3, 2, 0, 1)
          state[f'{layer}.{names.get(key, key)}'] = torch.tensor(value)
    self.load_state_dict(state)
