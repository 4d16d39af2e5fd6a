"""The top-down pathway: what deeper maps know is added to the shallower ones.

Source: feature pyramid networks (Lin et al., arXiv:1612.03144).
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from posejax.errors import PosejaxError
from posejax.models import layers


def merge(
  maps: dict[int, jax.Array], features: int, conv: Callable, norm: Callable, train: bool
) -> dict[int, jax.Array]:
  """Double the deeper map, add the next one through a 1x1 convolution, normalise; so on up.

  Parameters, of the module that calls: `lateral_c<i>`, `bn_c<i>` at stride 2 ** i.

  Returns:
    A map of `features` channels at every stride that came.

  Raises:
    PosejaxError: a map is not twice as high and wide as the next.
  """
  merged, x = {}, None
  for stride in sorted(maps, reverse=True):
    level = stride.bit_length() - 1
    lateral = conv(features, 1, name=f'lateral_c{level}')(maps[stride])
    if x is not None:
      x = layers.upsample(x, 2)
      if x.shape != lateral.shape:
        raise PosejaxError(
          f'The map at stride {stride} is {lateral.shape[1]}x{lateral.shape[2]} and twice the next is '
          f'{x.shape[1]}x{x.shape[2]}, so they cannot be added; make config.task.crop_size divisible '
          f'by {max(maps)}.'
        )
    x = lateral if x is None else x + lateral
    x = nn.relu(norm(name=f'bn_c{level}')(x, train))
    merged[stride] = x
  return merged


class TopDown(nn.Module):
  """A map of `features` channels at every stride of the backbone. Parameters: those of `merge`."""

  features: int = 64
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[int, jax.Array]:
    """Return the merged maps by their stride."""
    return merge(maps, self.features, self.conv, self.norm, train)
