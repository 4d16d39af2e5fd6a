"""What a run starts from: saved runs of other skeletons and builds, and a published backbone."""

import dataclasses
import json
import os

import jax
import numpy as np
import pytest

from posejax import experiment as experiments
from posejax import labels, paths, skeletons
from posejax.config import resolve
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.control import Control
from posejax.train.loop import train
from posejax.train.optim import optimizers
from posejax.train.start import begin
from posejax.train.step import state
from tests import tiny
from tests.goldens import seeded
from tests.weights import torch_bytes

COCO, LSP = skeletons.COCO, skeletons.LSP
FINAL = 'params/head/final'


def build(skeleton=COCO, seed=0, **changes):
  """Return an experiment without data, and random variables of its net; nothing is compiled."""
  config = resolve(tiny.config(**changes))
  model, task = experiments.build(config, labels.people(skeleton))
  shapes = jax.eval_shape(task.init, jax.random.key(0))
  rng = np.random.default_rng(seed)
  variables = jax.tree.map(lambda a: rng.uniform(0.5, 1.5, a.shape).astype(np.float32), shapes)
  return experiments.Experiment(config, model, task, None, {}), variables


@pytest.fixture(scope='module')
def coco():
  return build(COCO, seed=1)


@pytest.fixture(scope='module')
def lsp():
  return build(LSP, seed=2)


def save(workdir, experiment, *steps, best=None):
  """Write a run's checkpoints of `(step, variables, averaged parameters or None)`."""
  config = experiment.config
  with checkpoint.Checkpointer(str(workdir)) as checkpointer:
    for step, variables, averaged in steps:
      made = state.create(variables, optimizers.create(config.optimizer), None)
      made = made.replace(step=np.int32(step), ema_params=averaged)
      control = Control.create(config, 'PCK@0.20/torso', 'max')
      control.best.step, control.best.value = best, None if best is None else 0.5
      # What of a run's checkpoint is read to start from it.
      meta = {
        'config': config.to_dict(),
        'labels': experiment.task.labels.to_json(),
        'control': dataclasses.asdict(control),
      }
      checkpointer.save(jax.tree.map(jax.numpy.asarray, made.to_arrays()), meta, best)
  return str(workdir)


def begun(experiment, variables, **changes):
  """Return flat variables that a run with these keys begins with, and what is printed."""
  config = dataclasses.replace(experiment.config, **changes)
  variables, text = begin.begin(dataclasses.replace(experiment, config=config), variables)
  return paths.flatten(variables), text


def test_nothing_is_taken_unless_asked(coco):
  experiment, variables = coco
  same, text = begin.begin(experiment, variables)
  assert same is variables
  assert not text


def test_another_skeleton_keeps_all_but_the_keypoints_it_does_not_share(tmp_path, coco, lsp):
  old = coco[1]
  averaged = jax.tree.map(lambda a: a + 1, old['params'])
  run = save(tmp_path / 'run', coco[0], (3, old, averaged))
  got, text = begun(*lsp, init_from=run)

  taken = paths.flatten({**old, 'params': averaged})
  initial = paths.flatten(lsp[1])
  assert got.keys() == initial.keys()
  for path in got:
    if not path.startswith(FINAL):
      np.testing.assert_array_equal(got[path], taken[path], err_msg=path)
  for i, name in enumerate(LSP.keypoints):
    for leaf in (f'{FINAL}/kernel', f'{FINAL}/bias'):
      known = name in COCO.keypoints
      expected = taken[leaf][..., COCO.index(name)] if known else initial[leaf][..., i]
      np.testing.assert_array_equal(got[leaf][..., i], expected, err_msg=name)

  assert 'step 3' in text
  lines = [line.split() for line in text.splitlines()]
  size = sum(a.size for path, a in initial.items() if '/backbone/' in path)
  assert ['backbone', 'taken', '20', 'arrays', f'{size:,}', 'values'] in lines
  assert ['head/final', 'by', 'keypoint', '2'] in [line[:4] for line in lines]
  assert 'keypoints initialised: neck, head_top' in text
  assert 'keypoints left behind: nose, left_eye' in text
  assert not any(line[1] == 'initialised' for line in lines)


