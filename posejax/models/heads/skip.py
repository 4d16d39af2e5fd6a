"""Heatmaps from all maps of a backbone, the deeper ones added to the shallower."""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.models import layers
from posejax.models.heads.final import final_convolution
from posejax.models.necks import top_down


class SkipHead(nn.Module):
  """Top-down decoder, at `features` channels down to the resolution of the shallowest map.

  There a 3x3 convolution and a 1x1 convolution to heatmaps. Parameters: those of
  `posejax.models.necks.top_down`, `smooth`, `bn_smooth`, `final`.
  """

  num_keypoints: int
  features: int = 64
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return `{'heatmaps': [B, h, w, K]}`."""
    merged = top_down.merge(maps, self.features, self.conv, self.norm, train)
    x = self.conv(self.features, name='smooth')(merged[min(merged)])
    x = nn.relu(self.norm(name='bn_smooth')(x, train))
    return {'heatmaps': final_convolution(self.conv, self.num_keypoints)(x)}
