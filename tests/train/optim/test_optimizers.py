import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from posejax.config import OptimizerConfig
from posejax.errors import PosejaxError
from posejax.train.optim import optimizers


def make(**changes):
  return dataclasses.replace(OptimizerConfig(schedule_steps=100), **changes)


def run(config, gradients, start):
  optimizer = optimizers.create(config)
  params = {'kernel': jnp.asarray(start)[None], 'bias': jnp.asarray(start)}
  state = optimizer.init(params)
  for g in gradients:
    grads = {'kernel': jnp.asarray(g)[None], 'bias': jnp.asarray(g)}
    updates, state = optimizer.update(grads, state, params)
    params = {k: params[k] - config.learning_rate * updates[k] for k in params}
  return {k: np.asarray(v).reshape(-1) for k, v in params.items()}


def adam_by_hand(config, gradients, start, decay, decoupled):
  """Write Adam as Kingma and Ba's Algorithm 1, weight decay as Loshchilov and Hutter's lines 6, 12."""
  x, m, v = np.array(start, np.float64), 0.0, 0.0
  for t, g in enumerate(np.array(gradients, np.float64), 1):
    if not decoupled:
      g = g + decay * x
    m = config.b1 * m + (1 - config.b1) * g
    v = config.b2 * v + (1 - config.b2) * g * g
    move = (m / (1 - config.b1**t)) / (np.sqrt(v / (1 - config.b2**t)) + 1e-8)
    x = x - config.learning_rate * (move + (decay * x if decoupled else 0.0))
  return x


@pytest.mark.parametrize('name', ['adam', 'adamw'])
def test_weight_decay_acts_as_the_name_says_and_on_kernels_only(name):
  config = make(name=name, learning_rate=0.1, weight_decay=0.3)
  gradients, start = [[0.5, -2.0], [0.1, 0.4], [-1.0, 0.2]], [1.0, -3.0]
  got = run(config, gradients, start)
  decoupled = name == 'adamw'
  np.testing.assert_allclose(
    got['kernel'], adam_by_hand(config, gradients, start, 0.3, decoupled), rtol=1e-5
  )
  np.testing.assert_allclose(
    got['bias'], adam_by_hand(config, gradients, start, 0.0, decoupled), rtol=1e-5
  )


def test_muon_moves_kernels_alike_in_all_directions_and_the_rest_by_adam():
  config = make(name='muon', learning_rate=0.1, weight_decay=0.3)
  rng = np.random.default_rng(0)
  params = {'kernel': jnp.asarray(rng.normal(size=(3, 3, 2, 5)), jnp.float32), 'bias': jnp.ones(5)}
  grads = {k: jnp.asarray(rng.normal(size=p.shape) * 1e-3, jnp.float32) for k, p in params.items()}
  optimizer = optimizers.create(config)
  updates, _ = optimizer.update(grads, optimizer.init(params), params)
  bias = np.asarray(params['bias'] - 0.1 * updates['bias'])
  by_hand = adam_by_hand(config, [grads['bias']], params['bias'], 0.0, False)
  np.testing.assert_allclose(bias, by_hand, rtol=1e-4)
  # The first step's momentum is the gradient: the update has its singular vectors and other values.
  moved = np.asarray(updates['kernel'] - 0.3 * params['kernel']).reshape(18, 5)
  u, _, vt = np.linalg.svd(np.asarray(grads['kernel']).reshape(18, 5), full_matrices=False)
  values = u.T @ moved @ vt.T / (0.2 * np.sqrt(18))
  np.testing.assert_allclose(values - np.diag(np.diag(values)), 0, atol=1e-3)
  assert np.all((np.diag(values) > 0.6) & (np.diag(values) < 1.3))


def test_lamb_moves_kernels_by_a_share_of_themselves_and_the_rest_by_adam():
  config = make(name='lamb', learning_rate=0.1, weight_decay=0.3)
  gradients, start = [[0.5, -2.0], [0.1, 0.4], [-1.0, 0.2]], [1.0, -3.0]
  got = run(config, gradients, start)
  by_adam = adam_by_hand(config, gradients, start, 0.0, False)
  np.testing.assert_allclose(got['bias'], by_adam, rtol=1e-5)
  # You et al., algorithm 2, with phi the identity.
  x, m, v = np.array(start), 0.0, 0.0
  for t, g in enumerate(np.array(gradients), 1):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    r = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) + 0.3 * x
    x = x - 0.1 * np.linalg.norm(x) / np.linalg.norm(r) * r
  np.testing.assert_allclose(got['kernel'], x, rtol=1e-5)


def test_sgd_with_momentum_and_l2():
  config = make(name='sgd', learning_rate=0.1, momentum=0.9, weight_decay=0.5)
  x, velocity = 2.0, 0.0
  for g in (1.0, -0.5):
    velocity = 0.9 * velocity + g + 0.5 * x
    x -= 0.1 * velocity
  assert run(config, [[1.0], [-0.5]], [2.0])['kernel'] == pytest.approx(x, rel=1e-6)


def test_the_gradient_is_clipped_by_its_global_norm():
  config = make(name='sgd', learning_rate=1.0, momentum=0.0, clip_norm=1.0)
  # Kernel and bias both get (3, 4): a global norm of sqrt(50).
  got = run(config, [[3.0, 4.0]], [0.0, 0.0])
  np.testing.assert_allclose(got['kernel'], -np.array([3, 4]) / np.sqrt(50), rtol=1e-6)


def test_an_unknown_name_is_told_the_nearest():
  with pytest.raises(PosejaxError, match="Did you mean 'adam"):
    optimizers.create(make(name='adamm'))
