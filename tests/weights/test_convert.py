"""Converting: every peer's naming, both lists, and what does not fit."""

import dataclasses
import json
import pathlib
import tracemalloc

from flax import traverse_util
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from posejax import models, weights
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.models import Net, heads
from posejax.models.backbones import densenet, hrnet, resnet, vgg
from posejax.weights import convert
from posejax.weights.families.identify import identify
from tests.goldens import seeded
from tests.weights import torch_bytes

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'


def tensors_of(net: str) -> dict[str, np.ndarray]:
  """Return seeded weights in the peer's naming."""
  with np.load(GOLDENS / f'{net}.npz') as file:
    return seeded.weights(json.loads(file['shapes'].tobytes()))


@pytest.fixture(scope='module')
def baseline():
  """Return a SimpleBaseline ResNet-18 in its project's naming."""
  return tensors_of('pose_resnet18')


@pytest.fixture(scope='module')
def converted(baseline):
  return convert.from_tensors(baseline, 'pose_resnet18')


def flat(variables) -> dict[str, np.ndarray]:
  return traverse_util.flatten_dict(dict(variables), sep='/')


def same(a, b):
  a, b = flat(a), flat(b)
  assert a.keys() == b.keys()
  return all(np.array_equal(a[k], b[k]) for k in a)


def without_head(tensors):
  return {n: t for n, t in tensors.items() if not n.startswith(('deconv_layers', 'final_layer'))}


def torchvision(tensors):
  classifier = {
    'fc.weight': np.zeros((1000, 512), np.float32),
    'fc.bias': np.zeros(1000, np.float32),
  }
  return without_head(tensors) | classifier


def mmpose(tensors, head='head'):
  ours = ('deconv_layers', 'final_layer')
  return {f'{head if n.startswith(ours) else "backbone"}.{n}': t for n, t in tensors.items()}


def initial(model):
  """Return variables that no checkpoint has."""
  shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
  return jax.tree.map(lambda x: np.full(x.shape, 0.125, x.dtype), shapes)


def test_simple_baseline_values_and_layouts(baseline, converted):
  result = flat(converted.variables)
  stem = baseline['conv1.weight']
  assert result['params/backbone/conv1/kernel'][2, 5, 1, 7] == stem[7, 1, 2, 5]
  deconv = baseline['deconv_layers.3.weight']
  assert result['params/head/deconv2/kernel'][1, 3, 20, 30] == deconv[20, 30, 1, 3]
  for path, name in {
    'params/backbone/layer2_0/downsample_bn/scale': 'layer2.0.downsample.1.weight',
    'params/backbone/layer4_1/bn2/bias': 'layer4.1.bn2.bias',
    'batch_stats/backbone/bn1/mean': 'bn1.running_mean',
    'batch_stats/head/bn3/var': 'deconv_layers.7.running_var',
    'params/head/final/bias': 'final_layer.bias',
  }.items():
    np.testing.assert_array_equal(result[path], baseline[name])
  assert {v.dtype for v in result.values()} == {np.dtype(np.float32)}
  assert converted.initialised == ()
  assert set(converted.dropped) == {n for n in baseline if n.endswith('num_batches_tracked')}
  assert str(converted.checkpoint) == 'resnet18 for 17 keypoints (SimpleBaseline names)'


def test_variables_are_the_models_own(converted):
  model = models.create('pose_resnet18')
  expected = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
  assert jax.tree.structure(converted.variables) == jax.tree.structure(expected)
  assert jax.tree.map(lambda x: x.shape, converted.variables) == jax.tree.map(
    lambda x: x.shape, expected
  )


@pytest.mark.parametrize('head', ['head', 'keypoint_head'])
def test_mmpose_names_mean_the_same(baseline, converted, head):
  result = convert.from_tensors(mmpose(baseline, head), 'pose_resnet18')
  assert same(result.variables, converted.variables)
  assert result.checkpoint.family == 'mmpose'


