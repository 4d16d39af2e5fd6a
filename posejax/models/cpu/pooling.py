"""Maxima over windows as pairwise ones: XLA's backward pass of `reduce_window` is slow on CPUs."""

import jax
from jax import lax
import jax.numpy as jnp


def max_pool2(x: jax.Array, padding: int) -> jax.Array:
  """Return the maximum over windows of 2x2 at stride 2, of `x` `[B, h, w, C]` padded by -inf."""
  around = (padding, padding)
  return _max_pool2(jnp.pad(x, ((0, 0), around, around, (0, 0)), constant_values=-jnp.inf))


def max_pool3(x: jax.Array, padding: int) -> jax.Array:
  """Return the maximum over windows of 3x3 at stride 2, of `x` `[B, h, w, C]` padded by -inf."""
  # Columns before rows: the row-major first of the window's maxima then wins.
  return _max_pool3_axis(_max_pool3_axis(x, 2, padding), 1, padding)


def _max(a: jax.Array, b: jax.Array) -> jax.Array:
  """Return the larger; unlike `jnp.maximum`, the gradient of a tie goes to `a` alone."""
  return jnp.where(a >= b, a, b)


@jax.custom_vjp
def _max_pool2(x: jax.Array) -> jax.Array:
  return _max_and_place(x)[0]


def _max_and_place(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Return the maxima of 2x2 windows, and where in its window each stands: 0 to 3 in row-major order."""
  b, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
  corners = [x[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]
  y, place = corners[0], jnp.int8(0)
  for i, corner in enumerate(corners[1:], 1):
    place = jnp.where(corner > y, jnp.int8(i), place)
    y = _max(y, corner)
  return y, place


def _max_pool2_forward(x):
  y, place = _max_and_place(x)
  return y, (place, x.shape)


def _max_pool2_backward(residuals, dy):
  # One pass over the gradient; that of the slices above is four of them, padded with zeros and added.
  place, (b, h, w, c) = residuals
  corner = jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
  here = place[:, :, None, :, None] == corner
  dx = jnp.where(here, dy[:, :, None, :, None], jnp.zeros((), dy.dtype))
  dx = dx.reshape(b, h // 2 * 2, w // 2 * 2, c)
  return (jnp.pad(dx, ((0, 0), (0, h % 2), (0, w % 2), (0, 0))),)


_max_pool2.defvjp(_max_pool2_forward, _max_pool2_backward)


def _max_pool3_axis(x: jax.Array, axis: int, padding: int) -> jax.Array:
  size = x.shape[axis]
  out = (size + 2 * padding - 3) // 2 + 1
  pairs = out + 1
  # Pad (or crop) to whole pairs; a padded value never wins.
  after = 2 * pairs - size - padding
  widths = [(0, 0, 0)] * x.ndim
  widths[axis] = (padding, after, 0)
  x = lax.pad(x, jnp.array(-jnp.inf, x.dtype), widths)
  x = x.reshape(*x.shape[:axis], pairs, 2, *x.shape[axis + 1 :])
  first, second = (lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in (0, 1))
  y = _max(lax.slice_in_dim(first, 0, out, axis=axis), lax.slice_in_dim(second, 0, out, axis=axis))
  return _max(y, lax.slice_in_dim(first, 1, out + 1, axis=axis))
