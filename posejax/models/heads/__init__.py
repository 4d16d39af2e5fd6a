"""Heads that turn a backbone's feature maps into heatmaps, and the net that joins the two."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models import layers


class SimpleBaselineHead(nn.Module):
  """Deconvolutions on the deepest feature map, then a 1x1 convolution to one heatmap per keypoint.

  Three deconvolutions take stride 32 to stride 4. Parameters: `deconv<i>`, `bn<i>` from 1, `final`.
  Source: Xiao et al. (arXiv:1804.06208); microsoft/human-pose-estimation.pytorch
  lib/models/pose_resnet.py (256 channels, kernels drawn from N(0, .001)).
  """

  num_keypoints: int
  features: tuple[int, ...] = (256, 256, 256)
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, maps: dict[str, jax.Array], train: bool = False) -> jax.Array:
    """Return heatmaps `[B, h, w, K]` in `dtype`."""
    init = nn.initializers.normal(0.001)
    x = maps[max(maps)]
    for i, features in enumerate(self.features, 1):
      x = layers.Deconv(features, self.dtype, init, name=f'deconv{i}')(x)
      norm = layers.BatchNorm(self.bn_group_size, dtype=self.dtype, name=f'bn{i}')
      x = nn.relu(norm(x, train))
    final = layers.Conv(
      self.num_keypoints, 1, bias=True, dtype=self.dtype, kernel_init=init, name='final'
    )
    return final(x)


class SkipHead(nn.Module):
  """Top-down decoder: double the deeper map, add the next one through a 1x1 convolution, normalise.

  All at `features` channels; ends at the resolution of the shallowest map with a 3x3 convolution and
  a 1x1 convolution to heatmaps. Parameters: `lateral_<map>`, `bn_<map>`, `smooth`, `bn_smooth`,
  `final`.
  Source: the top-down pathway of feature pyramid networks (arXiv:1612.03144).
  """

  num_keypoints: int
  features: int = 64
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, maps: dict[str, jax.Array], train: bool = False) -> jax.Array:
    """Return heatmaps `[B, h, w, K]` in `dtype`."""

    def norm(name, x):
      layer = layers.BatchNorm(self.bn_group_size, dtype=self.dtype, name=name)
      return nn.relu(layer(x, train))

    x = None
    for name in sorted(maps, reverse=True):
      lateral = layers.Conv(self.features, 1, dtype=self.dtype, name=f'lateral_{name}')(maps[name])
      x = lateral if x is None else layers.upsample(x, 2) + lateral
      x = norm(f'bn_{name}', x)
    x = norm('bn_smooth', layers.Conv(self.features, dtype=self.dtype, name='smooth')(x))
    init = nn.initializers.normal(0.001)
    final = layers.Conv(
      self.num_keypoints, 1, bias=True, dtype=self.dtype, kernel_init=init, name='final'
    )
    return final(x)


class HeatmapNet(nn.Module):
  """Backbone and head: `images [B, H, W, 3] -> {'heatmaps': float32 [B, h, w, K]}`."""

  backbone: nn.Module
  head: nn.Module

  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return heatmaps of normalised float images; `train` toggles batch statistics.

    Apply with `mutable=['batch_stats']` where `train` is true.
    """
    heatmaps = self.head(self.backbone(images, train), train)
    return {'heatmaps': heatmaps.astype(jnp.float32)}
