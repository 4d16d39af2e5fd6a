"""Nets from parts by name: every backbone with every neck and head that takes its maps, and errors."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from posejax import models
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.models import compose, layers

BACKBONES = {
  'cspnext': ({'depth': 0.167, 'width': 0.125}, (8, 16, 32)),
  'densenet': ({'depth': 121}, (4, 8, 16, 32)),
  'densenet_compact': ({}, (4, 8, 16)),
  'hrnet': ({'width': 32, 'modules': [0, 0, 1], 'blocks': 1}, (4,)),
  'residual_cnn': ({'features': [8, 8]}, (4, 8)),
  'resnet': ({'depth': 18}, (4, 8, 16, 32)),
  'mobilenet_v2': ({}, (4, 8, 16, 32)),
  'nanodet_g': ({}, (8, 16, 32)),
  'vgg16': ({'width': 1 / 16}, (8, 16, 32)),
}
HEADS = {
  'fcn8s': {},
  'final': {},
  'regression': {'pooling': 'flatten'},
  'simple_baseline': {'features': [8]},
  'skip': {'features': 8},
}
H, W = 64, 96
IMAGES = jax.ShapeDtypeStruct((2, H, W, 3), jnp.float32)


def shapes(model):
  """Return the shapes of variables and of outputs."""
  variables = jax.eval_shape(model.init, jax.random.key(0), IMAGES)
  return variables, jax.eval_shape(model.apply, variables, IMAGES)


def test_every_part_of_the_tables_is_tried_below():
  assert set(models.BACKBONES) == set(BACKBONES)
  # Those of several outputs are tried in their nets, tests/models/test_movenet.py and the like.
  assert set(models.HEADS) == {*HEADS, 'movenet', 'nanodet', 'rtmdet'}
  assert set(models.NECKS) == {'top_down', 'movenet_fpn', 'nanodet_pan', 'cspnext_pafpn', 'fpn'}


@pytest.mark.parametrize('backbone', BACKBONES)
def test_maps_are_named_by_their_stride(backbone):
  options, strides = BACKBONES[backbone]
  net = models.create(
    'net', backbone={'name': backbone, **options}, head={'name': 'final'}, num_keypoints=3
  )
  variables = jax.eval_shape(net.backbone.init, jax.random.key(0), IMAGES)
  maps = jax.eval_shape(net.backbone.apply, variables, IMAGES)
  assert tuple(maps) == strides
  for stride, y in maps.items():
    assert y.shape[:3] == (2, H // stride, W // stride)


@pytest.mark.parametrize('neck', [None, {'name': 'top_down', 'features': 8}])
@pytest.mark.parametrize(
  ('backbone', 'head'),
  [
    (backbone, head)
    for backbone in ('densenet_compact', 'hrnet', 'residual_cnn', 'vgg16')
    for head in HEADS
    # Which is about the maps at strides 8, 16 and 32.
    if head != 'fcn8s' or backbone == 'vgg16'
  ],
)
def test_every_head_takes_every_backbone(backbone, neck, head):
  options, strides = BACKBONES[backbone]
  net = models.create(
    'net',
    backbone={'name': backbone, **options},
    neck=neck,
    head={'name': head, **HEADS[head]},
    num_keypoints=3,
  )
  variables, outputs = shapes(net)
  assert set(variables['params']) == {'backbone', 'head', *(['neck'] if neck else [])}
  ((name, y),) = outputs.items()
  size = (H // min(strides), W // min(strides))
  deepest = (2 * H // max(strides), 2 * W // max(strides))
  assert (
    y.shape
    == {
      'fcn8s': (2, H, W, 4),
      'final': (2, *size, 3),
      'regression': (2, 3, 2),
      'simple_baseline': (2, *deepest, 3),
      'skip': (2, *size, 3),
    }[head]
  ), name


def test_a_name_of_its_own_is_a_composition():
  composed = models.create(
    'net',
    backbone={'name': 'resnet', 'depth': 18},
    head={'name': 'simple_baseline', 'features': [8, 16]},
    num_keypoints=5,
  )
  assert composed == models.create('pose_resnet18', num_keypoints=5, head_features=(8, 16))


def test_a_config_composes_a_net():
  config = Config.from_dict(
    {'model': {'name': 'net', 'backbone': {'name': 'densenet_compact'}, 'head': {'name': 'skip'}}}
  )
  assert models.create(**config.model_options) == models.create('pose_densenet_compact')


def test_a_part_and_layers_of_ones_own(monkeypatch):
  """A backbone that is no one else's is handed the net's layers, whatever they are."""

  class Toy(nn.Module):
    features: int
    conv: type[nn.Module] = layers.Conv
    norm: type[nn.Module] = layers.BatchNorm

    @nn.compact
    def __call__(self, x, train=False):
      return {4: self.norm(name='bn')(self.conv(self.features, 4, 4, 0, name='stem')(x), train)}

  monkeypatch.setitem(models.BACKBONES, 'toy', Toy)
  net = models.create(
    'net',
    backbone={'name': 'toy', 'features': 6},
    head={'name': 'final'},
    num_keypoints=3,
    dtype='bfloat16',
    bn_group_size=1,
  )
  assert shapes(net)[1]['heatmaps'].shape == (2, H // 4, W // 4, 3)
  assert net.backbone.norm == compose.layers_of('bfloat16', 1)['norm']
  assert net.backbone.norm.keywords == {'group_size': 1, 'dtype': 'bfloat16'}


def compact(**options):
  return {'name': 'densenet_compact', **options}


@pytest.mark.parametrize(
  ('parts', 'message'),
  [
    ({'backbone': compact()}, "'net' needs the field 'head'"),
    (
      {'backbone': {'name': 'resnets'}, 'head': {'name': 'final'}},
      r"config\.model\.backbone\.name='resnets' is not known. Did you mean 'resnet'",
    ),
    (
      {'backbone': compact(growht=3), 'head': {'name': 'final'}},
      r"backbone\.growht is not an option of 'densenet_compact'. Did you mean 'growth'",
    ),
    (
      {'backbone': compact(norm='none'), 'head': {'name': 'final'}},
      r'backbone\.norm is not an option',
    ),
    (
      {'backbone': {'name': 'resnet'}, 'head': {'name': 'final'}},
      r"backbone\.depth is not set, and 'resnet' has no default",
    ),
    ({'backbone': 'resnet', 'head': {'name': 'final'}}, "='resnet' must be a section with a name"),
    ({'backbone': compact(), 'head': {'name': 'finale'}}, "head.name='finale'.*'final'"),
    (
      {'backbone': compact(), 'neck': {'name': 'topdown'}, 'head': {'name': 'final'}},
      "neck.name='topdown'.*'top_down'",
    ),
    ({'backbone': compact(), 'head': {'name': 'final'}, 'necks': {}}, "no field 'necks'.*'neck'"),
  ],
)
def test_what_is_wrong_is_named(parts, message):
  with pytest.raises(PosejaxError, match=message):
    models.create('net', **parts)


@pytest.mark.parametrize(
  ('backbone', 'message'),
  [
    ({'name': 'resnet', 'depth': 19}, 'no ResNet of depth=19 and version=1: depths are 18, 34'),
    ({'name': 'resnet', 'depth': 18, 'version': 3}, 'version=3.*versions 1 and 2'),
    ({'name': 'densenet', 'depth': 120}, 'no DenseNet of depth=120: depths are 121'),
  ],
)
def test_a_depth_that_nobody_published_is_refused(backbone, message):
  net = models.create('net', backbone=backbone, head={'name': 'final'})
  with pytest.raises(PosejaxError, match=message):
    shapes(net)
