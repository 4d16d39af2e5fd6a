"""Coordinates straight from a map, through dense layers."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


class RegressionHead(nn.Module):
  """Numbers per keypoint from the deepest map, through dense layers. Parameters: `hidden`, `final`.

  Attributes:
    sigmas: whether the logits of two standard deviations follow x and y.
    pooling: 'average' over the map, as published on ImageNet's backbones, or 'flatten', which keeps
      where in the map something was seen and fixes the size of the input.
    hidden: units of a dense layer with a ReLU before the last; 0 for none.
  """

  num_keypoints: int
  sigmas: bool = False
  pooling: str = 'average'
  hidden: int = 0
  dense: Callable = nn.Dense

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return `{'coordinates': [B, K, 2]}`, or `[B, K, 4]` with sigmas.

    They are fractions of the crop; x and y start at the middle, 0.5.
    """
    del train
    x = maps[max(maps)]
    x = x.mean((1, 2)) if self.pooling == 'average' else x.reshape(x.shape[0], -1)
    if self.hidden:
      init = nn.initializers.he_normal()
      x = nn.relu(self.dense(self.hidden, kernel_init=init, name='hidden')(x))
    numbers = 4 if self.sigmas else 2
    init = nn.initializers.normal(0.001)
    # In float32 whatever the net computes in: bfloat16 has 256 places on a crop's right half.
    units = self.num_keypoints * numbers
    x = self.dense(units, kernel_init=init, dtype=jnp.float32, name='final')(x)
    x = x.reshape(-1, self.num_keypoints, numbers)
    return {'coordinates': x + jnp.array([0.5, 0.5, 0, 0][:numbers])}
