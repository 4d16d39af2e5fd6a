"""Deconvolutions on the deepest map: the head of SimpleBaseline."""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.models import layers
from posejax.models.heads.final import final_convolution


class SimpleBaselineHead(nn.Module):
  """Deconvolutions on the deepest feature map, then a 1x1 convolution to one heatmap per keypoint.

  Three deconvolutions take stride 32 to stride 4. Parameters: `deconv<i>`, `bn<i>` from 1, `final`.
  Source: Xiao et al. (arXiv:1804.06208); microsoft/human-pose-estimation.pytorch
  lib/models/pose_resnet.py (256 channels, kernels drawn from N(0, .001)).
  """

  num_keypoints: int
  features: tuple[int, ...] = (256, 256, 256)
  conv: Callable = layers.Conv
  deconv: Callable = layers.Deconv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return `{'heatmaps': [B, h, w, K]}`."""
    init = nn.initializers.normal(0.001)
    x = maps[max(maps)]
    for i, features in enumerate(self.features, 1):
      x = self.deconv(features, kernel_init=init, name=f'deconv{i}')(x)
      x = nn.relu(self.norm(name=f'bn{i}')(x, train))
    return {'heatmaps': final_convolution(self.conv, self.num_keypoints)(x)}
