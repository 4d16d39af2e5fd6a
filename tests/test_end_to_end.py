"""The command itself: `python main.py`, interrupted in every way and started again.

What does not depend on a process of its own is asked of main.py's function: Python, JAX and TensorFlow
take ten seconds of a processor to start.
"""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import jax
import numpy as np
import pytest

from posejax.commands import experiment
from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from tests import processes

_SMOKE = ('--config=configs/pose_densenet.py:smoke', '--config.data.executor=threads')
# Long enough to be killed in the middle: evaluation, checkpoint and rows at every few steps.
_LONG = (
  '--config.num_steps=60',
  '--config.log_every_steps=4',
  '--config.eval_every_steps=15',
  '--config.checkpoint_every_steps=10',
)


def command(workdir, *flags):
  return [sys.executable, 'main.py', f'--workdir={workdir}', *flags]


class Ended(NamedTuple):
  """How a call of main.py's function ended, and what it wrote."""

  code: int
  out: str
  err: str


@pytest.fixture
def main(cache_dir, capsys):
  """Return main.py's function, called in this process with a work directory and flags."""

  def call(workdir, *flags):
    words = [f'--workdir={workdir}', f'--compilation_cache={cache_dir}', *flags]
    try:
      code = experiment.main(words, time.monotonic())
    except SystemExit as end:
      code = end.code
    return Ended(code, *capsys.readouterr())

  return call


@pytest.fixture(scope='module')
def run(cache_dir):
  """Return what runs main.py in a process of its own to its end."""

  def call(workdir, *flags, check=True, env=None):
    result = subprocess.run(
      command(workdir, f'--compilation_cache={cache_dir}', *flags),
      env=env,
      capture_output=True,
      text=True,
      timeout=300,
      check=False,
    )
    if check:
      assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result

  return call


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory, run):
  workdir = tmp_path_factory.mktemp('uninterrupted')
  run(workdir, *_SMOKE, *_LONG)
  return workdir


def assert_same_run(a, b):
  """Same rows, and the same bits in every array of the last checkpoint."""
  assert read_rows(str(a)) == read_rows(str(b))
  states = [checkpoint.restore(str(workdir)) for workdir in (a, b)]
  jax.tree.map(np.testing.assert_array_equal, *states)


