"""What every twin is built from."""

import numpy as np
import torch
from torch import nn


class Twin(nn.Module):
  """A module whose parts have the names of the posejax net's."""

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
          if value.ndim == 2:
            value = value.T
          else:
            value = value.transpose((2, 3, 0, 1) if 'deconv' in path[-1] else (3, 2, 0, 1))
        state['.'.join([*path, names.get(key, key)])] = torch.tensor(value)

    walk(variables['params'], [])
    walk(variables['batch_stats'], [])
    self.load_state_dict(state)


def conv(features_in: int, features: int, size: int, stride: int = 1) -> nn.Conv2d:
  """Return a convolution without bias, padded by `size // 2`."""
  return nn.Conv2d(features_in, features, size, stride, size // 2, bias=False)


class SimpleBaselineHead(nn.ModuleDict):
  """Three deconvolutions of 256 channels and a 1x1 convolution to heatmaps.

  Source of the architecture: Xiao et al. (arXiv:1804.06208).
  """

  def __init__(self, features_in: int, num_keypoints: int):
    super().__init__()
    for i in (1, 2, 3):
      self[f'deconv{i}'] = nn.ConvTranspose2d(features_in, 256, 4, 2, 1, bias=False)
      self[f'bn{i}'] = nn.BatchNorm2d(256)
      features_in = 256
    self['final'] = nn.Conv2d(features_in, num_keypoints, 1)

  def forward(self, x):
    for i in (1, 2, 3):
      x = torch.relu_(self[f'bn{i}'](self[f'deconv{i}'](x)))
    return self['final'](x)
