from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.models.backbones import hrnet
from tests import compiling


def shapes(model, size):
  images = jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  return variables, jax.eval_shape(model.apply, variables, images)


def test_every_variable_is_float32_and_heatmaps_too_when_computing_in_bfloat16():
  model = models.create('pose_hrnet_w32', num_keypoints=3, dtype='bfloat16', bn_group_size=1)
  variables, outputs = shapes(model, (32, 64))
  assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  assert outputs['heatmaps'].dtype == jnp.float32
  assert outputs['heatmaps'].shape == (2, 8, 16, 3)


def test_an_exchange_module_trains():
  """Every parameter has a gradient, and every running statistic moves."""
  module = hrnet.ExchangeModule(4, num_outputs=3, blocks=1)  # more compile for longer
  random = np.random.default_rng(0)

  def draw(x):
    return jnp.asarray(random.uniform(0.1, 1, x.shape), jnp.float32)

  branches = [draw(np.empty((2, 8 // 2**i, 12 // 2**i, 4 * 2**i))) for i in range(3)]
  shapes = jax.eval_shape(partial(module.init, branches=branches, train=True), jax.random.key(0))
  variables = jax.tree.map(draw, shapes)

  def loss(params):
    variables_now = {**variables, 'params': params}
    outputs, state = module.apply(variables_now, branches, True, mutable=['batch_stats'])
    return sum((y**2).sum() for y in outputs), (outputs, state)

  step = compiling.jit(jax.value_and_grad(loss, has_aux=True))
  (_, (outputs, state)), gradients = step(variables['params'])
  assert [y.shape for y in outputs] == [x.shape for x in branches]
  assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradients))
  before = jax.tree.leaves(variables['batch_stats'])
  moved = [not np.array_equal(a, b) for a, b in zip(before, jax.tree.leaves(state), strict=True)]
  assert all(moved)


def test_sizes_that_the_branches_cannot_share_are_an_error():
  with pytest.raises(PosejaxError, match='multiples of 32, got 64x48'):
    shapes(models.create('pose_hrnet_w32'), (64, 48))
