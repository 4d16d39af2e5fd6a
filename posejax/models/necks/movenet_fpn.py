"""MoveNet's feature pyramid: from stride 32 down to one map at stride 4."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models.mobile_layers import Conv, DepthwiseConv, normed

TOP = 64
LEVELS = ((16, 64, 32), (8, 32, 24), (4, 24, 24))
"""(stride, channels of the sum, channels after it), from the deepest on."""


def level(stride: int) -> str:
  """Return what the map at a stride is called in parameters: 32 is `c5`."""
  return f'c{stride.bit_length() - 1}'


def double(x: jax.Array) -> jax.Array:
  """Return `x` `[B, h, w, C]` twice as large, bilinear with half-pixel centres.

  Equal to `jax.image.resize(..., 'bilinear')`, which multiplies by a matrix for each axis.
  """
  for axis in (1, 2):
    n = x.shape[axis]
    # jnp.pad repeats the edges of the batch too, by nothing, which exports cannot write.
    cut = partial(jax.lax.slice_in_dim, x, axis=axis)
    before = jnp.concatenate([cut(0, 1), cut(0, n - 1)], axis)
    after = jnp.concatenate([cut(1, n), cut(n - 1, n)], axis)
    pairs = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    x = pairs.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
  return x


class MoveNetFpn(nn.Module):
  """Double the deeper map, add the next one through a 1x1 convolution, and convolve separably.

  Parameters: `lateral_c<l>`, `depthwise_c<l>` and `pointwise_c<l>` for stride 2 ** l.
  """

  batch_norm: bool = False
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[int, jax.Array]:
    """Return `{4: [B, h, w, 24]}` of maps at strides 4, 8, 16 and 32."""
    x = Conv(TOP, bias=True, dtype=self.dtype, name='lateral_c5')(maps[32])
    for stride, summed, features in LEVELS:
      name = level(stride)
      lateral = Conv(summed, bias=True, dtype=self.dtype, name=f'lateral_{name}')
      x = double(x) + lateral(maps[stride])
      x = DepthwiseConv(dtype=self.dtype, name=f'depthwise_{name}')(x)
      pointwise = normed(
        features,
        1,
        batch_norm=self.batch_norm,
        dtype=self.dtype,
        bn_group_size=self.bn_group_size,
        name=f'pointwise_{name}',
      )
      x = nn.relu(pointwise(x, train))
    return {4: x}
