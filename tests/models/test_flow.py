"""The flow against calculus: its density integrates to one, its volume is the Jacobian's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models.flow import RealNVP
from tests import compiling

FLOW = RealNVP()


@pytest.fixture(scope='module')
def params():
  """Parameters far from the start, where the flow bends the plane."""
  shapes = jax.eval_shape(FLOW.init, jax.random.key(0), jnp.zeros((1, 2)))
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda p: rng.normal(0, 0.15, p.shape).astype(np.float32), shapes)


_density = jax.jit(FLOW.apply)
_inverse = jax.jit(lambda params, x: FLOW.apply(params, x, method='inverse'))
_forward = jax.jit(lambda params, z: FLOW.apply(params, z, method='forward'))


def test_starts_as_the_normal_distribution():
  start = compiling.jit(FLOW.init)(jax.random.key(0), jnp.zeros((1, 2)))
  x = np.random.default_rng(0).normal(size=(50, 2))
  expected = -(x**2).sum(1) / 2 - np.log(2 * np.pi)
  np.testing.assert_allclose(_density(start, x), expected, atol=0.02)


def test_inverse_undoes_forward(params):
  z = np.random.default_rng(0).normal(size=(4, 25, 2)).astype(np.float32)
  x = _forward(params, z)
  assert np.abs(x - z).max() > 0.5, 'the parameters of this test do not bend the plane'
  back, _ = _inverse(params, x)
  np.testing.assert_allclose(back, z, atol=1e-4)


def test_volume_is_the_determinant_of_the_jacobian(params):
  x = np.random.default_rng(1).normal(size=(20, 2)).astype(np.float32)
  _, log_volume = _inverse(params, x)
  jacobians = compiling.jit(jax.vmap(jax.jacobian(lambda x: _inverse(params, x)[0])))(x)
  expected = np.log(np.abs(np.linalg.det(np.asarray(jacobians, np.float64))))
  assert np.abs(expected).max() > 0.2
  np.testing.assert_allclose(log_volume, expected, atol=1e-4)


@pytest.fixture(scope='module')
def grid():
  """Middles of the cells of a square, `[n, n, 2]`, and the area of a cell."""
  edge, cells = 12.0, 200
  middles = ((np.arange(cells) + 0.5) * 2 / cells - 1) * edge
  return np.stack(np.meshgrid(middles, middles), -1).astype(np.float32), (2 * edge / cells) ** 2


@pytest.fixture(scope='module')
def mass(params, grid):
  """The learnt probability of every cell."""
  points, area = grid
  return np.exp(np.asarray(_density(params, points), np.float64)) * area


def test_density_integrates_to_one(mass):
  assert mass.sum() == pytest.approx(1, abs=1e-3)


def test_density_is_that_of_its_own_samples(params, grid, mass):
  # The share of samples that fall into a half plane against the density's integral over it.
  points, _ = grid
  samples = _forward(params, np.random.default_rng(2).normal(size=(10_000, 2)).astype(np.float32))
  for direction in ((1.0, 0.3), (-0.4, 1.0)):
    share = np.mean(np.asarray(samples) @ direction > 0.5)
    assert mass[points @ direction > 0.5].sum() == pytest.approx(share, abs=0.02)
