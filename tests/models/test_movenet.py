"""MoveNet and NanoDet-g: exact counts, the published graphs' outputs, and batch norms that fit."""

import functools
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.models import mobile_layers, movenet, nanodet
from posejax.models.backbones import mobilenet_v2
from posejax.models.heads.movenet import MoveNetHead
from posejax.models.necks.movenet_fpn import double
from posejax.weights.families import movenet as movenet_weights
from posejax.weights.families import nanodet as nanodet_weights
from tests import compiling, published_files
from tests.goldens import seeded, seeded_movenet

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
# Source: the sizes of the published files' float weights without the numbers of their decoding.
COUNTS = {'lightning': 2_317_974, 'thunder': 6_226_046, 'multipose': 4_723_346}
TOLERANCE = 1e-5
"""Of a map's range."""
# Compiling takes longest here, and optimising what runs once most of that.


def shapes_of(model):
  return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 96, 3)))


def count(params):
  return sum(int(np.prod(p.shape)) for p in jax.tree.leaves(params))


@pytest.mark.parametrize('variant', COUNTS)
def test_parameter_count(variant):
  variables = shapes_of(movenet.posejax_movenet(variant))
  assert set(variables) == {'params'}
  assert count(variables['params']) == COUNTS[variant]


def test_nanodet_parameter_count():
  assert count(shapes_of(nanodet.nanodet_g())['params']) == 3_786_068


def test_parts_of_lightning_have_their_published_counts():
  params = shapes_of(movenet.posejax_movenet('lightning'))['params']
  assert {name: count(part) for name, part in params.items()} == {
    'backbone': 2_206_816,
    'neck': 92_352,
    'head': 18_806,
  }


def golden(name):
  with np.load(GOLDENS / f'{name}.npz') as file:
    arrays = dict(file)
  shapes = json.loads(arrays.pop('shapes').tobytes())
  return arrays, seeded_movenet.weights(shapes)


@pytest.mark.parametrize('variant', COUNTS)
def test_maps_are_those_of_the_published_graph(variant):
  """On a picture that is not square, with weights under which every layer matters."""
  arrays, tensors = golden(f'movenet_{variant}')
  model = movenet.posejax_movenet(variant)
  assert movenet_weights.variant(tensors) == variant
  variables = movenet_weights.to_variables(tensors, model)
  image = seeded.image()[None].astype(np.float32) / np.float32(127.5) - 1
  outputs = compiling.jit(model.apply)(variables, image)
  names = {name.removesuffix(' sample') for name in arrays if name.endswith(' sample')}
  assert names == set(outputs)
  for name, values in outputs.items():
    assert values.shape == tuple(arrays[f'{name} shape'])
    assert values.dtype == jnp.float32
    error = np.abs(seeded.sample(np.asarray(values)) - arrays[f'{name} sample']).max()
    assert error < TOLERANCE * arrays[f'{name} range'], (name, error)


def test_detections_are_those_of_the_published_graph():
  arrays, tensors = golden('nanodet_g')
  model = nanodet.nanodet_g()
  variables = nanodet_weights.to_variables(tensors, model)
  outputs = compiling.jit(model.apply)(variables, seeded_movenet.detector_input())
  for stride in (8, 16, 32):
    outputs[f'scores_{stride}'] = jax.nn.sigmoid(outputs[f'classes_{stride}'])
    for name in (f'scores_{stride}', f'sides_{stride}'):
      values = np.asarray(outputs[name])
      error = np.abs(seeded.sample(values) - arrays[f'{name} sample']).max()
      assert error < TOLERANCE * arrays[f'{name} range'], (name, error)


def missing(tensors, name):
  del tensors[name]


def transposed(tensors, name):
  tensors[name] = np.moveaxis(tensors[name], 2, 3)


def not_finite(tensors, name):
  tensors[name] = np.full_like(tensors[name], np.inf)


def extra(tensors, name):
  tensors[name + '_2'] = tensors[name]


