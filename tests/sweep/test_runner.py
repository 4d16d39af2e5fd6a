"""Sweeps that truly run: processes, a failure, a kill, and what the folder says afterwards."""

import os
import signal
import subprocess
import sys
import time

import pytest

from posejax import cli
from posejax.errors import PosejaxError
from posejax.runs import checkpoint, workdirs
from posejax.runs.report import read_rows, read_speeds
from posejax.sweep import check, grid
from tests import processes, tiny
from tests.sweep import small

_GOOD, _BAD = 'learning_rate=0.003,seed=0', 'learning_rate=1e+30,seed=0'


def sweep(folder, rates, *flags):
  return small.command(
    folder,
    rates,
    '--config.num_steps=60',
    '--config.log_every_steps=4',
    '--config.eval_every_steps=15',
    '--config.checkpoint_every_steps=10',
    '--parallel=2',  # a core each: on another number of cores the last bits would differ
    '--set=seed=0',
    *flags,
  )


@pytest.fixture(scope='module', autouse=True)
def without_tensorflow():
  """Let runs of a sweep, which nobody looks at in TensorBoard, start in a third of the time."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('PYTHONPATH', processes.without_tensorflow()['PYTHONPATH'])
    yield


@pytest.fixture(scope='module')
def done(tmp_path_factory):
  """A sweep of two runs, of which one's loss does not stay finite: its folder and exit code."""
  folder = tmp_path_factory.mktemp('sweep')
  return folder, cli.main(sweep(folder, '0.003,1e30'))


def test_a_failed_run_is_reported_and_the_others_finish(done):
  folder, code = done
  assert code == 1
  table = (folder / 'sweep.md').read_text()
  assert f'**{_BAD} failed:**' in table
  assert 'Error: Step 2: ' in table
  assert 'Traceback' not in table
  assert checkpoint.available_steps(str(folder / _GOOD))[-1] == 60
  last = [row for row in read_rows(str(folder / _GOOD)) if row['split'] == 'eval'][-1]
  assert f'| {last["PCK@0.20/torso"]:.4f} |' in table
  assert (folder / 'sweep.png').stat().st_size > 10_000
  header, *lines = (folder / 'sweep.csv').read_text().splitlines()
  assert header.startswith('run,optimizer.learning_rate,seed,state,step')
  assert ['finished' in lines[0], 'failed' in lines[1]] == [True, True]
  speeds = read_speeds(str(folder / _GOOD))
  assert [s['step'] for s in speeds] == list(range(4, 61, 4))
  assert all(s['seconds'] > 0 and s['images_per_second'] > 0 for s in speeds)


def test_finished_runs_are_skipped(done, capsys):
  folder, _ = done
  log = folder / _GOOD / 'log.txt'
  before = log.read_text()
  assert cli.main(sweep(folder, '0.003')) == 0
  assert log.read_text() == before
  assert '1 finished' in capsys.readouterr().out


def test_another_config_in_its_folder_is_refused_before_anything_runs(done, capsys):
  folder, _ = done
  assert cli.main(sweep(folder, '0.5,0.003', '--config.batch_size=4')) == 2
  assert 'config.batch_size: 8 there, 4 now' in capsys.readouterr().err
  assert not (folder / 'learning_rate=0.5,seed=0').exists()


def test_killed_with_minus_nine_it_goes_on_to_the_same_rows(done, tmp_path):
  command = [sys.executable, '-m', 'posejax.cli', *sweep(tmp_path, '0.003')]
  process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
  workdir = str(tmp_path / _GOOD)
  limit = time.monotonic() + 120
  while len(read_rows(workdir)) < 3:
    assert process.poll() is None, process.stdout.read()[-2000:]
    assert time.monotonic() < limit
    time.sleep(0.01)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  # The run that it leaves behind notices, and ends with a checkpoint.
  while workdirs.is_claimed(workdir):
    assert time.monotonic() < limit
    time.sleep(0.01)
  stopped = checkpoint.available_steps(workdir)[-1]
  assert stopped < 60
  assert cli.main(sweep(tmp_path, '0.003')) == 0
  assert f'Resuming {workdir} after step {stopped}.' in (tmp_path / _GOOD / 'log.txt').read_text()
  assert read_rows(workdir) == read_rows(str(done[0] / _GOOD))


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('model.growht=4,8', "'pose_densenet_compact' has no field 'growht'. Did you mean 'growth'?"),
    ('model.growth=4,many', 'growth=many cannot be built'),
    ('codec.name=msra,upd', "Did you mean 'udp'?"),
    ('optimizer.name=adam,adan', "Did you mean 'adam'?"),
    ('data.augment.rotatoin=10', "Did you mean 'rotation'?"),
  ],
)
def test_what_no_experiment_can_be_built_from_is_refused(argument, message):
  runs = grid.runs(tiny.config(), ['seed=0,1', argument])
  with pytest.raises(PosejaxError) as caught:
    check.can_be_built(runs)
  assert message in str(caught.value)


def test_every_value_is_built_once_and_not_every_combination(monkeypatch):
  built = []
  monkeypatch.setattr(check, '_build', lambda run, config: built.append(run.settings))
  runs = grid.runs(
    tiny.config(), ['model.growth=4,8,12', 'codec.sigma=1.0,2.0', 'optimizer.learning_rate=1.0,2.0']
  )
  check.can_be_built(runs)
  assert [(s['model.growth'], s['codec.sigma']) for s in built] == [(4, 1), (4, 2), (8, 1), (12, 1)]


def test_wrong_use_is_told(tmp_path, capsys):
  assert cli.main(sweep(tmp_path, '0.1', '--parallel=0')) == 2
  assert '--parallel=0' in capsys.readouterr().err
  with pytest.raises(SystemExit):
    cli.main(['sweep', '--config=configs/pose_densenet.py:smoke'])
  assert '--set' in capsys.readouterr().err
  with workdirs.claim(str(tmp_path), True):
    assert cli.main(sweep(tmp_path, '0.003')) == 2
  assert 'at work' in capsys.readouterr().err
  assert os.listdir(tmp_path) == ['.lock']