def test_mmpose_hrnet_means_the_same():
  tensors = tensors_of('pose_hrnet_w32')
  result = convert.from_tensors(mmpose(tensors, 'keypoint_head'), 'pose_hrnet_w32')
  assert str(result.checkpoint) == 'hrnet_w32 for 17 keypoints (mmpose names)'
  kernel = flat(result.variables)['params/backbone/stage4_2/fuse0_3_conv/kernel']
  np.testing.assert_array_equal(
    kernel[0, 0], tensors['stage4.2.fuse_layers.0.3.0.weight'][:, :, 0, 0].T
  )


def test_channel_order_belongs_to_the_family(baseline, converted):
  imagenet = {'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
  assert converted.inputs == weights.Inputs(**imagenet, channels='bgr')
  assert identify(mmpose(baseline)).inputs == weights.Inputs(**imagenet, channels='rgb')
  assert identify(torchvision(baseline)).inputs.channels == 'rgb'
  assert identify(tensors_of('pose_hrnet_w32')).inputs.channels == 'rgb'
  section = dataclasses.asdict(converted.inputs)
  assert Config.from_dict({'inputs': section}).inputs.channels == 'bgr'


def test_torchvision_fills_a_backbone(baseline, converted):
  result = convert.from_tensors(torchvision(baseline), resnet.ResNet(18))
  for collection in ('params', 'batch_stats'):
    assert same(result.variables[collection], converted.variables[collection]['backbone'])
  assert [n for n in result.dropped if 'num_batches' not in n] == ['fc.weight', 'fc.bias']
  assert result.initialised == ()


def test_a_pose_checkpoint_fills_a_backbone(baseline, converted):
  result = convert.from_tensors(mmpose(baseline), resnet.ResNet(18))
  assert same(result.variables['params'], converted.variables['params']['backbone'])
  assert 'head.final_layer.weight' in result.dropped


def test_torchvision_starts_a_pose_net_with_a_new_head(baseline, converted):
  model = models.create('pose_resnet18', num_keypoints=14)
  start = initial(model)
  result = convert.from_tensors(torchvision(baseline), model, init=lambda: start)
  assert same(result.variables['params']['backbone'], converted.variables['params']['backbone'])
  assert same(result.variables['params']['head'], start['params']['head'])
  paths = flat(start)
  assert set(result.initialised) == {p for p in paths if '/head/' in p}
  assert 'params/head/final/bias' in result.summary()
  assert '20 num_batches_tracked' in result.summary()
  assert 'not used: fc.weight, fc.bias' in result.summary()


def test_a_new_head_needs_initial_variables(baseline):
  with pytest.raises(PosejaxError, match=r'17 variables.*/head/bn1/.*give `init`'):
    convert.from_tensors(torchvision(baseline), 'pose_resnet18')


def test_another_skeleton_keeps_all_but_the_last_convolution(baseline, converted):
  model = models.create('pose_resnet18', num_keypoints=14)
  start = initial(model)
  result = convert.from_tensors(baseline, model, init=lambda: start, fresh=['head/final'])
  assert result.initialised == ('params/head/final/bias', 'params/head/final/kernel')
  assert {'final_layer.weight', 'final_layer.bias'} < set(result.dropped)
  mine, theirs = flat(result.variables), flat(converted.variables)
  for path in mine:
    other = flat(start)[path] if path in result.initialised else theirs[path]
    np.testing.assert_array_equal(mine[path], other)


def test_old_densenet_names():
  tensors = tensors_of('densenet121')
  old = {}
  for name, tensor in tensors.items():
    for layer in ('norm1', 'norm2', 'conv1', 'conv2'):
      name = name.replace(f'.{layer}.', f'.{layer[:-1]}.{layer[-1]}.') if 'layer' in name else name
    old[name] = tensor
  assert 'features.denseblock1.denselayer1.norm.1.weight' in old
  model = densenet.DenseNet(121)
  result = convert.from_tensors(old, model)
  np.testing.assert_array_equal(
    result.variables['params']['denseblock4_layer16']['conv2']['kernel'][1, 2, 3, 4],
    tensors['features.denseblock4.denselayer16.conv2.weight'][4, 3, 1, 2],
  )
  assert {n.split('.')[0] for n in result.dropped if 'num_batches' not in n} == {'classifier'}


def test_hrnet_imagenet_weights_start_a_pose_net():
  tensors = {n: t for n, t in tensors_of('pose_hrnet_w32').items() if 'final_layer' not in n}
  for name, shape in {
    'incre_modules.0.0.conv1.weight': (32, 32, 1, 1),
    'downsamp_modules.0.0.weight': (256, 128, 3, 3),
    'final_layer.0.weight': (2048, 1024, 1, 1),
    'classifier.weight': (1000, 2048),
    'stage4.2.fuse_layers.3.0.2.0.weight': (256, 32, 3, 3),
  }.items():
    tensors[name] = np.broadcast_to(np.float32(0), shape)
  result = convert.from_tensors(tensors, hrnet.HRNet(32))
  assert result.initialised == ()
  assert 'stage4.2.fuse_layers.3.0.2.0.weight' in result.dropped
  assert str(result.checkpoint) == 'hrnet_w32 without heatmaps (HRNet names)'


def test_a_training_checkpoint_of_a_wrapped_net(tmp_path, baseline, converted):
  item, storages = torch_bytes.state_dict({f'module.{n}': t for n, t in baseline.items()})
  whole = torch_bytes.zip_form(
    {'epoch': 140, 'state_dict': item}, {k: a.tobytes() for k, a in storages.items()}
  )
  path = tmp_path / 'checkpoint.pth.tar'
  path.write_bytes(whole)
  result = convert.from_file(path, 'pose_resnet18')
  assert same(result.variables, converted.variables)
  assert (result.used, result.dropped) == (converted.used, converted.dropped)

  with pytest.raises(PosejaxError, match=r'checkpoint\.pth\.tar.*the model is a resnet50'):
    convert.from_file(path, 'pose_resnet50')
  path.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(PosejaxError, match=r'checkpoint\.pth\.tar.*cut off'):
    convert.from_file(path, 'pose_resnet18')


def test_used_and_dropped_are_all_tensors(baseline, converted):
  assert sorted(converted.used + converted.dropped) == sorted(baseline)


@pytest.mark.parametrize('dtype', [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_widened(dtype):
  tensors = {n: t.astype(dtype) for n, t in tensors_of('vgg16').items()}
  result = convert.from_tensors(tensors, vgg.VGG16())
  kernel = result.variables['params']['conv5_3']['kernel']
  assert kernel.dtype == np.float32
  np.testing.assert_array_equal(
    kernel, tensors['features.28.weight'].astype(np.float32).transpose(2, 3, 1, 0)
  )


def changed(tensors, **changes):
  """Return tensors with some replaced, added or (None) taken away; `__` in a name is a dot."""
  result = dict(tensors)
  for name, value in changes.items():
    name = name.replace('__', '.')
    if value is None:
      del result[name]
    else:
      result[name] = value
  return result


ONE = np.zeros(1, np.float32)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'bn1__running_var': None}, r'bn1\.running_var: not there, \[64\] expected'),
    ({'layer5__weight': ONE}, r'layer5\.weight: float32 \[1\] there, unknown here'),
    ({'bn1__bias': ONE}, r'bn1\.bias: float32 \[1\] there, float32 \[64\] expected'),
    ({'bn1__bias': np.zeros(64, np.int64)}, r'bn1\.bias: int64 \[64\] there, float32 \[64\]'),
    ({'bn1__bias': np.zeros(64)}, r'bn1\.bias: float64 \[64\] there'),
    (
      {'bn1__bias': np.full(64, np.nan, np.float32)},
      r'bn1\.bias: holds values that are not finite',
    ),
    (
      {'bn1__bias': np.full(64, np.inf, ml_dtypes.bfloat16)},
      r'bn1\.bias: holds values that are not finite',
    ),
    ({'deconv_layers__0__bias': ONE}, r'deconv_layers\.0\.bias: .* unknown here'),
    (
      {'final_layer__weight': np.zeros((17, 256, 3, 3), np.float32)},
      r'float32 \[17, 256, 3, 3\] there, float32 \[17, 256, 1, 1\] expected',
    ),
    (
      {'conv1__weight': np.zeros((3, 64, 7, 7), np.float32)},
      r'float32 \[3, 64, 7, 7\] there, float32 \[64, 3, 7, 7\] expected',
    ),
  ],
)
def test_what_does_not_fit_is_named(baseline, changes, message):
  with pytest.raises(PosejaxError, match=message):
    convert.from_tensors(changed(baseline, **changes), 'pose_resnet18')


