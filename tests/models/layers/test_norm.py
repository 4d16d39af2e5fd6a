"""Batch norm against Flax's, against its groups one by one, and its running statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models import layers


def _images(batch=6, seed=0):
  return jnp.asarray(np.random.default_rng(seed).normal(3.0, 2.0, (batch, 5, 4, 3)), jnp.float32)


def _variables():
  return {
    'params': {'scale': jnp.array([0.5, 1.0, 2.0]), 'bias': jnp.array([-1.0, 0.0, 1.0])},
    'batch_stats': {'mean': jnp.array([0.1, 0.2, 0.3]), 'var': jnp.array([1.0, 2.0, 3.0])},
  }


def _train(norm, x, variables=None):
  y, state = norm.apply(variables or _variables(), x, train=True, mutable=['batch_stats'])
  return y, state['batch_stats']


def test_output_and_gradients_equal_flax():
  x, variables = _images(), _variables()
  flax_norm = nn.BatchNorm(use_running_average=False, momentum=0.9, epsilon=1e-5)
  weights = jnp.asarray(np.random.default_rng(1).standard_normal(x.shape), jnp.float32)

  def ours(params, x):
    return (_train(layers.BatchNorm(), x, {**variables, 'params': params})[0] * weights).sum()

  def theirs(params, x):
    y, _ = flax_norm.apply({**variables, 'params': params}, x, mutable=['batch_stats'])
    return (y * weights).sum()

  got = jax.value_and_grad(ours, (0, 1))(variables['params'], x)
  expected = jax.value_and_grad(theirs, (0, 1))(variables['params'], x)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, expected)


def test_evaluation_uses_running_statistics():
  x, variables = _images(), _variables()
  y = layers.BatchNorm().apply(variables, x, train=False)
  p, s = variables['params'], variables['batch_stats']
  expected = (x - s['mean']) / np.sqrt(s['var'] + 1e-5) * p['scale'] + p['bias']
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_running_variance_is_the_unbiased_one():
  x = _images()
  _, stats = _train(layers.BatchNorm(), x)
  flat = np.asarray(x, np.float64).reshape(-1, 3)
  old = _variables()['batch_stats']
  np.testing.assert_allclose(stats['mean'], 0.9 * old['mean'] + 0.1 * flat.mean(0), rtol=1e-5)
  np.testing.assert_allclose(stats['var'], 0.9 * old['var'] + 0.1 * flat.var(0, ddof=1), rtol=1e-5)


def test_groups_are_normalised_one_by_one():
  x = _images(6)
  y, stats = _train(layers.BatchNorm(group_size=2), x)
  parts = [_train(layers.BatchNorm(), x[i : i + 2]) for i in (0, 2, 4)]
  np.testing.assert_allclose(y, jnp.concatenate([p[0] for p in parts]), rtol=1e-5, atol=1e-5)
  for name in ('mean', 'var'):
    np.testing.assert_allclose(stats[name], sum(p[1][name] for p in parts) / 3, rtol=1e-5)


def test_group_size_must_divide_the_batch():
  with pytest.raises(ValueError, match='bn_group_size=4 must divide the batch of 6'):
    _train(layers.BatchNorm(group_size=4), _images(6))


def test_statistics_survive_a_large_mean_and_bfloat16():
  x = _images() + 1000.0
  _, stats = _train(layers.BatchNorm(), x)
  expected = np.asarray(x, np.float64).reshape(-1, 3).var(0, ddof=1)
  old = _variables()['batch_stats']['var']
  np.testing.assert_allclose((stats['var'] - 0.9 * old) / 0.1, expected, rtol=1e-3)

  y, stats = _train(layers.BatchNorm(dtype='bfloat16'), _images().astype(jnp.bfloat16))
  assert y.dtype == jnp.bfloat16
  assert stats['mean'].dtype == stats['var'].dtype == jnp.float32


def test_a_frozen_norm_is_no_parameter_and_stays_in_training():
  x, shortcut = _images(), _images(seed=1)
  stats = {**_variables()['params'], **_variables()['batch_stats']}
  norm = layers.FrozenBatchNorm(epsilon=0.0)
  assert set(norm.init(jax.random.key(0), x, True)) == {'batch_stats'}
  expected = (x - stats['mean']) / np.sqrt(stats['var']) * stats['scale'] + stats['bias']
  for train in (True, False):
    y, state = norm.apply({'batch_stats': stats}, x, train, mutable=['batch_stats'])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, state['batch_stats'], stats)
    y = norm.apply({'batch_stats': stats}, x, train, shortcut)
    np.testing.assert_allclose(y, np.maximum(expected + shortcut, 0), rtol=1e-5, atol=1e-5)


def test_group_norm_looks_at_one_picture_and_one_group():
  x = jnp.asarray(np.random.default_rng(2).normal(3, 2, (2, 5, 4, 6)), jnp.float32)
  norm = layers.GroupNorm(groups=3)
  variables = norm.init(jax.random.key(0), x, True)
  groups = np.asarray(x).reshape(2, 5, 4, 3, 2)
  mean, var = groups.mean((1, 2, 4), keepdims=True), groups.var((1, 2, 4), keepdims=True)
  expected = ((groups - mean) / np.sqrt(var + 1e-5)).reshape(x.shape)
  np.testing.assert_allclose(norm.apply(variables, x, True), expected, rtol=1e-4, atol=1e-4)
  y = norm.apply(variables, x, False, -x)
  np.testing.assert_allclose(y, np.maximum(expected - x, 0), rtol=1e-4, atol=1e-4)