STEM = 'StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/'
NAMES = [f'{STEM}block_3_depthwise/depthwise_weights', f'{STEM}block_3_expand/Conv2D_weights']


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (missing, ': not there'),
    (transposed, ': float32 .* there, float32 .* expected'),
    (not_finite, ': holds values that are not finite'),
    (extra, '_2: float32 .* there, unknown here'),
  ],
)
def test_weights_that_do_not_fit_are_named(name, change, message):
  _, tensors = golden('movenet_lightning')
  change(tensors, name)
  with pytest.raises(PosejaxError, match=re.escape(name) + message):
    movenet_weights.to_variables(tensors, movenet.posejax_movenet('lightning'))


def test_what_a_graph_needs_besides_the_net_is_left_alone():
  _, tensors = golden('movenet_lightning')
  tensors['StatefulPartitionedCall/add_5/y'] = np.float32(1.8)
  tensors[f'{STEM[:-6]}up_sampling2d/mul'] = np.array([12, 12], np.int32)
  movenet_weights.to_variables(tensors, movenet.posejax_movenet('lightning'))


@pytest.mark.parametrize(
  ('file', 'model'),
  [
    ('lightning', movenet.posejax_movenet('thunder')),
    ('multipose', movenet.posejax_movenet('lightning')),
    ('lightning', movenet.posejax_movenet('lightning', num_keypoints=14)),
  ],
)
def test_weights_of_another_net_are_refused(file, model):
  _, tensors = golden(f'movenet_{file}')
  with pytest.raises(PosejaxError, match=f'holds MoveNet {file}; the model differs'):
    movenet_weights.to_variables(tensors, model)
  with pytest.raises(PosejaxError, match='does not hold NanoDet-g'):
    nanodet_weights.to_variables(tensors, nanodet.nanodet_g())


def test_a_net_with_batch_norms_is_to_be_unfolded():
  _, tensors = golden('movenet_lightning')
  with pytest.raises(PosejaxError, match='batch_norm=False'):
    movenet_weights.to_variables(tensors, movenet.posejax_movenet('lightning', batch_norm=True))


def test_unfolded_batch_norms_leave_the_outputs_and_can_be_trained(monkeypatch):
  published_files.few_blocks(monkeypatch)
  folded, model = (movenet.posejax_movenet('lightning', batch_norm=n) for n in (False, True))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda p: rng.normal(0, max(np.prod(p.shape[:-1]), 1.0) ** -0.5, p.shape).astype(np.float32),
    shapes_of(folded),
  )
  images, others = (jnp.asarray(rng.uniform(-1, 1, (2, 32, 64, 3)), jnp.float32) for _ in range(2))
  unfolded = movenet_weights.unfold(model, variables, images)
  expected = shapes_of(model)
  assert jax.tree.structure(unfolded) == jax.tree.structure(expected)
  assert all(jax.tree.leaves(jax.tree.map(lambda a, b: a.shape == b.shape, unfolded, expected)))
  before, after = (compiling.jit(m.apply) for m in (folded, model))
  train = compiling.jit(lambda v, x: model.apply(v, x, train=True, mutable=['batch_stats'])[0])
  # For any pictures in evaluation, and in training for those that the statistics are of.
  for found, x in ((after, others), (train, images)):
    outputs, wanted = found(unfolded, x), before(variables, x)
    for name in wanted:
      error = jnp.abs(outputs[name] - wanted[name]).max()
      assert error < 1e-3 * jnp.ptp(wanted[name]), (name, error)
  assert not np.allclose(train(unfolded, others)['center'], before(variables, others)['center'])


def test_the_last_layer_is_not_widened():
  for width, channels in {1.0: 320, 1.5: 480, 1.75: 560}.items():
    assert mobilenet_v2.blocks(width)[-1][0] == channels
    assert [mobilenet_v2.scaled(c, width) % 8 for c, _, _ in mobilenet_v2.STAGES] == [0] * 7
  # 0.35 * 32 = 11.2 would round down to 8, less than 0.9 of it.
  assert mobilenet_v2.scaled(32, 0.35) == 16


