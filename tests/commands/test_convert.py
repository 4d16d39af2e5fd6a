"""`posejax convert`: a file becomes a work directory like any other."""

import json
import os
import pathlib

import jax
import numpy as np
import pytest

from posejax import cli, experiment, labels, models
from posejax.commands import config_flags
from posejax.runs import checkpoint, workdirs
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from posejax.weights import convert
from posejax.weights.families import rtmdet
from posejax.weights.save import save
from tests.data import layouts
from tests.goldens import seeded
from tests.weights import torch_bytes

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
# What tests/test_configs.py trains too, so that the compiled step is shared.
CONFIG = ('--config=configs/pose_resnet.py:smoke', '--config.data.executor=threads')
HEAD_FEATURES = (8, 8, 8)


def mmpose_tensors(keypoints: int = 17) -> dict[str, np.ndarray]:
  """Return a pose ResNet-18 with a narrow head in mmpose's naming, which sees RGB."""
  with np.load(GOLDENS / 'pose_resnet18.npz') as file:
    shapes = json.loads(file['shapes'].tobytes())
  narrow = {}
  for name, shape in shapes.items():
    if name.startswith(('deconv_layers', 'final_layer')):
      shape = [{256: 8, 17: keypoints}.get(n, n) for n in shape]
      narrow[f'head.{name}'] = shape
    elif not name.startswith('fc.'):
      narrow[f'backbone.{name}'] = shape
  return seeded.weights(narrow)


@pytest.fixture(scope='module')
def tensors():
  return mmpose_tensors()


@pytest.fixture(scope='module')
def file(tensors, tmp_path_factory):
  path = tmp_path_factory.mktemp('weights') / 'res18_mmpose.pth'
  torch_bytes.save(path, tensors)
  return path


def command(file, workdir, *more) -> list[str]:
  return ['convert', str(file), f'--workdir={workdir}', *CONFIG, *more]


def same(a, b) -> bool:
  return all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))


def test_a_converted_directory_evaluates_and_trains(file, tensors, tmp_path, capsys):
  workdir = str(tmp_path / 'run')
  assert cli.main(command(file, workdir)) == 0
  said = capsys.readouterr().out
  assert 'resnet18 for 17 keypoints (mmpose names)' in said
  assert 'not used: 23 num_batches_tracked' in said
  assert 'newly initialised: nothing' in said

  model = models.create('pose_resnet18', head_features=HEAD_FEATURES)
  expected = convert.from_tensors(tensors, model).variables
  arrays, meta = checkpoint.restore_with_meta(workdir)
  assert int(arrays['step']) == 0
  assert same(arrays['params'], expected['params'])
  assert same(arrays['model_state']['batch_stats'], expected['batch_stats'])
  assert meta['labels']['skeleton']['name'] == 'coco'

  evaluate_workdir(workdir, 'best')
  with open(os.path.join(workdir, 'eval-0.json')) as results:
    assert np.isfinite(json.load(results)['PCK@0.20/torso'])

  train(workdirs.read_config(workdir), workdir)
  trained = checkpoint.restore(workdir)
  assert int(trained['step']) == 2
  # Two steps of Adam move a parameter by two learning rates at most: it went on from the file.
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), trained['params'], expected['params'])
  assert 0 < max(jax.tree.leaves(moved)) < 2.1e-3


def test_colours_travel_in_the_config(file, tmp_path):
  assert cli.main(command(file, tmp_path / 'rgb')) == 0
  assert cli.main(command(file, tmp_path / 'bgr', '--channels=bgr')) == 0
  for order in ('rgb', 'bgr'):
    with open(tmp_path / order / 'config.json') as config:
      assert json.load(config)['inputs']['channels'] == order


