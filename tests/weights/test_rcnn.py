"""Converted two-stage detectors find what torchvision's find, stage by stage.

The goldens are torchvision's answers for weights that `seeded_rcnn` makes from a seed, on a small drawn
picture; `tests/goldens/make_rcnn.py` says how. Photographs: `benchmarks/rcnn_parity.py`.
"""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import labels, models
from posejax.codecs import rcnn_keypoints
from posejax.errors import PosejaxError
from posejax.models.rcnn import detections, lessons, pictures, proposals
from posejax.ops import boxes as boxes_lib
from posejax.weights import convert
from posejax.weights.families.identify import Inputs
from tests import compiling
from tests.goldens import seeded, seeded_rcnn

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
NETS = {'faster': 'faster_rcnn_resnet50_fpn', 'keypoint': 'keypoint_rcnn_resnet50_fpn'}
PARAMETERS = {'faster': 41_755_286, 'keypoint': 59_137_258}
STRIDES = (4, 8, 16, 32, 64)
TOLERANCE = 1e-4  # of a stage's range
PIXELS, SCORES = 0.02, 1e-4
LIMITS = {
  'num_proposals': seeded_rcnn.NUM_PROPOSALS,
  'num_detections': seeded_rcnn.NUM_DETECTIONS,
}


@functools.cache
def golden(kind):
  with np.load(GOLDENS / f'{kind}_rcnn.npz') as file:
    arrays = dict(file)
  # Back from the picture to the canvas, by the ratios of the sizes.
  ratio = arrays['size'][::-1] / np.array(seeded.IMAGE_SHAPE[::-1])
  arrays['boxes'] = arrays['boxes_image'] * np.tile(ratio, 2)
  if kind == 'keypoint':
    arrays['keypoints'] = arrays['keypoints_image'] * ratio
  return arrays


class Parity:
  """One net, torchvision's weights for it, and what torchvision answers."""

  def __init__(self, kind):
    self.kind, self.golden = kind, golden(kind)
    texts = (json.loads(self.golden[name].tobytes()) for name in ('shapes', 'scales', 'biases'))
    self.tensors = seeded_rcnn.weights(*texts)
    self.model = models.create(NETS[kind], norm_epsilon=0.0).clone(**LIMITS)
    self.converted = convert.from_tensors(self.tensors, self.model)

  @functools.cached_property
  def run(self):
    def run(variables, images, sizes):
      outputs = self.model.apply(variables, images, image_sizes=sizes)
      features = self.model.apply(variables, images, method='features')
      outputs |= {f'feature {stride}': x for stride, x in features.items()}
      if self.kind == 'keypoint':
        outputs['keypoints'], outputs['keypoint_scores'] = rcnn_keypoints.decode(
          outputs['heatmaps'], outputs['boxes'], outputs['scores'] > 0
        )
      return outputs

    return compiling.jit(run)

  def answers(self, variables):
    canvas, size = network_input(self.converted.inputs)
    outputs = self.run(variables, canvas[None], jnp.array([size]))
    return {'input': canvas, **{name: np.asarray(value[0]) for name, value in outputs.items()}}

  def differences(self, found):
    """Return the largest difference of every stage that is compared by its values."""
    expected, result = self.golden, {}
    for name in ('input', 'class_logits', *(f'feature {s}' for s in STRIDES)):
      got = found[name] if expected[name].shape == found[name].shape else seeded.sample(found[name])
      result[name] = np.abs(got - expected[name]).max() / expected[f'{name} range']
    return result


def network_input(inputs):
  picture = seeded.image()
  mean, std = (np.array(values, np.float32) for values in (inputs.mean, inputs.std))
  short, long = seeded_rcnn.SHORT_SIDE, seeded_rcnn.LONG_SIDE
  size = pictures.resized_hw(*picture.shape[:2], short, long)
  canvas = (pictures.lay_out(picture, size, 255 * mean) / np.float32(255) - mean) / std
  canvas[size[0] :] = 0
  canvas[:, size[1] :] = 0
  return canvas, size


@pytest.fixture(scope='module', params=NETS)
def net(request):
  return Parity(request.param)


def test_every_parameter_is_converted(net):
  count = sum(t.size for t in jax.tree.leaves(net.converted.variables['params']))
  assert count == PARAMETERS[net.kind]
  assert set(net.converted.used) == set(net.tensors)
  assert net.converted.initialised == net.converted.dropped == ()


def test_every_stage_agrees(net):
  found, expected = net.answers(net.converted.variables), net.golden
  differences = net.differences(found)
  assert max(differences.values()) < TOLERANCE, differences
  np.testing.assert_allclose(found['proposals'], expected['proposals'], atol=PIXELS)
  assert np.abs(found['boxes'] - expected['boxes']).max() < PIXELS
  assert np.abs(found['scores'] - expected['scores']).max() < SCORES
  np.testing.assert_array_equal(found['labels'] + 1, expected['labels'])
  if net.kind == 'keypoint':
    off = np.abs(found['keypoints'] - expected['keypoints']).max(-1)
    assert np.mean(off < 0.05) > 0.99
    np.testing.assert_allclose(found['keypoint_scores'], expected['keypoint_scores'], atol=2e-3)