@pytest.mark.parametrize('make', [lambda: movenet.posejax_movenet('lightning'), nanodet.nanodet_g])
@pytest.mark.parametrize('size', [(64, 100), (48, 64)])
def test_sides_that_are_no_multiples_of_32_are_refused(make, size):
  with pytest.raises(PosejaxError, match=re.escape(f'{size} must be divisible by 32')):
    jax.eval_shape(make().init, jax.random.key(0), jnp.zeros((1, *size, 3)))


def depthwise_by_loops(x, kernel, stride):
  """TensorFlow's SAME: outputs are ceil(n / stride), missing pixels split, the odd one behind."""
  B, h, w, C = x.shape
  size = kernel.shape[0]
  out_h, out_w = -(-h // stride), -(-w // stride)
  top = max((out_h - 1) * stride + size - h, 0) // 2
  left = max((out_w - 1) * stride + size - w, 0) // 2
  y = np.zeros((B, out_h, out_w, C))
  for i in range(out_h):
    for j in range(out_w):
      for u in range(size):
        for v in range(size):
          r, c = i * stride + u - top, j * stride + v - left
          if 0 <= r < h and 0 <= c < w:
            y[:, i, j] += x[:, r, c] * kernel[u, v, 0]
  return y


@pytest.mark.parametrize('shape', [(6, 8), (7, 5), (1, 4)])
@pytest.mark.parametrize(('size', 'stride'), [(3, 1), (3, 2), (5, 2), (1, 1)])
def test_depthwise_convolution_equals_the_loops(shape, size, stride):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, *shape, 5)).astype(np.float32)
  kernel = rng.normal(size=(size, size, 1, 5)).astype(np.float32)
  expected = depthwise_by_loops(x, kernel, stride)
  padding = mobile_layers.same_padding(shape, size, stride)
  for y in (
    mobile_layers.depthwise_conv2d(x, kernel, stride),
    mobile_layers.grouped_conv2d(x, kernel, stride, padding),
  ):
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_symmetrically_padded_depthwise_convolution_is_the_grouped_one_and_so_are_its_gradients():
  rng = np.random.default_rng(2)
  x = jnp.asarray(rng.normal(size=(2, 7, 10, 3)), jnp.float32)
  for size, stride in ((3, 2), (5, 1)):
    kernel = jnp.asarray(rng.normal(size=(size, size, 1, 3)), jnp.float32)
    padding = ((size // 2,) * 2,) * 2
    found, expected = (
      jax.vjp(functools.partial(form, stride=stride, padding=padding), x, kernel)
      for form in (
        lambda x, k, stride, padding: mobile_layers.depthwise_conv2d(x, k, stride, padding),
        mobile_layers.grouped_conv2d,
      )
    )
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    for a, b in zip(found[1](expected[0]), expected[1](expected[0]), strict=True):
      np.testing.assert_allclose(a, b, atol=1e-3)


def test_depthwise_gradients_are_those_of_the_grouped_convolution():
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(2, 6, 10, 4)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(3, 3, 1, 4)), jnp.float32)
  for stride in (1, 2):
    padding = mobile_layers.same_padding((6, 10), 3, stride)
    dy = jnp.asarray(rng.normal(size=(2, 6 // stride, 10 // stride, 4)), jnp.float32)
    found, expected = (
      jax.vjp(f, x, kernel)[1](dy)
      for f in (
        lambda x, k, s=stride: mobile_layers.depthwise_conv2d(x, k, s),
        lambda x, k, s=stride, p=padding: mobile_layers.grouped_conv2d(x, k, s, p),
      )
    )
    for a, b in zip(found, expected, strict=True):
      np.testing.assert_allclose(a, b, atol=1e-4)


def test_what_a_depthwise_convolution_is_lowered_for_decides_its_form():
  x, kernel = jnp.zeros((1, 6, 8, 4)), jnp.zeros((3, 3, 1, 4))
  traced = compiling.jit(jax.grad(lambda k: mobile_layers.depthwise_conv2d(x, k, 2).sum())).trace(
    kernel
  )
  for platform, plain in (('cuda', True), ('tpu', True), ('cpu', False)):
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ('stablehlo.convolution' in text) == plain, platform


def test_doubling_is_bilinear_with_half_pixel_centres():
  x = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3, 5, 4)), jnp.float32)
  np.testing.assert_allclose(
    double(x), jax.image.resize(x, (2, 6, 10, 4), 'bilinear'), rtol=1e-5, atol=1e-6
  )


