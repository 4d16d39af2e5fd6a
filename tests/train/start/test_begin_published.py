"""What a run starts from where that is a published net: keypoints by name, norms folded or not."""

import dataclasses

import jax
import numpy as np
import pytest

from posejax import experiment as experiments
from posejax import labels, paths, skeletons, weights
from posejax.config import resolve
from posejax.errors import PosejaxError
from posejax.runs import published_nets
from posejax.tasks import net
from posejax.train.start.begin import begin
from posejax.weights import get
from posejax.weights.families import movenet as family
from tests import compiling, published_files, tiny

COCO, LSP = skeletons.COCO, skeletons.LSP
LIGHTNING = {'name': 'posejax_movenet_lightning', 'batch_norm': False}
CHANGES = {
  'model': LIGHTNING,
  'task__crop_size': (64, 32),
  'codec': {'name': 'movenet'},
  'inputs': {'mean': (0.5, 0.5, 0.5), 'std': (0.5, 0.5, 0.5)},
}


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    published_files.few_blocks(patch)
    published_files.use(patch, tmp_path_factory.mktemp('weights'), 'lightning')
    yield


def build(skeleton, name='movenet_lightning', **changes):
  """Return an experiment that starts from published weights, and random variables of its net."""
  config = resolve(tiny.config(**{**CHANGES, 'init_from': name, **changes}))
  model, task = experiments.build(config, labels.people(skeleton))
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(task.init, jax.random.key(0))
  variables = jax.tree.map(lambda a: rng.uniform(0.5, 1.5, a.shape).astype(np.float32), shapes)
  return experiments.Experiment(config, model, task, None, {}), variables


def test_keypoints_go_by_name_with_all_the_values_that_they_have():
  experiment, variables = build(LSP)
  begun, text = begin(experiment, variables)
  got, initial = paths.flatten(begun), paths.flatten(variables)
  names = family.peer_names(boxes=False)
  tensors = weights.load(get.path('movenet_lightning'))
  ends = [f'{n}/final' for n in ('keypoint_heatmaps', 'keypoint_regression', 'keypoint_offsets')]
  checked = 0
  for path, value in got.items():
    name = path.removeprefix('params/')
    theirs = tensors[names[name]]
    if not any(name.startswith(f'head/{end}') for end in ends):
      expected = (
        theirs.transpose(0, 1, 3, 2) if 'depthwise' in name and theirs.ndim == 4 else theirs
      )
      np.testing.assert_array_equal(value, expected, err_msg=path)
      continue
    width = 1 if 'heatmaps' in name else 2
    for i, keypoint in enumerate(LSP.keypoints):
      for k in range(width):
        known = keypoint in COCO.keypoints
        source, j = (theirs, COCO.index(keypoint)) if known else (initial[path], i)
        np.testing.assert_array_equal(value[..., width * i + k], source[..., width * j + k])
        checked += 1
  assert checked == 2 * LSP.num_keypoints * (1 + 2 + 2)
  lines = [line.split() for line in text.splitlines()]
  assert text.startswith('Starts from movenet_lightning (MoveNet lightning):')
  assert ['head/keypoint_offsets/final', 'by', 'keypoint', '2'] in [line[:4] for line in lines]
  assert 'keypoints initialised: neck, head_top' in text


def test_a_skeleton_that_shares_nothing_starts_its_keypoints_anew():
  sign = skeletons.Skeleton('sign', ('a', 'b', 'c', 'd'), (('a', 'b'),), (), (0.1,) * 4)
  experiment, variables = build(sign)
  begun, text = begin(experiment, variables)
  got, initial = paths.flatten(begun), paths.flatten(variables)
  for path in got:
    fresh = '/final/' in path and '/center/' not in path
    assert np.array_equal(got[path], initial[path]) == fresh, path
  assert 'head/keypoint_heatmaps/final' in text


def test_norms_that_are_asked_for_leave_the_function():
  """Where they are new, with statistics of the training pictures, the net computes what it did."""
  config = resolve(
    tiny.config(
      **{**CHANGES, 'model': {**LIGHTNING, 'batch_norm': True}}, init_from='movenet_lightning'
    )
  )
  experiment = experiments.from_config(config)
  shapes = jax.eval_shape(experiment.task.init, jax.random.key(0))
  zeros = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes)
  begun, text = begin(experiment, zeros)
  assert '  backbone  taken' in text

  folded, variables = build(COCO)
  plain, _ = begin(folded, variables)
  images = net.normalize(
    np.random.default_rng(0).integers(0, 256, (1, 64, 32, 3), np.uint8),
    **dataclasses.asdict(config.inputs),
  )
  found = compiling.jit(experiment.model.apply)(begun, images)
  for name, wanted in compiling.jit(folded.model.apply)(plain, images).items():
    error = np.abs(np.asarray(found[name]) - wanted).max()
    assert error < 1e-3 * np.ptp(np.asarray(wanted)), name


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'name': 'movenet_thunder'}, 'Get them once with `posejax weights get movenet_thunder`'),
    ({'name': 'movenet'}, "There is no run at 'movenet'.*or a published net: posejax_compact, "),
    ({'model': {**LIGHTNING, 'name': 'posejax_movenet_thunder'}}, 'arrays outside the head differ'),
    ({'inputs': {}}, r"'movenet_lightning' was trained with other inputs:\n  config\.inputs\.mean"),
  ],
)
def test_what_cannot_be_is_said_in_a_sentence(changes, message):
  with pytest.raises(PosejaxError, match=message):
    begin(*build(LSP, **changes))


SHORT = {
  'name': 'net',
  'backbone': {'name': 'mobilenet_v2', 'last_features': None},
  'neck': {'name': 'movenet_fpn'},
  'head': {'name': 'movenet'},
}


def test_what_is_named_fresh_starts_anew_and_the_rest_is_taken():
  fresh = ('backbone/conv_last', 'neck/lateral_c5', 'head/center')
  experiment, variables = build(COCO, model=SHORT, init_fresh=fresh)
  begun, text = begin(experiment, variables)
  got, initial = paths.flatten(begun), paths.flatten(variables)
  whole = paths.flatten(published_nets.read('movenet_lightning').variables)
  assert not any('conv_last' in path for path in got)
  for path, value in got.items():
    new = any(f'/{module}/' in path for module in fresh)
    np.testing.assert_array_equal(value, initial[path] if new else whole[path], err_msg=path)
  rows = [line.split()[:3] for line in text.splitlines()]
  assert ['neck/lateral_c5', 'initialised', '2'] in rows
  assert ['head/center', 'initialised', '5'] in rows
  assert ['backbone/conv_last', 'left', 'behind'] in rows


@pytest.mark.parametrize(
  ('fresh', 'message'),
  [
    (
      (),
      r'arrays outside the head differ:\n(.|\n)*name in config.init_fresh what is to start anew',
    ),
    (('neck/lateral_c5', 'neck/c6'), "config.init_fresh: 'neck/c6' matches nothing of either net"),
  ],
)
def test_other_parts_of_the_body_must_be_named(fresh, message):
  with pytest.raises(PosejaxError, match=message):
    begin(*build(COCO, model=SHORT, init_fresh=fresh))