def test_as_many_keypoints_under_other_names_are_told_apart(tmp_path, coco):
  turned = dataclasses.replace(
    COCO, name='turned', keypoints=COCO.keypoints[::-1], sigmas=COCO.sigmas[::-1]
  )
  run = save(tmp_path / 'run', coco[0], (1, coco[1], None))
  new = build(turned, seed=5)
  got, _ = begun(*new, init_from=run)
  np.testing.assert_array_equal(
    got[f'{FINAL}/kernel'], paths.flatten(coco[1])[f'{FINAL}/kernel'][..., ::-1]
  )

  sign = skeletons.Skeleton('sign', ('a', 'b', 'c', 'd'), (('a', 'b'),), (), (0.1,) * 4)
  new = build(sign, seed=6)
  got, text = begun(*new, init_from=run)
  np.testing.assert_array_equal(got[f'{FINAL}/kernel'], paths.flatten(new[1])[f'{FINAL}/kernel'])
  np.testing.assert_array_equal(
    got['params/head/smooth/kernel'], paths.flatten(coco[1])['params/head/smooth/kernel']
  )
  assert ['head/final', 'initialised'] in [line.split()[:2] for line in text.splitlines()]


def test_the_same_skeleton_takes_everything_from_the_best_checkpoint(tmp_path, coco):
  experiment, best = coco
  latest = jax.tree.map(lambda a: a + 1, best)
  run = save(tmp_path / 'run', experiment, (1, best, None), (2, latest, None), best=1)
  got, text = begun(*build(seed=7), init_from=run)
  jax.tree.map(np.testing.assert_array_equal, got, paths.flatten(best))
  assert 'step 1, PCK@0.20/torso 0.5000' in text


def test_what_a_loss_learns_starts_anew_beside_a_head_that_is_taken(tmp_path, coco):
  run = save(tmp_path / 'run', coco[0], (1, coco[1], None))
  experiment, variables = build(seed=8)
  learned = {'scale': np.ones(3, np.float32)}
  variables = {**variables, 'params': {**variables['params'], 'loss': learned}}
  got, text = begun(experiment, variables, init_from=run)
  assert got.pop('params/loss/scale') is learned['scale']
  jax.tree.map(np.testing.assert_array_equal, got, paths.flatten(coco[1]))
  assert ['loss', 'initialised'] in [line.split()[:2] for line in text.splitlines()]


def test_a_head_of_another_build_starts_anew(tmp_path, coco):
  run = save(tmp_path / 'run', coco[0], (1, coco[1], None))
  new = build(LSP, seed=3, model__head_features=12)
  got, text = begun(*new, init_from=run)
  for path, initial in paths.flatten(new[1]).items():
    expected = initial if '/head/' in path else paths.flatten(coco[1])[path]
    np.testing.assert_array_equal(got[path], expected, err_msg=path)
  rows = [line.split()[:2] for line in text.splitlines()]
  assert ['backbone', 'taken'] in rows
  assert ['head', 'initialised'] in rows
  assert ['head', 'left'] in rows


def test_what_does_not_fit_is_refused(tmp_path, coco):
  run = save(tmp_path / 'run', coco[0], (1, coco[1], None))
  with pytest.raises(PosejaxError) as error:
    begun(*build(seed=3, model__growth=6, model__block_layers=(1,)), init_from=run)
  for part in (
    run,
    'arrays outside the head differ',
    'denseblock1_layer1/conv/kernel: (3, 3, 8, 4) there, (3, 3, 8, 6) now',
    'denseblock2_layer1/bn/mean: (4,) there, absent now',
  ):
    assert part in str(error.value)
  with pytest.raises(PosejaxError, match=r"config\.inputs\.channels: 'rgb' there, 'bgr' now"):
    begun(*build(inputs={'channels': 'bgr'}), init_from=run)
  with pytest.raises(PosejaxError, match='There is no run at .*nowhere'):
    begun(*coco, init_from=str(tmp_path / 'nowhere'))
  with pytest.raises(PosejaxError, match='There is no checkpoint'):
    begun(*coco, init_from=str(tmp_path))
  model = {**coco[0].config.model, 'init_from': 'x.pth'}
  with pytest.raises(PosejaxError, match='both say where to start'):
    begun(*coco, init_from=run, model=model)


@pytest.fixture(scope='module')
def resnet18():
  """Return an experiment and seeded weights under torchvision's names."""
  experiment, variables = build(LSP, model={'name': 'pose_resnet18', 'head_features': (8, 8, 8)})
  with np.load('tests/goldens/pose_resnet18.npz') as file:
    tensors = seeded.weights(json.loads(file['shapes'].tobytes()))
  heads = ('deconv_layers', 'final_layer')
  tensors = {name: a for name, a in tensors.items() if not name.startswith(heads)}
  return experiment, variables, {**tensors, 'fc.weight': np.zeros((1000, 512), np.float32)}


