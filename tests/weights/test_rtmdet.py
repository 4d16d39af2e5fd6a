"""RTMDet with mmdet's names answers what mmdet's own code does (tests/goldens/make_rtmdet.py)."""

import pathlib

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.weights import convert
from posejax.weights.families import rtmdet, strict
from tests import compiling
from tests.goldens import seeded

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens' / 'rtmdet.npz'
NUM_CLASSES = 3
SHAPE = (1, 96, 64, 3)


@pytest.fixture(scope='module')
def goldens():
  with np.load(GOLDENS) as file:
    return dict(file)


def state_dict(model, shared):
  """Return the values that the goldens were made with, under mmdet's names."""
  shapes = strict.shapes(model)
  blank = {path: np.zeros(shape, np.float32) for path, shape in shapes.items()}
  tensors = rtmdet.to_tensors(traverse_util.unflatten_dict(blank, sep='/'))
  values = seeded.weights({name: value.shape for name, value in tensors.items()})
  if shared:
    for name in values:
      if name.startswith('bbox_head') and name.endswith('.conv.weight'):
        values[name] = values[name.replace(name.split('.')[2], '0', 1)]
  return values


@pytest.mark.parametrize('variant', ['nano', 'tiny', 's'])
def test_converted_weights_answer_as_in_mmdet(goldens, variant):
  model = models.create(f'rtmdet_{variant}', num_classes=NUM_CLASSES)
  tensors = state_dict(model, variant != 'nano')
  assert sorted(tensors) == goldens[f'{variant}/names'].tolist()
  variables = rtmdet.to_variables(tensors, model)
  assert (
    sum(a.size for a in jax.tree.leaves(variables['params'])) == goldens[f'{variant}/num_params']
  )
  picture = jnp.asarray(seeded.uniform('picture', SHAPE) * 2 - 1)

  def stages(net: nn.Module, images):
    maps = net.backbone(images, False)
    joined = net.neck(maps, False)
    outputs = net.head(joined, False)
    outputs |= {f'backbone_{stride}': x for stride, x in maps.items()}
    return outputs | {f'neck_{stride}': x for stride, x in joined.items()}

  net = compiling.jit(lambda v, x: nn.apply(stages, model)(v, x))
  found = net(variables, picture)
  for name, value in found.items():
    expected = goldens[f'{variant}/{name}']
    value = np.asarray(value)
    value = value if name.startswith(('classes', 'distances')) else value[..., ::16]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(value, expected, atol=2e-5 * scale, err_msg=name)


@pytest.fixture(scope='module')
def small():
  model = models.create(
    'net',
    backbone={'name': 'cspnext', 'depth': 0.1, 'width': 0.0625},
    neck={'name': 'cspnext_pafpn', 'features': 4},
    head={'name': 'rtmdet', 'features': 4},
    num_classes=2,
  )
  return model, state_dict(model, True)


def test_weights_go_both_ways(small):
  model, tensors = small
  back = rtmdet.to_tensors(rtmdet.to_variables(tensors, model))
  assert back.keys() == tensors.keys()
  assert all(np.array_equal(back[name], tensors[name]) for name in back)
  counted = {**tensors, 'backbone.stem.0.bn.num_batches_tracked': np.zeros((), np.int64)}
  rtmdet.to_variables(counted, model)
  assert rtmdet.is_rtmdet(tensors)
  assert rtmdet.num_classes(tensors) == 2


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda t: t.pop('neck.out_convs.1.bn.bias'), 'neck.out_convs.1.bn.bias: not there'),
    (lambda t: t.update(extra=np.zeros(3)), r'extra: float64 \[3\] there, unknown'),
    (lambda t: t.update({'bbox_head.cls_convs.1.0.conv.weight': np.ones((4, 4, 3, 3), np.float32)}),
     'are one and differ'),
    (lambda t: t.update({'bbox_head.rtm_cls.0.bias': np.full(2, np.nan, np.float32)}), 'not finite'),
    (lambda t: t.update({'bbox_head.rtm_cls.0.weight': np.zeros((5, 4, 1, 1), np.float32)}), 'expected'),
  ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(small, change, message):
  model, tensors = small
  tensors = dict(tensors)
  change(tensors)
  with pytest.raises(PosejaxError, match=message):
    rtmdet.to_variables(tensors, model)


def test_the_one_door_takes_rtmdet_and_says_what_it_saw(small):
  model, tensors = small
  counters = {'backbone.stem.0.bn.num_batches_tracked': np.zeros((), np.int64)}
  converted = convert.from_tensors({**tensors, **counters}, model)
  assert converted.inputs.channels == 'bgr'
  assert converted.inputs.mean == pytest.approx((0.406, 0.456, 0.485), abs=1e-6)
  assert converted.dropped == tuple(counters)
  assert not converted.initialised
  other = dict(tensors)
  for level in range(3):
    other[f'bbox_head.rtm_cls.{level}.weight'] = np.zeros((5, 4, 1, 1), np.float32)
    other[f'bbox_head.rtm_cls.{level}.bias'] = np.zeros(5, np.float32)
  with pytest.raises(PosejaxError, match=r'num_classes=5.*fresh='):
    convert.from_tensors(other, model)
  fresh = [f'head/p{level}_classes' for level in (3, 4, 5)]
  blank = jax.tree.map(np.zeros_like, converted.variables)
  anew = convert.from_tensors(other, model, init=lambda: blank, fresh=fresh)
  assert len(anew.initialised) == 6
  assert not anew.variables['params']['head']['p3_classes']['kernel'].any()
  assert anew.variables['params']['head']['p3_distances']['kernel'].any()
  with pytest.raises(PosejaxError, match='rtmdet_tiny'):
    convert.from_tensors(tensors, models.create('pose_resnet18'))
  with pytest.raises(PosejaxError, match='to start anew'):
    convert.from_tensors(tensors, model, init=lambda: blank, fresh=['neck/no'])
