"""Every config file, shrunk by `:smoke`: train, stop, resume, evaluate."""

import glob
import importlib.util
import os
import shutil

import jax
import numpy as np
import pytest

from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir

_FOLDER = os.path.join(os.path.dirname(__file__), '..', 'configs')
# Arguments that lead to another net or another way through the code, by config.
_ARGUMENTS = {
  'detect_rtmdet': ['smoke'],
  'detect_faster_rcnn': ['smoke'],
  'detect_keypoint_rcnn': ['smoke'],
  'pose_compact': ['smoke'],
  'pose_densenet': ['smoke'],
  'pose_hrnet': ['smoke'],
  'pose_resnet': ['depth=18,smoke', 'smoke,v2'],
  'pose_fcn8s': ['smoke'],
  'pose_movenet': ['smoke'],
  'pose_regression': ['smoke', 'smoke,loss=rle'],
  'svhn_cnn': ['smoke', 'smoke,mixed', 'smoke,variant=wide'],
}
_CASES = [(name, argument) for name, some in _ARGUMENTS.items() for argument in some]


def load_module(name: str):
  spec = importlib.util.spec_from_file_location(name, os.path.join(_FOLDER, f'{name}.py'))
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def load(name: str, argument: str) -> Config:
  return Config.from_dict(load_module(name).get_config(argument).to_dict())


def test_every_config_is_tried():
  files = {os.path.basename(p)[:-3] for p in glob.glob(os.path.join(_FOLDER, '*.py'))}
  assert files - {'__init__', 'common'} == set(_ARGUMENTS)


@pytest.mark.parametrize('name', sorted(_ARGUMENTS))
def test_the_whole_config_is_valid_too(name):
  config = load(name, '')
  assert config.num_steps > 100


@pytest.mark.parametrize(
  ('name', 'argument', 'crop_size', 'num_steps'),
  [
    # 140 epochs of batches of 128.
    ('pose_resnet', 'depth=50,coco', (256, 192), 140 * (149_813 // 128)),
    ('pose_resnet', 'mpii', (256, 256), 140 * (22_246 // 128)),
    ('pose_resnet', 'lspet', (256, 256), 140 * (9_000 // 128)),
    ('pose_resnet', 'panoptic,v2', (224, 224), 140 * (100_000 // 128)),
    ('pose_densenet', 'panoptic', (224, 224), 140 * (100_000 // 128)),
    # Of batches of 32, by what was published of the net.
    ('pose_regression', 'coco', (220, 220), 140 * (149_813 // 32)),
  ],
)
def test_public_data_sets(name, argument, crop_size, num_steps):
  data_set = argument.split(',')[-1].replace('v2', 'panoptic')
  config = load(name, argument)
  assert (config.data.name, config.task['crop_size']) == (data_set, crop_size)
  assert (config.num_steps, config.batch_size) == (
    num_steps,
    32 if name == 'pose_regression' else 128,
  )
  # Without its files, a smoke test draws people; with them it reads them.
  flags = load_module(name).get_config(argument + ',smoke')
  assert Config.from_dict(flags.to_dict()).data.name == 'synthetic_people'
  flags.data.manual_dir = 'somewhere'
  assert Config.from_dict(flags.to_dict()).data.name == data_set
  assert flags.data.manual_dir == 'somewhere'


def test_a_detectors_public_data_set():
  config = load('detect_rtmdet', 'tiny,coco')
  assert (config.data.name, config.model['name']) == ('coco_instances', 'rtmdet_tiny')
  assert config.data.classes == ()
  assert (config.num_steps, config.batch_size) == (300 * (118_287 // 256), 256)
  flags = load_module('detect_rtmdet').get_config('coco,smoke')
  assert Config.from_dict(flags.to_dict()).data.name == 'synthetic_scenes'
  flags.data.manual_dir = 'somewhere'
  assert Config.from_dict(flags.to_dict()).data.name == 'coco_instances'
  assert load('detect_rtmdet', 'person').data.classes == ('person',)
  config = load('detect_faster_rcnn', 'resnet50,person,coco')
  assert (config.data.name, config.data.classes) == ('coco_instances', ('person',))
  assert config.data.num_train_examples is None
  config = load('detect_keypoint_rcnn', 'coco')
  assert (config.data.name, config.data.classes) == ('coco', ('person',))


@pytest.mark.parametrize('name', ['detect_rtmdet', 'detect_faster_rcnn', 'detect_keypoint_rcnn'])
def test_pictures_of_ones_own_are_all_learnt_from(name):
  flags = load_module(name).get_config('')
  drawn = Config.from_dict(flags.to_dict()).data
  assert (drawn.num_train_examples, drawn.cache) == (2048, True)
  flags.data.annotations = 'mine.json'
  own = Config.from_dict(flags.to_dict()).data
  assert (own.annotations, own.num_train_examples, own.cache) == ('mine.json', None, False)
  flags.data.num_train_examples, flags.data.cache = 5, True
  own = Config.from_dict(flags.to_dict()).data
  assert (own.num_train_examples, own.cache) == (5, True)


def test_two_data_sets_are_refused():
  with pytest.raises(PosejaxError, match=r"coco and mpii are two data sets.*'mixture'"):
    load('pose_resnet', 'coco,mpii')


@pytest.fixture
def of_first_step(tmp_path, monkeypatch):
  """Return a work directory as it lies when the first step's checkpoint of a run in `run` is written."""
  kept, save = tmp_path / 'kept', checkpoint.Checkpointer.save

  def saved(self, arrays, *rest):
    save(self, arrays, *rest)
    if int(arrays['step']) == 1 and not kept.exists():
      self.wait()
      shutil.copytree(tmp_path / 'run', kept, ignore=shutil.ignore_patterns('tensorboard'))

  monkeypatch.setattr(checkpoint.Checkpointer, 'save', saved)
  return str(kept)


@pytest.mark.parametrize(('name', 'argument'), _CASES)
def test_smoke(name, argument, tmp_path, of_first_step):
  config = load(name, argument)
  assert config.num_steps == 2
  workdir = str(tmp_path / 'run')
  metrics = train(config, workdir)
  best = checkpoint.restore_with_meta(workdir)[1]['control']['best']
  assert np.isfinite(metrics[best['metric']])
  assert best['step'] == 2

  # Go on from the first step's checkpoint, as after a kill: the same bits.
  whole, rows = checkpoint.restore(workdir), read_rows(workdir)
  assert checkpoint.available_steps(of_first_step) == [1]
  train(config, of_first_step)
  jax.tree.map(np.testing.assert_array_equal, checkpoint.restore(of_first_step), whole)
  assert read_rows(of_first_step) == rows

  measured = evaluate_workdir(workdir, 'latest')
  assert measured == pytest.approx(metrics, nan_ok=True)
