"""A run whose work directory is in a bucket: the same run, killed and gone on with, measured and used."""

import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from posejax import buckets, files
from posejax.infer.predictor import Predictor
from posejax.runs import checkpoint
from posejax.runs.report import read_rows, read_speeds
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from tests import bucket, processes, tiny

KILLED = """
import os, signal
from posejax.train import loop, stop
from tests import tiny

def at(self, step):
  if step == 3:
    # Rows of this step are written here, and not put in the bucket; of its checkpoint a part may be.
    os.kill(os.getpid(), signal.SIGKILL)

stop.StopFlag.at = at
loop.train(tiny.config(log_every_steps=1), {!r})
"""
OF_TWO = """
from posejax.process import distributed
from posejax.train.loop import train
from tests import tiny

distributed.initialize_from_environment()
train(tiny.config(), {!r})
print('done')
"""


@pytest.fixture(scope='module')
def config():
  return tiny.config(log_every_steps=1)


@pytest.fixture(scope='module')
def here(config, tmp_path_factory):
  """Return the work directory of the run on this machine."""
  workdir = str(tmp_path_factory.mktemp('here'))
  train(config, workdir)
  return workdir


@pytest.fixture(scope='module')
def there(config):
  """Return that of the same run in a bucket, killed after its third step."""
  workdir = bucket.create() + '/runs/one'
  killed = subprocess.run([sys.executable, '-c', KILLED.format(workdir)], timeout=600, check=False)
  assert killed.returncode == -signal.SIGKILL
  assert [row['step'] for row in read_rows(workdir)] == [1, 2, 2]
  assert checkpoint.available_steps(workdir)[-1] in (1, 2)
  # A checkpoint that somebody began to write and did not end.
  files.replace(f'{workdir}/checkpoints/3/state/d/part', b'half')
  assert 3 not in checkpoint.available_steps(workdir)
  train(config, workdir)
  return workdir


def test_it_ends_with_the_same_rows_and_bits(here, there):
  assert read_rows(there) == read_rows(here)
  # Each row of speeds once, though its step was done twice.
  assert [row['step'] for row in read_speeds(there)] == [1, 2, 3, 4]
  (arrays, meta), (others, other_meta) = (checkpoint.restore_with_meta(w) for w in (here, there))
  jax.tree.map(np.testing.assert_array_equal, arrays, others)
  assert meta == other_meta
  assert checkpoint.available_steps(there) == checkpoint.available_steps(here)


def test_everything_that_a_run_leaves_is_there(here, there):
  assert set(buckets.names(there)) >= {
    *('checkpoints', 'config.json', 'metrics.jsonl', 'speed.jsonl', 'tensorboard'),
    *('first_batch.png', 'predictions.png', 'learning_curves.png'),
  }
  names = [os.listdir(f'{here}/tensorboard'), buckets.names(f'{there}/tensorboard')]
  assert list(map(len, names)) == [1, 2]  # one of each start
  counts = [
    sum(files.read(f'{workdir}/tensorboard/{name}').count(b'eval/PCK@0.20') for name in found)
    for workdir, found in zip((here, there), names, strict=True)
  ]
  assert counts[0] == counts[1] > 0


def test_it_is_measured_and_used_from_there(here, there):
  measured = evaluate_workdir(there, 'latest')
  assert measured == evaluate_workdir(here, 'latest')
  assert json.loads(files.read(f'{there}/eval-4.json'))['step'] == 4
  assert files.read(f'{there}/eval-4.png').startswith(b'\x89PNG')
  picture = np.zeros((40, 30, 3), np.uint8)
  (found,), (expected,) = (
    Predictor.load(workdir, 'latest')(picture).instances for workdir in (there, here)
  )
  np.testing.assert_array_equal(found.keypoints, expected.keypoints)


def test_two_processes_train_into_one_bucket():
  workdir = bucket.create() + '/two'
  ended = processes.run(OF_TWO.format(workdir))
  assert [process.code for process in ended] == [0, 0], ended
  assert [(row['step'], row['split']) for row in read_rows(workdir)] == [
    *((2, 'train'), (2, 'eval'), (4, 'train'), (4, 'eval'))
  ]
  assert checkpoint.finished_step(workdir, tiny.config()) == 4
