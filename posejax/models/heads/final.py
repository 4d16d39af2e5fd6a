"""One convolution to heatmaps."""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.models import layers


def final_convolution(conv: Callable, num_keypoints: int) -> nn.Module:
  """Return the 1x1 convolution to heatmaps, as `final` of the module that calls."""
  init = nn.initializers.normal(0.001)
  return conv(num_keypoints, 1, bias=True, kernel_init=init, name='final')


class FinalHead(nn.Module):
  """One 1x1 convolution from the shallowest map to a heatmap per keypoint. Parameters: `final`."""

  num_keypoints: int
  conv: Callable = layers.Conv

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return `{'heatmaps': [B, h, w, K]}`."""
    del train
    return {'heatmaps': final_convolution(self.conv, self.num_keypoints)(maps[min(maps)])}
