"""Every net of the table: exact parameter counts, shapes, dtypes, batch statistics, clear errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.models import layers
from tests import compiling

# With 17 keypoints. ResNets: REFERENCE of published nets (34.0M for ResNet-50 in the README of
# microsoft/human-pose-estimation.pytorch). DenseNets: torchvision's counts without the classifier
# (6,953,856; 12,484,480; 18,092,928) plus the head's.
POSE_COUNTS = {
  'pose_resnet18': 15_376_721,
  'pose_resnet34': 25_484_881,
  'pose_resnet50': 33_999_697,
  'pose_resnet101': 52_991_825,
  'pose_resnet152': 68_635_473,
  'pose_resnet18_v2': 15_374_929,
  'pose_resnet34_v2': 25_483_089,
  'pose_resnet50_v2': 33_992_017,
  'pose_resnet101_v2': 52_984_145,
  'pose_resnet152_v2': 68_627_793,
  'pose_densenet121': 13_251_217,
  'pose_densenet169': 21_403_281,
  'pose_densenet201': 28_060_305,
  'pose_densenet_compact': 206_513,
  'pose_hrnet_w32': 28_536_113,
  'pose_hrnet_w48': 63_595_745,
}


TINY = {'growth': 4, 'block_layers': (1, 2), 'stem_features': 8, 'head_features': 8}


def _images(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def _shapes(model, size=(64, 96)):
  return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *size, 3)))


def _count(params):
  return sum(int(np.prod(p.shape)) for p in jax.tree.leaves(params))


@pytest.mark.parametrize('name', sorted(POSE_COUNTS))
def test_parameter_count(name):
  count = _count(_shapes(models.create(name))['params'])
  assert count == POSE_COUNTS[name], (
    'the architecture changed: weights of before do not fit any more'
  )


def test_every_pose_net_has_a_count():
  assert {name for name in models.NAMES if name.startswith('pose_')} == set(POSE_COUNTS)


@pytest.mark.parametrize('name', ['pose_resnet18', 'pose_resnet50_v2', 'pose_densenet121'])
def test_heatmaps_are_float32_at_stride_4(name):
  model = models.create(name, num_keypoints=5, dtype='bfloat16')
  variables = _shapes(model)
  assert {v.dtype for v in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  for train in (False, True):
    out = jax.eval_shape(
      lambda v, x, train=train: model.apply(v, x, train=train, mutable=['batch_stats'])[0],
      variables,
      jnp.zeros((2, 64, 96, 3)),
    )
    assert jax.tree.map(lambda x: (x.shape, str(x.dtype)), out) == {
      'heatmaps': ((2, 16, 24, 5), 'float32')
    }


def test_parameter_names_are_those_that_converted_weights_get():
  params = _shapes(models.create('pose_resnet50'))['params']
  assert set(params) == {'backbone', 'head'}
  assert params['backbone']['conv1']['kernel'].shape == (7, 7, 3, 64)
  first = params['backbone']['layer2_0']
  assert set(first) == {
    *('conv1', 'bn1', 'conv2', 'bn2', 'conv3', 'bn3', 'downsample_conv', 'downsample_bn')
  }
  assert params['head']['deconv1']['kernel'].shape == (4, 4, 2048, 256)
  params = _shapes(models.create('pose_densenet121'))['params']['backbone']
  assert params['denseblock3_layer24']['conv2']['kernel'].shape == (3, 3, 128, 32)
  assert params['transition3_conv']['kernel'].shape == (1, 1, 1024, 512)


def test_training_updates_statistics_and_evaluation_ignores_the_batch():
  model = models.create('pose_densenet_compact', **TINY)
  x = _images(4, 32, 24, 3)
  variables = compiling.jit(model.init)(jax.random.key(0), x)
  assert all(float(m.sum()) == 0 for m in _leaves(variables, 'mean')), 'init must not see a batch'
  out, state = compiling.jit(lambda v, x: model.apply(v, x, train=True, mutable=['batch_stats']))(
    variables, x
  )
  assert out['heatmaps'].shape == (4, 8, 6, 17)
  assert all(float(jnp.abs(m).sum()) > 0 for m in _leaves(state, 'mean'))
  apply = compiling.jit(model.apply)
  alone = apply(variables, x[:1])['heatmaps']
  np.testing.assert_allclose(apply(variables, x)['heatmaps'][:1], alone, atol=1e-5)


def _leaves(variables, name):
  flat = jax.tree_util.tree_leaves_with_path(variables['batch_stats'])
  return [v for path, v in flat if path[-1].key == name]


def test_group_size_reaches_every_batch_norm():
  x = _images(4, 32, 24, 3)
  whole, grouped = (
    models.create('pose_densenet_compact', bn_group_size=g, **TINY) for g in (None, 2)
  )
  variables = compiling.jit(whole.init)(jax.random.key(0), x)

  @functools.partial(compiling.jit, static_argnums=0)
  def train(model, x):
    return model.apply(variables, x, train=True, mutable=['batch_stats'])[0]['heatmaps']

  halves = jnp.concatenate([train(whole, x[:2]), train(whole, x[2:])])
  np.testing.assert_allclose(train(grouped, x), halves, rtol=1e-3, atol=1e-7)
  assert not np.allclose(train(whole, x), halves, rtol=1e-3, atol=1e-7)


def test_bfloat16_is_near_float32():
  x = _images(2, 32, 24, 3)
  exact, rough = (models.create('pose_densenet_compact', dtype=d, **TINY) for d in layers.DTYPES)
  variables = compiling.jit(exact.init)(jax.random.key(0), x)
  a, b = (compiling.jit(model.apply)(variables, x)['heatmaps'] for model in (exact, rough))
  scale = float(jnp.abs(a).max())
  assert not np.array_equal(a, b)
  np.testing.assert_allclose(a / scale, b / scale, atol=0.05)


def test_unknown_names_get_the_nearest():
  with pytest.raises(PosejaxError, match="no model 'pose_resnet19'.*'pose_resnet1"):
    models.create('pose_resnet19')
  with pytest.raises(PosejaxError, match=r"no field 'num_keypoint'.*'num_keypoints'"):
    models.create('pose_resnet18', num_keypoint=3)
  with pytest.raises(PosejaxError, match="dtype='float16' must be one of float32, bfloat16"):
    models.create('pose_resnet18', dtype='float16')