def test_another_depth_is_an_error(baseline):
  with pytest.raises(PosejaxError) as error:
    convert.from_tensors(baseline, 'pose_resnet34')
  lines = str(error.value).splitlines()
  assert 'holds a resnet18 for 17 keypoints' in lines[0]
  assert 'the model is a resnet34 for 17 keypoints. Use a model with that backbone, ' in lines[0]
  assert "such as 'pose_resnet18'" in lines[0]
  assert lines[1].strip().startswith('layer1.2.')
  assert len(lines) == 10
  assert lines[-1].strip().startswith('and ')


def test_another_number_of_keypoints_is_an_error(baseline):
  with pytest.raises(PosejaxError) as error:
    convert.from_tensors(baseline, models.create('pose_resnet18', num_keypoints=16))
  text = str(error.value)
  assert "Set the model's num_keypoints=17" in text
  assert "'head/final'" in text
  assert 'final_layer.weight: float32 [17, 256, 1, 1] there, float32 [16, 256, 1, 1]' in text
  assert len(text.splitlines()) == 3


def test_another_architecture_is_an_error(baseline):
  with pytest.raises(PosejaxError, match='holds a resnet18.*the model is a vgg16'):
    convert.from_tensors(baseline, vgg.VGG16())


@pytest.mark.parametrize('model', ['pose_densenet_compact', 'pose_resnet18_v2'])
def test_a_model_that_no_peer_has_is_an_error(baseline, model):
  with pytest.raises(PosejaxError, match='no other project has weights for a'):
    convert.from_tensors(baseline, model)