def test_other_keypoints_are_refused_or_start_anew(tmp_path, capsys):
  file = tmp_path / 'mpii.pth'
  torch_bytes.save(file, mmpose_tensors(keypoints=16))
  workdir = str(tmp_path / 'run')
  assert cli.main(command(file, workdir)) == 2
  said = capsys.readouterr().err
  assert (
    'head.final_layer.weight: float32 [16, 8, 1, 1] there, float32 [17, 8, 1, 1] expected' in said
  )
  assert not os.path.exists(os.path.join(workdir, 'config.json'))

  assert cli.main(command(file, workdir, '--fresh=head/final')) == 0
  said = capsys.readouterr().out
  assert 'newly initialised: params/head/final/bias, params/head/final/kernel' in said
  final = checkpoint.restore(workdir)['params']['head']['final']
  assert final['kernel'].shape == (1, 1, 8, 17)
  assert np.ptp(final['kernel']) > 0


def test_a_directory_that_holds_a_run_is_left_alone(file, tmp_path, capsys):
  workdir = tmp_path / 'run'
  assert cli.main(command(file, workdir)) == 0
  before = (workdir / 'config.json').read_bytes()
  assert cli.main(command(file, workdir, '--config.batch_size=4')) == 2
  assert 'holds a run already' in capsys.readouterr().err
  assert (workdir / 'config.json').read_bytes() == before


def test_another_place_to_start_from_is_refused(file, tmp_path, capsys):
  assert cli.main(command(file, tmp_path / 'run', '--config.init_from=other')) == 2
  assert "init_from='other'" in capsys.readouterr().err


def test_a_public_data_set_need_not_be_there(file, tmp_path):
  folder = tmp_path / 'nothing'
  data = ('--config.data.name=coco', f'--config.data.data_dir={folder}')
  assert cli.main(command(file, tmp_path / 'run', *data)) == 0
  assert (
    checkpoint.restore_with_meta(str(tmp_path / 'run'))[1]['labels']['skeleton']['name'] == 'coco'
  )


def test_a_file_that_is_no_checkpoint_is_named(tmp_path, capsys):
  path = tmp_path / 'picture.pth'
  path.write_bytes(b'\x89PNG\r\n\x1a\n' * 10)
  assert cli.main(command(path, tmp_path / 'run')) == 2
  said = capsys.readouterr().err
  assert str(path) in said
  assert 'it is not a checkpoint' in said


def test_a_detector_of_all_of_cocos_classes_is_measured_by_cocos_numbers(tmp_path):
  names, root = labels.COCO_CATEGORIES, tmp_path / 'coco'
  for split in ('train2017', 'val2017'):
    dataset = layouts.instances_dataset()
    dataset['categories'] = [{'id': number, 'name': name} for number, name in names.items()]
    layouts.write(root / 'annotations' / f'instances_{split}.json', dataset)
    layouts.write_pictures(root / split, dataset)
  config = '--config=configs/detect_rtmdet.py:coco,smoke', f'--config.data.manual_dir={root}'
  config = (*config, '--config.data.executor=threads', '--config.data.num_eval_examples=5')
  space = labels.LabelSpace(tuple(names.values()))
  _, task = experiment.build(config_flags.read(config), space)
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: rng.uniform(0.01, 0.1, leaf.shape).astype(np.float32),
    jax.eval_shape(task.init, jax.random.key(0)),
  )
  save(str(tmp_path / 'mmdet.safetensors'), rtmdet.to_tensors(variables))
  workdir = str(tmp_path / 'run')
  path = str(tmp_path / 'mmdet.safetensors')
  assert cli.main(['convert', path, f'--workdir={workdir}', *config]) == 0
  arrays, meta = checkpoint.restore_with_meta(workdir)
  assert tuple(meta['labels']['class_names']) == space.class_names
  assert same(arrays['params'], variables['params'])
  metrics = evaluate_workdir(workdir, 'latest')
  measured = {name for name in names.values() if np.isfinite(metrics[f'AR100/box/{name}'])}
  assert measured == {names[number] for number in (3, 7, 90)} == {'car', 'train', 'toothbrush'}
