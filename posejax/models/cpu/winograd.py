"""A 3x3 convolution with 16 products for every 2x2 of its outputs, where the sums themselves take 36.

Its matrices hold nothing but 0, 1, -1 and halves of these, so that it rounds about as the sums do.
Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308),
F(2x2, 3x3).
"""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
"""From a line of a kernel's three to what four inputs are multiplied by."""


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Return the cross-correlation of `x` `[B, h, w, C]`, padded by 1, and `kernel` `[3, 3, C, D]`.

  It computes in float32: sums of what bfloat16 holds may be out of its reach.
  """
  dtype, x, kernel = x.dtype, x.astype(jnp.float32), kernel.astype(jnp.float32)
  batch, h, w, c = x.shape
  d = kernel.shape[-1]
  rows, columns = -(-h // 2), -(-w // 2)  # of tiles, each of which sees four by four pixels
  x = jnp.pad(x, ((0, 0), (1, 1 + 2 * rows - h), (1, 1 + 2 * columns - w), (0, 0)))
  factors = np.kron(_KERNEL, _KERNEL) @ kernel.reshape(9, c * d)
  factors = factors.reshape(4, 4, c, d)
  lines = _of_inputs([x[:, i : i + 2 * rows - 1 : 2] for i in range(4)])
  products = []
  for i, line in enumerate(lines):
    tiles = _of_inputs([line[:, :, j : j + 2 * columns - 1 : 2] for j in range(4)])
    products.append(
      _of_products(
        [
          lax.dot_general(tile, factors[i, j], (((3,), (0,)), ((), ())))
          for j, tile in enumerate(tiles)
        ]
      )
    )
  # Of either column of the tiles, its rows.
  outputs = [_of_products([line[j] for line in products]) for j in range(2)]
  y = jnp.stack([jnp.stack(pair, 3) for pair in zip(*outputs, strict=True)], 2)
  return y.reshape(batch, 2 * rows, 2 * columns, d)[:, :h, :w].astype(dtype)


def _of_inputs(x: list[jax.Array]) -> list[jax.Array]:
  """Return what of four neighbouring inputs is multiplied."""
  return [x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]]


def _of_products(y: list[jax.Array]) -> list[jax.Array]:
  """Return two neighbouring outputs of four products."""
  return [y[0] + y[1] + y[2], y[1] - y[2] - y[3]]