def start(cache_dir, workdir, *flags, env=None):
  return subprocess.Popen(
    command(workdir, f'--compilation_cache={cache_dir}', *flags),
    env=env,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def wait_for_rows(process, workdir, count, timeout=120):
  limit = time.monotonic() + timeout
  while len(read_rows(str(workdir))) < count:
    assert process.poll() is None, process.stdout.read()[-2000:]
    assert time.monotonic() < limit
    time.sleep(0.01)


def test_what_a_run_leaves(uninterrupted):
  names = {path.name for path in uninterrupted.iterdir()}
  assert {
    'checkpoints',
    'config.json',
    'first_batch.png',
    'learning_curves.png',
    'metrics.jsonl',
    'predictions.png',
    'tensorboard',
  } <= names
  rows = read_rows(str(uninterrupted))
  assert [r['step'] for r in rows if r['split'] == 'train'] == list(range(4, 61, 4))
  evals = [r for r in rows if r['split'] == 'eval']
  assert [r['step'] for r in evals] == [15, 30, 45, 60]
  assert {'PCK@0.20/torso', 'PCK@0.20/torso/median_pose', 'MAE/pixels'} <= evals[0].keys()
  best = max(evals, key=lambda r: r['PCK@0.20/torso'])['step']
  assert set(checkpoint.available_steps(str(uninterrupted))) == {best, 60}


def test_killed_at_random_moments_and_restarted_it_ends_with_the_same_bits(
  uninterrupted, tmp_path, cache_dir, run
):
  rng = random.Random(0)
  env = processes.without_tensorflow()
  for rows in (1, 7, 13):
    process = start(cache_dir, tmp_path, *_SMOKE, *_LONG, env=env)
    wait_for_rows(process, tmp_path, rows)
    time.sleep(rng.uniform(0, 0.2))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, 'the run ended before it could be killed'
  run(tmp_path, *_SMOKE, *_LONG, env=env)
  assert_same_run(uninterrupted, tmp_path)


def test_sigterm_writes_a_checkpoint_and_says_that_the_run_is_not_complete(
  uninterrupted, tmp_path, cache_dir, run
):
  env = processes.without_tensorflow()
  process = start(cache_dir, tmp_path, *_SMOKE, *_LONG, env=env)
  wait_for_rows(process, tmp_path, 3)
  process.terminate()
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 75, output[-2000:]
  assert 'Asked to stop: the checkpoint of step' in output
  stopped = checkpoint.available_steps(str(tmp_path))[-1]
  assert stopped < 60
  result = run(tmp_path, *_SMOKE, *_LONG, env=env)
  assert f'after step {stopped}.' in result.stdout
  assert_same_run(uninterrupted, tmp_path)


def test_a_complete_run_says_so_goes_on_when_asked_and_is_evaluated(tmp_path, main):
  assert main(tmp_path, *_SMOKE).code == 0
  again = main(tmp_path, *_SMOKE)
  assert again.code == 0
  assert 'This run is complete: 2 of 2 steps are done.' in again.out
  assert str(tmp_path) in again.out
  assert main(tmp_path, *_SMOKE, '--config.num_steps=3').code == 0
  assert [r['step'] for r in read_rows(str(tmp_path)) if r['split'] == 'train'] == [1, 2, 3]
  # The directory knows its config.
  assert main(tmp_path, '--mode=eval', '--checkpoint=latest').code == 0
  measured = json.loads((tmp_path / 'eval-3.json').read_text())
  logged = [r for r in read_rows(str(tmp_path)) if r['split'] == 'eval'][-1]
  for name in ('PCK@0.20/torso', 'MAE/pixels', 'examples'):
    assert measured[name] == pytest.approx(logged[name], rel=1e-6)
  assert (tmp_path / 'eval-3.png').exists()

  other = main(tmp_path, *_SMOKE, '--config.batch_size=4')
  assert other.code not in (0, None)
  assert 'config.batch_size: 8 there, 4 now' in other.err
  assert 'Traceback' not in other.err


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (('--config.batch_sizee=4',), "Did you mean 'batch_size'"),
    (('--config.model.growths=4',), "has no field 'growths'. Did you mean 'growth'"),
    (('--config.batch_size=some',), 'batch_size'),
    (('--config=configs/nothing.py',), 'nothing.py'),
    (('--config=configs/pose_densenet.py:smoky',), "Did you mean 'smoke'"),
    (('--config.best_metric=PCK@0.2/torso',), "Did you mean 'PCK@0.20/torso'"),
    (('--config.model.name=pose_densenet_compat',), "Did you mean 'pose_densenet_compact'"),
    (('--config.data.name=synthetic_peopel',), "Did you mean 'synthetic_people'"),
    (('--workdir=/proc/nothing',), '/proc/nothing'),
    (('--mode=eval',), 'Train first'),
    (('--mode=train',), 'has no config.json'),
  ],
)
def test_bad_input_is_one_clear_line(tmp_path, main, flags, message):
  config = () if flags[0].startswith(('--config=', '--mode=train')) else _SMOKE
  result = main(tmp_path, *config, *flags)
  assert result.code not in (0, None)
  assert message in result.err
  assert 'Traceback' not in result.err
  assert not (tmp_path / 'checkpoints').exists() or not any((tmp_path / 'checkpoints').iterdir())


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_examples(tmp_path, run):
  result = run(
    tmp_path,
    *_SMOKE,
    '--config.num_steps=9',
    '--config.optimizer.learning_rate=1e30',
    '--config.optimizer.schedule=constant',
    check=False,
    env=processes.without_tensorflow(),
  )
  assert result.returncode != 0
  assert 'Step 2: ' in result.stderr
  assert 'from examples [' in result.stderr
  assert 'config.optimizer.learning_rate' in result.stderr
  # What was right is kept: the first step's checkpoint is complete and finite.
  state = checkpoint.restore(str(tmp_path))
  assert int(state['step']) == 1


def test_a_full_disk_loses_nothing(tmp_path, run):
  """A run on a file system of 16 MB; needs the right to mount one."""
  mount = ['mount', '-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', str(tmp_path)]
  if subprocess.run(mount, capture_output=True, check=False).returncode:
    pytest.skip('mounting a small file system needs root')
  try:
    filler = tmp_path / 'filler'
    run(tmp_path, *_SMOKE)
    with contextlib.suppress(OSError), open(filler, 'wb', buffering=0) as file:
      while True:
        file.write(b'x' * 4096)
    result = run(tmp_path, *_SMOKE, '--config.num_steps=4', check=False)
    assert result.returncode != 0
    assert 'disk is full' in result.stderr
    assert 'Traceback' not in result.stderr
    assert checkpoint.available_steps(str(tmp_path)) == [2]
    filler.unlink()
    run(tmp_path, *_SMOKE, '--config.num_steps=4')
    steps = [r['step'] for r in read_rows(str(tmp_path)) if r['split'] == 'train']
    assert steps == [1, 2, 3, 4]
  finally:
    subprocess.run(['umount', str(tmp_path)], check=True)
