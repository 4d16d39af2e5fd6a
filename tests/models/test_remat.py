"""Blocks computed anew: the same parameters, results and gradients, and less kept for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from tests import compiling

BACKBONES = {
  'resnet': {'depth': 18},
  'densenet_compact': {'growth': 4, 'block_layers': (2, 2), 'stem_features': 8},
  'hrnet': {'width': 8, 'modules': (1, 0, 0), 'blocks': 1},
  'residual_cnn': {'features': (8,), 'blocks': 2},
  'mobilenet_v2': {'width': 0.35, 'batch_norm': True},
  'cspnext': {'width': 0.25, 'depth': 0.33},
}
IMAGES = (4, 64, 32, 3)


def create(name, remat):
  backbone = {'name': name, **BACKBONES[name]}
  return models.create('net', backbone=backbone, head={'name': 'final'}, remat=remat).backbone


def loss_of(backbone):
  def loss(params, others, images):
    variables = {'params': params, **others}
    maps, state = backbone.apply(variables, images, True, mutable=['batch_stats'])
    return sum(jnp.square(y).mean() for y in maps.values()), state

  return loss


def shapes(backbone):
  images = jax.ShapeDtypeStruct(IMAGES, jnp.float32)
  variables = dict(jax.eval_shape(backbone.init, jax.random.key(0), images))
  return variables.pop('params'), variables, images


def kept(backbone) -> int:
  """Return the bytes that a backward pass has of the forward pass, beside parameters."""
  loss = loss_of(backbone)

  def backward(params, others, images):
    return jax.vjp(lambda params: loss(params, others, images), params, has_aux=True)[1]

  given = shapes(backbone)
  residuals = jax.eval_shape(backward, *given)
  return sum(4 * leaf.size for leaf in jax.tree.leaves(residuals)) - 4 * sum(
    leaf.size for leaf in jax.tree.leaves(given[0])
  )


@pytest.mark.parametrize('name', BACKBONES)
def test_less_is_kept_under_the_same_names(name):
  plain, remat = (create(name, on) for on in (False, True))
  assert jax.tree.map(lambda s: s.shape, shapes(plain)) == jax.tree.map(
    lambda s: s.shape, shapes(remat)
  )
  assert kept(remat) < 0.75 * kept(plain)


def test_results_gradients_and_statistics_are_the_same():
  plain, remat = (create('residual_cnn', on) for on in (False, True))
  images = jnp.asarray(np.random.default_rng(0).normal(size=IMAGES), jnp.float32)
  variables = dict(compiling.jit(plain.init)(jax.random.key(0), images))
  params = variables.pop('params')
  results = [
    compiling.jit(jax.value_and_grad(loss_of(backbone), has_aux=True))(params, variables, images)
    for backbone in (plain, remat)
  ]
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *results)


def test_a_net_without_blocks_says_which_have_them():
  with pytest.raises(PosejaxError, match=r"remat: 'svhn_cnn' has no backbone of blocks; .*resnet"):
    models.create('svhn_cnn', remat=True)
  with pytest.raises(PosejaxError, match='remat is not an option'):
    models.create(
      'net', backbone={'name': 'resnet', 'depth': 18, 'remat': True}, head={'name': 'final'}
    )