def test_one_transposed_kernel_is_noticed(net):
  names = [
    'backbone.body.layer3.2.conv2.weight',
    'backbone.fpn.layer_blocks.3.0.weight',
  ]
  for name in names:
    tensors = net.tensors | {name: net.tensors[name].swapaxes(2, 3)}
    variables = convert.from_tensors(tensors, net.model).variables
    differences = net.differences(net.answers(variables))
    assert max(differences.values()) > 10 * TOLERANCE, (name, differences)


def test_the_order_of_a_flat_region_is_noticed():
  """Rows for columns within a region's channels."""
  net = Parity('faster')
  name = 'roi_heads.box_head.fc6.weight'
  columns = net.tensors[name].reshape(1024, 256, 7, 7).swapaxes(2, 3).reshape(1024, -1)
  variables = convert.from_tensors(net.tensors | {name: columns}, net.model).variables
  kernel = variables['params']['box_head']['fc6']['kernel'].reshape(7, 7, 256, 1024)
  right = net.converted.variables['params']['box_head']['fc6']['kernel'].reshape(7, 7, 256, 1024)
  np.testing.assert_array_equal(kernel, right.swapaxes(0, 1))
  np.testing.assert_array_equal(right[2, 5, 17], net.tensors[name][:, (17 * 7 + 2) * 7 + 5])


