"""Residual sums as the nets end their blocks with, beside the same in plain jax.numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models import layers


def normal(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_upsampling_repeats_pixels():
  x = np.arange(2 * 3 * 5 * 2, dtype=np.float32).reshape(2, 3, 5, 2)
  expected = x.repeat(4, axis=1).repeat(4, axis=2)
  np.testing.assert_array_equal(layers.upsample(jnp.asarray(x), 4), expected)


def test_maps_of_several_sizes_are_added_and_rectified():
  maps = [normal(i, 2, 8 // f, 12 // f, 3) for i, f in enumerate((1, 2, 4))]

  def plain(a, b, c):
    b, c = (x.repeat(f, axis=1).repeat(f, axis=2) for x, f in ((b, 2), (c, 4)))
    return jnp.maximum(a + b + c, 0)

  np.testing.assert_allclose(layers.add_relu(*maps), plain(*maps), rtol=1e-6)
  dy = normal(9, 2, 8, 12, 3)
  gradients = jax.jit(lambda maps: jax.vjp(layers.add_relu, *maps)[1](dy))(maps)
  for found, expected in zip(gradients, jax.vjp(plain, *maps)[1](dy), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_passes_where_the_sum_is_zero_and_a_nan_stays():
  x = jnp.asarray([-1.0, 0.0, 1.0, jnp.nan]).reshape(1, 1, 4, 1)
  y, vjp = jax.vjp(layers.add_relu, x, jnp.zeros_like(x))
  np.testing.assert_array_equal(y.ravel(), [0, 0, 1, np.nan])
  np.testing.assert_array_equal(vjp(jnp.ones_like(x))[0].ravel(), [0, 0, 1, 0])


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('train', [False, True])
def test_a_norm_with_a_shortcut_is_the_rectified_sum(train, dtype):
  norm = layers.BatchNorm(group_size=2, dtype=dtype)
  x, shortcut = (normal(seed, 4, 3, 5, 6).astype(dtype) for seed in (1, 2))
  variables = norm.init(jax.random.key(0), x, True)
  variables = jax.tree.map(lambda v: v + 0.5 * jnp.abs(normal(3, *v.shape)), variables)

  def with_shortcut(params, x, shortcut):
    inputs = {**variables, 'params': params}
    return norm.apply(inputs, x, train, shortcut, mutable=['batch_stats'])

  def plain(params, x, shortcut):
    inputs = {**variables, 'params': params}
    y, statistics = norm.apply(inputs, x, train, mutable=['batch_stats'])
    return jax.nn.relu(y + shortcut), statistics

  arguments = (variables['params'], x, shortcut)
  (found, statistics), (expected, expected_statistics) = (
    jax.jit(fn)(*arguments) for fn in (with_shortcut, plain)
  )
  assert found.dtype == jnp.dtype(dtype)
  tolerance = 1e-5 if dtype == 'float32' else 2e-2
  np.testing.assert_allclose(
    found.astype(np.float32), expected.astype(np.float32), atol=tolerance, rtol=tolerance
  )
  jax.tree.map(np.testing.assert_array_equal, statistics, expected_statistics)
  gradients = [
    jax.grad(lambda *a, fn=fn: jnp.square(fn(*a)[0].astype(jnp.float32)).sum(), (0, 1, 2))(
      *arguments
    )
    for fn in (with_shortcut, plain)
  ]
  if dtype == 'float32':
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *gradients)
