"""The digit classifiers: exact parameter counts, the baseline's layers, dropout, clear errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from tests import compiling


def _images(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize(
  ('options', 'count'),
  [
    # 864 + 64, 18432 + 128, 4096 * 128 + 128, 1290.
    ({}, 545_194),
    ({'variant': 'wide'}, 10_961_370),
    # 36.5 M, 8.9 M and 2.7 M in the paper's tables.
    ({'variant': 'wide', 'depth': 28, 'width': 10}, 36_479_194),
    ({'variant': 'wide', 'depth': 40, 'width': 4, 'dropout': 0.3}, 8_949_210),
    ({'variant': 'wide', 'depth': 16, 'width': 4}, 2_748_890),
  ],
)
def test_parameter_count(options, count):
  model = models.create('svhn_cnn', **options)
  params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))['params']
  assert sum(p.size for p in jax.tree.leaves(params)) == count


def test_the_baseline_is_what_its_words_say():
  model = models.create('svhn_cnn', features=(4, 6), hidden=5, num_classes=3)
  x = _images(2, 8, 12, 3)
  variables = compiling.jit(model.init)(jax.random.key(1), x)
  params = jax.tree.map(np.asarray, variables['params'])
  y = np.asarray(x, np.float64)
  for i in (1, 2):
    kernel = params[f'conv{i}']['kernel']
    padded = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = y.shape[1:3]
    y = sum(padded[:, a : a + h, b : b + w] @ kernel[a, b] for a in range(3) for b in range(3))
    y = np.maximum(y / np.sqrt(1 + 1e-5), 0)  # batch norm of fresh statistics
    y = np.max([y[:, a::2, b::2] for a in (0, 1) for b in (0, 1)], axis=0)
  y = y.reshape(2, -1)
  y = np.maximum(y @ params['dense1']['kernel'] + params['dense1']['bias'], 0)
  y = y @ params['dense2']['kernel'] + params['dense2']['bias']
  np.testing.assert_allclose(
    compiling.jit(model.apply)(variables, x)['logits'], y, rtol=1e-4, atol=1e-5
  )


def test_dropout_acts_in_training_only():
  x = _images(4, 16, 24, 3)
  options = {'variant': 'wide', 'depth': 10, 'width': 1}
  plain, dropping = (models.create('svhn_cnn', dropout=d, **options) for d in (0.0, 0.5))
  variables = compiling.jit(plain.init)(jax.random.key(0), x)

  @functools.partial(compiling.jit, static_argnums=0)
  def train(model, seed):
    rngs = {'dropout': jax.random.key(seed)}
    return model.apply(variables, x, train=True, mutable=['batch_stats'], rngs=rngs)[0]['logits']

  np.testing.assert_array_equal(
    *(compiling.jit(model.apply)(variables, x)['logits'] for model in (plain, dropping))
  )
  np.testing.assert_array_equal(train(dropping, 1), train(dropping, 1))
  assert not np.allclose(train(dropping, 1), train(dropping, 2), atol=1e-3)
  np.testing.assert_array_equal(train(plain, 1), train(plain, 2))


def test_unsuitable_settings_are_refused():
  for options, message in [
    ({'variant': 'base'}, "'base' is not a variant.*'baseline'"),
    ({'depth': 16}, "depth is no setting of svhn_cnn with variant='baseline'"),
    ({'variant': 'wide', 'hidden': 3}, 'hidden is no setting.*depth, width, dropout'),
    ({'variant': 'wide', 'depth': 18}, 'depth=18 must be 10, 16, 22'),
    ({'variant': 'wide', 'dropout': 1.0}, r'dropout=1.0 must be in \[0, 1\)'),
  ]:
    with pytest.raises(PosejaxError, match=message):
      models.create('svhn_cnn', **options)