def test_new_heads_start_at_a_tenth():
  """Else the background's share of the focal loss drowns the peaks'."""
  head = MoveNetHead(4)
  outputs, variables = compiling.jit(head.init_with_output)(
    jax.random.key(0), {4: jnp.ones((1, 2, 3, 24))}
  )
  assert variables['params']['keypoint_regression']['final']['kernel'].shape == (1, 1, 96, 8)
  for name in ('center', 'keypoint_heatmaps'):
    np.testing.assert_allclose(jax.nn.sigmoid(outputs[name]), 0.1, atol=0.02)
  assert jnp.abs(outputs['keypoint_offsets']).max() < 0.1


@pytest.mark.parametrize('norm', [False, True])
def test_parameters_and_maps_are_float32_whatever_it_computes_in(norm):
  model = movenet.posejax_movenet('multipose', num_keypoints=3, dtype='bfloat16', batch_norm=norm)
  variables = shapes_of(model)
  outputs = jax.eval_shape(model.apply, variables, jnp.zeros((2, 64, 96, 3)))
  assert {v.dtype for v in jax.tree.leaves((variables, outputs))} == {jnp.dtype('float32')}
  assert {name: x.shape for name, x in outputs.items()} == {
    'center': (2, 16, 24, 1),
    'box_scale': (2, 16, 24, 2),
    'box_offset': (2, 16, 24, 2),
    'keypoint_heatmaps': (2, 16, 24, 3),
    'keypoint_regression': (2, 16, 24, 6),
    'keypoint_offsets': (2, 16, 24, 6),
  }


def test_a_shorter_backbone_has_the_first_blocks_and_their_maps():
  options = {'name': 'mobilenet_v2', 'num_blocks': 16, 'last_features': None}
  short = models.create(
    'net', backbone=options, neck={'name': 'movenet_fpn'}, head={'name': 'movenet'}
  )
  params = shapes_of(short)['params']
  whole = shapes_of(movenet.posejax_movenet('lightning'))['params']
  left_out = {'block16', 'conv_last'}
  assert whole['backbone'].keys() - params['backbone'].keys() == left_out
  # 1,280 channels less at stride 32 for the neck to take in, 160 in their place.
  gone = sum(count(whole['backbone'][name]) for name in left_out) + (1280 - 160) * 64
  assert count(params) == COUNTS['lightning'] - gone == 1_363_734
  maps = jax.eval_shape(
    lambda: short.backbone.init_with_output(jax.random.key(0), jnp.zeros((1, 64, 96, 3)))[0]
  )
  assert {stride: m.shape for stride, m in maps.items()} == {
    4: (1, 16, 24, 24),
    8: (1, 8, 12, 32),
    16: (1, 4, 6, 64),
    32: (1, 2, 3, 160),
  }


@pytest.mark.parametrize('num_blocks', [13, 18])
def test_a_backbone_that_is_too_short_or_too_long_is_refused(num_blocks):
  backbone = mobilenet_v2.MobileNetV2(num_blocks=num_blocks)
  with pytest.raises(PosejaxError, match=f'num_blocks={num_blocks} of 17 blocks'):
    shapes_of(backbone)
