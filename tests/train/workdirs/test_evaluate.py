"""What measuring a work directory writes beside its checkpoints, and what it refuses."""

import json
import math
import os
import shutil
import subprocess
import sys

import pytest

from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from tests import tiny


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Return a work directory of 2 steps."""
  workdir = str(tmp_path_factory.mktemp('trained'))
  train(tiny.config(num_steps=2), workdir)
  return workdir


@pytest.fixture
def workdir(trained, tmp_path):
  """Return a copy of it."""
  return shutil.copytree(trained, tmp_path / 'run')


def test_a_metric_that_is_not_finite_is_null(tmp_path):
  config = {
    'num_steps': 1,
    'batch_size': 8,
    'task': {'name': 'classification', 'crop_size': (32, 32)},
    'data': {
      'name': 'synthetic_digits',
      'num_train_examples': 8,
      'num_eval_examples': 4,
      'executor': 'threads',
    },
    'model': {'name': 'svhn_cnn', 'features': (4, 4), 'hidden': 8},
  }
  train(Config.from_dict(config), str(tmp_path))
  metrics = evaluate_workdir(str(tmp_path), 'latest')
  # Four digits are not ten.
  lost = {name for name, value in metrics.items() if not math.isfinite(value)}
  assert lost
  text = (tmp_path / 'eval-1.json').read_text()
  written = json.loads(text, parse_constant=lambda name: pytest.fail(f'{name} is no JSON'))
  assert {name for name, value in written.items() if value is None} == lost


def test_a_full_disk_leaves_the_figures_of_before(workdir):
  (workdir / 'eval-2.json').write_text('{}')
  unfinished = workdir / f'.eval-2.{os.getpid()}.json'
  unfinished.symlink_to('/dev/full')
  with pytest.raises(PosejaxError, match=r'eval-2\.json.*: the disk is full'):
    evaluate_workdir(str(workdir), 'latest')
  assert (workdir / 'eval-2.json').read_text() == '{}'
  assert not unfinished.is_symlink()
  overrides = {'task.flip': False}
  metrics = evaluate_workdir(str(workdir), 'latest', overrides)
  _, meta = checkpoint.restore_with_meta(str(workdir))
  how = {'step': 2, 'overrides': overrides, 'data': {'eval': meta['data']['eval']}}
  assert json.loads((workdir / 'eval-2.json').read_text()) == how | metrics


def test_a_batch_that_devices_do_not_divide_names_the_key_that_can_be_set(workdir):
  code = (
    'import sys; from posejax.train.workdirs.evaluate import evaluate_workdir;'
    "evaluate_workdir(sys.argv[1], 'latest')"
  )
  result = subprocess.run(
    [sys.executable, '-c', code, str(workdir)],
    env=dict(os.environ, XLA_FLAGS='--xla_force_host_platform_device_count=3'),
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert 'config.evaluate.batch_size=8 must be divisible by 3 devices; try 6 or 9' in result.stderr
