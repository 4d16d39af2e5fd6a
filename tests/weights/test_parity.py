"""Converted nets answer what PyTorch's nets answer, stage by stage.

The goldens in tests/goldens are PyTorch's answers to weights that `seeded` makes from a seed; the
script there says how they are made. A photograph's answers are compared where POSEJAX_REAL_DATA says
where the photographs are. For the table of docs/results.md:

    POSEJAX_REAL_DATA=... python -m pytest -s tests/weights/test_parity.py -k keypoints
"""

import functools
import json
import os
import pathlib
import zlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.codecs import Msra
from posejax.models.backbones import densenet, vgg
from posejax.tasks.net import normalize
from posejax.types import Variables
from posejax.weights import convert
from tests import compiling
from tests.goldens import seeded

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
PHOTOGRAPHS = [f'lspet/images/im{i:05d}.jpg' for i in (1, 2, 3)]
POSE_NETS = (
  *(f'pose_resnet{depth}' for depth in (18, 34, 50, 101, 152)),
  *(f'pose_hrnet_w{width}' for width in (32, 48)),
)
BACKBONES = {
  **{f'densenet{depth}': densenet.DenseNet(depth) for depth in (121, 169, 201)},
  'vgg16': vgg.VGG16(),
  'vgg16_bn': vgg.VGG16(batch_norm=True),
}
NETS = (*POSE_NETS, *BACKBONES)
# As published, pose nets with 17 keypoints; torchvision's less their classifiers.
PARAMETERS = {
  'pose_resnet18': 15_376_721,
  'pose_resnet34': 25_484_881,
  'pose_resnet50': 33_999_697,
  'pose_resnet101': 52_991_825,
  'pose_resnet152': 68_635_473,
  'pose_hrnet_w32': 28_536_113,
  'pose_hrnet_w48': 63_595_745,
  'densenet121': 7_978_856 - 1_025_000,
  'densenet169': 14_149_480 - 1_665_000,
  'densenet201': 20_013_928 - 1_921_000,
  'vgg16': 138_357_544 - 123_642_856,
  'vgg16_bn': 138_365_992 - 123_642_856,
}
TOLERANCE = 1e-4  # of a stage's largest value; float32 summed in another order gives 2e-6


@functools.cache
def pictures() -> np.ndarray:
  """Return the drawn picture and, where they are, the photographs: uint8 RGB."""
  images = [seeded.image()]
  if folder := os.environ.get('POSEJAX_REAL_DATA'):
    for name in PHOTOGRAPHS:
      image = cv2.imread(os.path.join(folder, name), cv2.IMREAD_COLOR_RGB)
      assert image is not None, f'{name} is not in POSEJAX_REAL_DATA={folder}'
      images.append(seeded.center(image))
  return np.stack(images)


