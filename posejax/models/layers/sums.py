"""Sums and concatenations of maps, which deep nets use several times each."""

from functools import partial, reduce

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models.cpu import fusion


def upsample(x: jax.Array, factor: int) -> jax.Array:
  """Return `x` `[B, h, w, C]` with every pixel repeated `factor` times both ways."""
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, factor, w, factor, c))
  return x.reshape(b, h * factor, w * factor, c)


@fusion.alone
def concatenate(x: jax.Array, y: jax.Array) -> jax.Array:
  """Return `x` with the channels of `y` behind its own."""
  return jnp.concatenate([x, y], -1)


@fusion.alone
def add(x: jax.Array, y: jax.Array) -> jax.Array:
  """Return the sum of two arrays of one shape."""
  return x + y


def add_relu(*xs: jax.Array) -> jax.Array:
  """Return the rectified sum of maps `[B, h, w, C]`, smaller ones upsampled to the first one's size."""
  return _add_relu(_factors(xs), *xs)


def _factors(xs):
  return tuple(xs[0].shape[1] // x.shape[1] for x in xs)


@fusion.alone
def _rectified_sum(*xs):
  same_size = [upsample(x, f) if f > 1 else x for x, f in zip(xs, _factors(xs), strict=True)]
  return nn.relu(reduce(jnp.add, same_size))


@fusion.alone
def _where_positive(y, dy):
  return jnp.where(y > 0, dy, jnp.zeros((), dy.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _add_relu(factors, *xs):
  del factors
  return _rectified_sum(*xs)


def _add_relu_forward(factors, *xs):
  y = _add_relu(factors, *xs)
  return y, y  # which tells where the sum was positive, so that the sum need not be kept


def _add_relu_backward(factors, y, dy):
  dx = _where_positive(y, dy)
  b, h, w, c = y.shape
  return tuple(
    dx if f == 1 else dx.reshape(b, h // f, f, w // f, f, c).sum((2, 4)) for f in factors
  )


_add_relu.defvjp(_add_relu_forward, _add_relu_backward)


@fusion.alone
def scale_add_relu(
  x: jax.Array, factor: jax.Array, offset: jax.Array, shortcut: jax.Array
) -> jax.Array:
  """Return the rectified sum of a normalised map and a shortcut, in the dtype of the latter."""
  y = x.astype(jnp.float32) * factor + offset
  return nn.relu(y.astype(shortcut.dtype) + shortcut)
