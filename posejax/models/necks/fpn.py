"""The feature pyramid of two-stage detectors.

Source: Lin et al., arXiv:1612.03144; torchvision/ops/feature_pyramid_network.py.
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.models import layers

_INIT = nn.initializers.variance_scaling(1.0, 'fan_in', 'uniform')


class Fpn(nn.Module):
  """Maps of `features` channels at the backbone's strides, and one at twice the coarsest.

  The coarsest is every other pixel of the one before, of which an odd last row or column counts.
  Parameters: `inner_c<i>`, `layer_c<i>` at stride 2 ** i.
  """

  features: int = 256
  conv: Callable = layers.Conv

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[int, jax.Array]:
    """Return the pyramid by stride."""
    del train
    pyramid, x = {}, None
    for stride in sorted(maps, reverse=True):
      level = stride.bit_length() - 1
      inner = self.conv(self.features, 1, bias=True, kernel_init=_INIT, name=f'inner_c{level}')(
        maps[stride]
      )
      x = inner if x is None else layers.add(inner, layers.upsample(x, 2))
      layer = self.conv(self.features, 3, bias=True, kernel_init=_INIT, name=f'layer_c{level}')
      pyramid[stride] = layer(x)
    coarsest = max(pyramid)
    return {**pyramid, 2 * coarsest: pyramid[coarsest][:, ::2, ::2]}