class Parity:
  """One net, the peer's weights for it, and what the peer's code answers."""

  def __init__(self, name: str):
    self.name = name
    self.model = BACKBONES[name] if name in BACKBONES else models.create(name)
    with np.load(GOLDENS / f'{name}.npz') as file:
      self.golden = dict(file)
    self.tensors = seeded.weights(json.loads(self.golden['shapes'].tobytes()))
    self.converted = convert.from_tensors(self.tensors, self.model)

  @functools.cached_property
  def apply(self):
    """`(variables, images) -> (outputs, modules' outputs)`.

    A DenseNet has no two layers of one shape, so that compiling it at once, without optimising, is
    much faster than operation by operation; the others repeat themselves.
    """
    if self.name in BACKBONES:
      compiled = compiling.jit(self.model.apply)
      return lambda variables, images: (compiled(variables, images), {})

    def apply(variables, images):
      keep = {'capture_intermediates': True, 'mutable': ['intermediates']}
      outputs, captured = self.model.apply(variables, images, **keep)
      return outputs, captured['intermediates']

    return apply

  @functools.cached_property
  def stages(self) -> dict[str, np.ndarray]:
    """As `answers`, for the weights and pictures of the golden."""
    return self.answers(self.converted.variables, pictures())

  def answers(self, variables: Variables, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return every stage's feature maps `[N, h, w, C]`, named as in the golden."""
    inputs = self.converted.inputs
    images = normalize(jnp.asarray(images), inputs.mean, inputs.std, inputs.channels)
    stages, captured = self.apply(variables, images)
    if self.name in BACKBONES:
      stages = self._named(stages)
    if self.name.startswith('pose_resnet'):
      stages |= self._named(captured['backbone']['__call__'][0])
    if self.name.startswith('pose_hrnet'):
      stages['layer1_3'] = captured['backbone']['layer1_3']['__call__'][0]
      for module in ('stage2_0', 'stage3_3', 'stage4_2'):
        branches = captured['backbone'][module]['__call__'][0]
        stages |= {f'{module}/{i}': branch for i, branch in enumerate(branches)}
    return {name: np.asarray(value) for name, value in stages.items()}

  def _named(self, maps: dict[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a backbone's maps as the golden names them."""
    kind = 'pool' if self.name.startswith('vgg') else 'c'
    return {f'{kind}{stride.bit_length() - 1}': y for stride, y in maps.items()}

  def differences(self, stages: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the largest difference of every stage as a fraction of its largest value."""
    result = {}
    for name in [key.removesuffix(' scale') for key in self.golden if key.endswith(' scale')]:
      gaps = []
      for n, values in enumerate(stages[name]):
        scale, sample = self.golden[f'{name} scale'][n], self.golden[f'{name} sample'][n]
        gaps.append(np.abs(seeded.sample(values) - sample).max() / scale)
        gaps.append(abs(np.abs(values).max() - scale) / scale)
      if name == 'heatmaps':
        scale = self.golden['heatmaps scale'][0]
        gaps.append(np.abs(stages[name][:1] - self.golden[name]).max() / scale)
      result[name] = float(max(gaps))
    return result

  def with_tensors(self, **changes: np.ndarray) -> dict[str, float]:
    """Return the differences where some tensors are others."""
    tensors = self.tensors | changes
    variables = convert.from_tensors(tensors, self.model).variables
    return self.differences(self.answers(variables, pictures()))


@pytest.fixture(scope='module', params=NETS)
def net(request) -> Parity:
  """One net after another, for all tests: its weights take up to 0.5 GB."""
  return Parity(request.param)


def test_pictures_and_parameters_are_the_published_ones(net):
  crcs = [zlib.crc32(image.tobytes()) for image in pictures()]
  assert crcs == list(net.golden['images'][: len(crcs)])
  count = sum(t.size for t in jax.tree.leaves(net.converted.variables['params']))
  assert count == PARAMETERS[net.name]
  assert net.converted.initialised == ()


def test_every_stage_agrees(net):
  found = net.differences(net.stages)
  assert len(found) >= 3
  assert max(found.values()) < TOLERANCE, found


def test_keypoints_agree(net):
  found = net.differences(net.stages)
  count = sum(t.size for t in jax.tree.leaves(net.converted.variables['params']))
  row = f'| {net.name} | {count:,} | {len(found)} | {max(found.values()):.1e} |'
  if 'keypoints' not in net.golden:
    assert net.name in BACKBONES
    print(f'\n{row} - | - |')
    return
  heatmaps = net.stages['heatmaps']
  _, h, w, _ = heatmaps.shape
  points, scores = Msra((4 * h, 4 * w), (h, w)).decode({'heatmaps': heatmaps})
  expected = net.golden['keypoints'][: len(heatmaps)]
  differ = (np.asarray(points) / 4 != expected).any(-1)
  print(f'\n{row} {found["heatmaps"]:.1e} | {differ.size - differ.sum()} of {differ.size} |')
  assert differ.mean() <= 0.001
  for n, k in np.argwhere(differ):  # must be ties
    x, y = np.round(expected[n, k]).astype(int)
    near = heatmaps[n, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2, k].max()
    assert np.asarray(scores)[n, k] - near < TOLERANCE * np.abs(heatmaps[n]).max()


def test_one_transposed_weight_is_noticed(net):
  square = [n for n, t in net.tensors.items() if t.ndim == 4 and t.shape[2] == t.shape[3] > 1]
  name = square[len(square) // 2]
  found = net.with_tensors(**{name: net.tensors[name].swapaxes(2, 3)})
  assert max(found.values()) > 10 * TOLERANCE, (name, found)


def test_exchanged_vectors_are_noticed(net):
  """Of a late layer, where the sums before it weigh most; in two nets, as the layers are the same."""
  if net.name not in ('pose_resnet18', 'vgg16_bn'):
    return
  modules = [n.removesuffix('running_var') for n in net.tensors if n.endswith('.running_var')]
  module = [m for m in modules if 'deconv' not in m][-1]
  vectors = {n: net.tensors[module + n] for n in ('weight', 'bias', 'running_mean', 'running_var')}
  changes = [{kind: vectors[kind][::-1]} for kind in vectors]
  changes.append({'bias': vectors['running_mean'], 'running_mean': vectors['bias']})
  for change in changes:
    found = net.with_tensors(**{module + kind: vector for kind, vector in change.items()})
    assert max(found.values()) > 10 * TOLERANCE, (module, list(change), found)


def test_colours_in_another_order_are_noticed(net):
  if net.name != 'pose_resnet18':  # the one that is cheapest and sees BGR
    return
  found = net.differences(net.answers(net.converted.variables, pictures()[..., ::-1]))
  assert min(found.values()) > 10 * TOLERANCE, found