def test_names_of_no_known_net_are_an_error():
  with pytest.raises(PosejaxError, match=r'neither a ResNet.*encoder\.0\.weight'):
    identify({'encoder.0.weight': ONE})


def test_unknown_depths_are_an_error(baseline):
  extra = {'layer1.2.conv1.weight': ONE}
  with pytest.raises(PosejaxError, match=r'resnet with \(3, 2, 2, 2\) blocks.*resnet18 with'):
    identify(baseline | extra)
  tensors = {f'features.{i}.weight': np.zeros((1, 1, 3, 3)) for i in range(8)}
  with pytest.raises(PosejaxError, match='VGG with 8 convolutions'):
    identify(tensors)


def test_a_module_that_is_not_there_cannot_start_anew(baseline):
  with pytest.raises(PosejaxError, match="no module 'head/finale'.*Did you mean 'head/final'"):
    convert.from_tensors(baseline, 'pose_resnet18', fresh=['head/finale'])


def test_a_head_of_another_kind_starts_anew(baseline):
  model = Net(resnet.ResNet(18), heads.SkipHead(17))
  start = initial(model)
  result = convert.from_tensors(baseline, model, init=lambda: start)
  assert same(result.variables['params']['head'], start['params']['head'])
  assert {n.split('.')[0] for n in result.dropped if 'num_batches' not in n} == {
    'deconv_layers',
    'final_layer',
  }


def test_a_neck_and_what_is_behind_it_start_anew(baseline, converted):
  model = models.create(
    'net',
    backbone={'name': 'resnet', 'depth': 18},
    neck={'name': 'top_down', 'features': 8},
    head={'name': 'final'},
  )
  start = initial(model)
  result = convert.from_tensors(baseline, model, init=lambda: start)
  assert same(result.variables['params']['backbone'], converted.variables['params']['backbone'])
  for part in ('neck', 'head'):
    assert same(result.variables['params'][part], start['params'][part])


def test_reading_and_converting_takes_little_memory(tmp_path, baseline):
  path = tmp_path / 'pose_resnet18.pth'
  torch_bytes.save(path, baseline)
  model = models.create('pose_resnet18')
  tracemalloc.start()
  try:
    result = convert.from_tensors(weights.load(path), model)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert peak < 2.5 * path.stat().st_size
  assert result.variables['params']['head']['final']['kernel'].base is None
