"""Pooling against Flax's and against values by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models import layers


def _random(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize('shape', [(8, 6), (7, 6), (6, 9), (5, 3)])
@pytest.mark.parametrize(('window', 'padding'), [(2, 0), (2, 1), (3, 1), (3, 0)])
def test_max_pool_and_its_gradient_equal_flax(shape, window, padding):
  # All values differ, so every window has one maximum.
  size = 2 * shape[0] * shape[1] * 3
  x = np.random.default_rng(0).permutation(size).reshape(2, *shape, 3).astype(np.float32) - size / 2

  def flax_pool(x):
    return nn.max_pool(x, (window, window), (2, 2), ((padding, padding),) * 2)

  y, vjp = jax.vjp(lambda x: layers.max_pool(x, window, 2, padding), x)
  expected, expected_vjp = jax.vjp(flax_pool, x)
  np.testing.assert_array_equal(y, expected)
  dy = _random(*y.shape)
  np.testing.assert_allclose(vjp(dy)[0], expected_vjp(dy)[0], rtol=1e-6)


def test_max_pool_gives_a_tie_to_the_first_in_row_major_order():
  x = jnp.zeros((1, 4, 6, 1))
  gradient = jax.grad(lambda x: layers.max_pool(x, 3, 2, padding=1).sum())(x)
  # Windows of padded 3x3 begin at rows -1, 1 and columns -1, 1, 3; the first real pixel wins.
  expected = np.zeros((4, 6))
  for row in (0, 1):
    for column in (0, 1, 3):
      expected[row, column] += 1
  np.testing.assert_array_equal(gradient[0, :, :, 0], expected)
  gradient = jax.grad(lambda x: layers.max_pool(x, 2).sum())(x)
  np.testing.assert_array_equal(gradient[0, :, :, 0], np.tile([[1, 0], [0, 0]], (2, 3)))


def test_average_pool_and_upsampling_by_hand():
  x = jnp.arange(15.0).reshape(1, 3, 5, 1)
  np.testing.assert_array_equal(layers.avg_pool2(x)[0, :, :, 0], [[3, 5]])
  y = layers.upsample(x[:, :2, :3], 2)
  np.testing.assert_array_equal(
    y[0, :, :, 0],
    [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], [5, 5, 6, 6, 7, 7], [5, 5, 6, 6, 7, 7]],
  )
