"""NanoDet's path aggregation: sums down and up the pyramid, without convolutions between.

Source: `PAN` of RangiLyu/nanodet nanodet/model/fpn/pan.py (Apache-2.0).
"""

from typing import Any

import flax.linen as nn
import jax

from posejax.models import layers
from posejax.models.necks.movenet_fpn import double


class NanoDetPan(nn.Module):
  """Return maps at strides 8, 16 and 32 of maps at these, all of `features` channels.

  Maps are resized bilinearly; to half the size that is the mean of two by two. Parameters:
  `lateral_c<l>` for stride 2 ** l.
  """

  features: int = 128
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[int, jax.Array]:
    """Join the maps, first from the deepest on, then from the shallowest on."""
    del train
    down = {}
    for level in (5, 4, 3):
      lateral = layers.Conv(self.features, 1, bias=True, dtype=self.dtype, name=f'lateral_c{level}')
      down[level] = lateral(maps[2**level])
      if level < 5:
        down[level] = layers.add(down[level], double(down[level + 1]))
    joined = {8: down[3]}
    for level in (4, 5):
      smaller = layers.avg_pool2(joined[2 ** (level - 1)])
      joined[2**level] = layers.add(down[level], smaller)
    return joined