def test_a_published_backbone_is_taken_whole_and_the_head_starts_anew(tmp_path, resnet18):
  experiment, variables, tensors = resnet18
  file = tmp_path / 'resnet18.pth'
  torch_bytes.save(file, tensors)
  model = {**experiment.config.model, 'init_from': str(file)}
  got, text = begun(experiment, variables, model=model)
  initial = paths.flatten(variables)
  assert got.keys() == initial.keys()
  assert all((got[p] == initial[p]).all() == ('/head/' in p) for p in got)
  np.testing.assert_array_equal(
    got['params/backbone/layer2_0/conv1/kernel'],
    tensors['layer2.0.conv1.weight'].transpose(2, 3, 1, 0),
  )
  rows = [line.split() for line in text.splitlines()]
  assert [row[:3] for row in rows[1:4]] == [
    ['backbone', 'taken', '100'],
    ['head', 'initialised', '17'],
    ['fc', 'left', 'behind'],
  ]

  inputs = dataclasses.replace(experiment.config.inputs, mean=(0.5, 0.5, 0.5))
  with pytest.raises(PosejaxError, match=r'mean: \(0\.485, 0\.456, 0\.406\) there, \(0\.5'):
    begun(experiment, variables, model=model, inputs=inputs)


def test_a_file_that_does_not_fit_is_refused(tmp_path, coco, resnet18):
  model = {**coco[0].config.model, 'init_from': 'nothing.pth'}
  with pytest.raises(PosejaxError, match=r'nothing\.pth'):
    begun(*coco, model=model)
  experiment, variables, tensors = resnet18
  file = tmp_path / 'cut.pth'
  torch_bytes.save(file, {n: a for n, a in tensors.items() if n != 'layer4.1.bn2.bias'})
  with pytest.raises(PosejaxError, match=r'layer4\.1\.bn2\.bias: not there'):
    begun(experiment, variables, model={**experiment.config.model, 'init_from': str(file)})


def test_a_run_begun_from_another_resumes_without_it_to_the_same_bits(tmp_path, coco, capsys):
  run = save(tmp_path / 'run', coco[0], (1, coco[1], None))
  # Drawn people under another skeleton's names.
  changes = {
    'init_from': run,
    'num_steps': 2,
    'eval_every_steps': 2,
    'data__name': 'mixture',
    'data__parts': {'synthetic_people': {}},
    'data__skeleton': 'lsp',
    'optimizer__lr_scales': {'backbone': 0, 'head': 0.5},
    'optimizer__ema_decay': 0.9,
    'optimizer__schedule_steps': 2,
  }
  whole, parts = str(tmp_path / 'whole'), str(tmp_path / 'parts')
  train(tiny.config(**changes), whole)
  told = capsys.readouterr().out
  assert f'Starts from {run}' in told
  assert 'backbone         x 0: ' in told

  train(tiny.config(**{**changes, 'num_steps': 1}), parts)
  capsys.readouterr()
  os.rename(run, f'{run}-moved')
  train(tiny.config(**changes), parts)
  assert 'Starts from' not in capsys.readouterr().out
  states = [checkpoint.restore(workdir) for workdir in (whole, parts)]
  jax.tree.map(np.testing.assert_array_equal, *states)

  with open(os.path.join(parts, 'config.json')) as file:
    assert json.load(file)['init_from'] == run
  before = paths.flatten(coco[1])
  after = paths.flatten({'params': states[0]['params'], **states[0]['model_state']})
  for path, value in before.items():
    same = value.shape == after[path].shape and np.array_equal(value, after[path])
    assert same == ('/backbone/' in path), path
  with pytest.raises(PosejaxError, match=r"config\.init_from: '.*run' there, '' now"):
    train(tiny.config(**{**changes, 'init_from': '', 'num_steps': 3}), parts)


def test_what_was_refused_before_the_first_checkpoint_may_be_mended(tmp_path):
  changes = {'num_steps': 1, 'optimizer__lr_scales': {'backbon': 0.5}}
  with pytest.raises(PosejaxError, match="nearest path is 'backbone'"):
    train(tiny.config(**changes), str(tmp_path))
  train(tiny.config(**{**changes, 'optimizer__lr_scales': {'backbone': 0.5}}), str(tmp_path))
  assert checkpoint.available_steps(str(tmp_path)) == [1]