def propose():
  stages = golden('keypoint')
  canvas = network_input(Inputs())[0].shape[:2]
  maps = {s: np.zeros((1, -(-canvas[0] // s), -(-canvas[1] // s), 1)) for s in STRIDES}
  logits, deltas = (
    {s: jnp.asarray(stages[f'anchor_{name} {s}'])[None] for s in STRIDES}
    for name in ('logits', 'deltas')
  )
  anchors = proposals.anchors_of(maps, canvas)
  sizes, number = jnp.asarray(stages['size'])[None], seeded_rcnn.NUM_PROPOSALS
  run = compiling.jit(proposals.propose, static_argnums=(4, 5))
  return np.asarray(run(logits, deltas, anchors, sizes, number, number)[0][0])


def detect(kind):
  stages = golden(kind)
  regions, logits = (jnp.asarray(stages[name])[None] for name in ('proposals', 'class_logits'))
  return compiling.jit(detections.detect, static_argnums=5)(
    logits,
    jnp.asarray(stages['class_deltas']).reshape(*logits.shape, 4),
    regions,
    jnp.ones(regions.shape[:2], bool),
    jnp.asarray(stages['size'])[None],
    seeded_rcnn.NUM_DETECTIONS,
  )


def test_the_first_stage_alone():
  np.testing.assert_allclose(propose(), golden('keypoint')['proposals'], atol=1e-3)


@pytest.mark.parametrize('kind', NETS)
def test_the_second_stage_alone(kind):
  found, expected = detect(kind), golden(kind)
  np.testing.assert_allclose(found.boxes[0], expected['boxes'], atol=1e-3)
  np.testing.assert_allclose(found.scores[0], expected['scores'], atol=1e-5)
  np.testing.assert_array_equal(found.labels[0] + 1, expected['labels'])


@pytest.mark.parametrize(
  ('module', 'name', 'value'),
  [
    (proposals, 'RATIOS', (2.0, 1.0, 0.5)),
    (proposals, 'ANCHOR_STRIDES', 8.2),
    (proposals, 'WEIGHTS', (1.0, 1.0, 1.02, 1.0)),
    (proposals, '_IOU', 0.72),
  ],
)
def test_a_wrong_constant_of_the_first_stage_is_noticed(module, name, value, monkeypatch):
  monkeypatch.setattr(module, name, value)
  jax.clear_caches()
  assert np.abs(propose() - golden('keypoint')['proposals']).max() > 10 * PIXELS


@pytest.mark.parametrize(
  ('module', 'name', 'value'),
  [
    (detections, 'WEIGHTS', (10.0, 10.0, 5.0, 5.5)),
    (detections, '_IOU', 0.3),
    (boxes_lib, 'MAX_LOG_RATIO', 0.1),
  ],
)
def test_a_wrong_constant_of_the_second_stage_is_noticed(module, name, value, monkeypatch):
  monkeypatch.setattr(module, name, value)
  jax.clear_caches()
  found = detect('keypoint').boxes[0]
  assert np.abs(found - golden('keypoint')['boxes']).max() > 10 * PIXELS


def test_earlier_names_are_read():
  net = Parity('faster')
  old = {
    name.replace('_blocks.0.0.', '_blocks.0.').replace('conv.0.0.', 'conv.'): value
    for name, value in net.tensors.items()
  }
  assert sum(name not in net.tensors for name in old) == 6
  converted = convert.from_tensors(old, net.model)
  jax.tree.map(np.testing.assert_array_equal, converted.variables, net.converted.variables)


def test_a_net_of_other_classes_is_refused_and_can_start_anew():
  net = Parity('faster')
  person = models.create('faster_rcnn_resnet50_fpn', num_classes=1)
  with pytest.raises(PosejaxError, match=r'num_classes=90.*fresh=\[.box_head/classes'):
    convert.from_tensors(net.tensors, person)
  fresh = ['box_head/classes', 'box_head/deltas']
  shapes = jax.eval_shape(person.init, jax.random.key(0), jnp.zeros((1, 64, 32, 3)))
  init = functools.partial(jax.tree.map, lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
  converted = convert.from_tensors(net.tensors, person, init=init, fresh=fresh)
  assert len(converted.initialised) == 4
  assert converted.variables['params']['box_head']['classes']['kernel'].shape == (1024, 2)


def test_of_91_outcomes_cocos_80_classes_are_taken():
  net = Parity('faster')
  model = models.create('faster_rcnn_resnet50_fpn', num_classes=80)
  converted = convert.from_tensors(net.tensors, model)
  assert converted.checkpoint.num_classes == 80
  found, every = (c.variables['params']['box_head'] for c in (converted, net.converted))
  # By numbers of categories: the background, a person, a stop sign, a toothbrush.
  for label, number in ((0, 0), (1, 1), (12, 13), (80, 90)):
    for part, each in (('classes', 1), ('deltas', 4)):
      ours = slice(each * label, each * (label + 1))
      theirs = slice(each * number, each * (number + 1))
      for leaf in ('kernel', 'bias'):
        one, all_of_them = found[part][leaf], every[part][leaf]
        np.testing.assert_array_equal(one[..., ours], all_of_them[..., theirs])
  names = list(labels.COCO_CATEGORIES.values())
  assert (len(names), names[0], names[11], names[79]) == (80, 'person', 'stop sign', 'toothbrush')


def test_a_file_of_another_detector_is_refused():
  net = Parity('faster')
  with pytest.raises(PosejaxError, match="Use a model .* such as 'faster_rcnn_resnet50_fpn'"):
    convert.from_tensors(net.tensors, models.create('keypoint_rcnn_resnet50_fpn', num_classes=90))


def test_losses_are_torchvisions(monkeypatch):
  """Of a picture and its mirror image, with what is learnt from drawn alike."""
  net = Parity('keypoint')
  model = net.model.clone(
    train_proposals=seeded_rcnn.TRAIN_PROPOSALS,
    anchor_samples=seeded_rcnn.ANCHOR_SAMPLES,
    region_samples=seeded_rcnn.REGION_SAMPLES,
  )
  monkeypatch.setattr(
    jax.random, 'uniform', lambda key, shape: jnp.asarray(seeded_rcnn.priority(shape[0]))
  )
  canvas, size = network_input(net.converted.inputs)
  mirrored = canvas.copy()
  mirrored[: size[0], : size[1]] = canvas[: size[0], : size[1]][:, ::-1]
  h, w = seeded.IMAGE_SHAPE
  ratio = np.array([size[1] / w, size[0] / h], np.float32)
  truth = seeded_rcnn.truth()
  truth |= {
    'boxes': truth['boxes'] * np.tile(ratio, 2),
    # Points have pixel centres at integers, boxes go by edges.
    'keypoints': truth['keypoints'] * ratio - 0.5,
    'labels': np.zeros((2, 2), np.int32),
    'box_ignore': np.zeros((2, 2), bool),
    'image_size': np.array([size, size]),
  }

  def run(variables, images, truth):
    drawn, _ = model.apply(
      variables, images, truth, jax.random.key(0), method='learn', mutable=['batch_stats']
    )
    return lessons.losses(*drawn, truth, lambda counts: counts)

  found = compiling.jit(run)(net.converted.variables, np.stack([canvas, mirrored]), truth)
  assert set(found) == set(seeded_rcnn.LOSSES)
  for name, value in found.items():
    assert value.shape == (2,)
    assert value.mean() == pytest.approx(float(net.golden[f'loss {name}']), rel=1e-3), name


def test_a_classifiers_backbone_fits_with_its_norms_frozen():
  net = Parity('faster')
  body = {
    name.removeprefix(seeded_rcnn.BODY): value
    for name, value in net.tensors.items()
    if name.startswith(seeded_rcnn.BODY)
  }
  converted = convert.from_tensors(body, net.model.backbone)
  for collection, tree in converted.variables.items():
    expected = net.converted.variables[collection]['backbone']
    jax.tree.map(np.testing.assert_array_equal, tree, expected)
