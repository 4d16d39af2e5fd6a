"""launch/slurm.sh on a Slurm that truly runs, with a stand-in for main.py.

`python -m tests.launch.preempted` does the same with main.py itself.
"""

import shutil
import sys

import pytest

from tests.launch.test_scripts import LAUNCH, wait_for

# What main.py does when stopped: one task is a little later than the other, and both end with 75.
STAND_IN = """
import os, pathlib, signal, sys, time
task, restarts = os.environ['SLURM_PROCID'], os.environ.get('SLURM_RESTART_COUNT', '0')
def stop(number, frame):
  time.sleep(0.5 * int(task))
  print(f'task {task} stopped')
  sys.exit(75)
signal.signal(signal.SIGTERM, stop)
print(f'task {task} of {os.environ["SLURM_NTASKS"]} begins', *sys.argv[1:], flush=True)
pathlib.Path(f'{sys.argv[1]}-{task}-{restarts}').touch()
if '--fail' in sys.argv:
  sys.exit(7 if task == '1' else 0)
if restarts == '0':
  time.sleep(60)
print(f'task {task} is done')
"""


@pytest.fixture
def repository(tmp_path):
  shutil.copytree(LAUNCH, tmp_path / 'launch')
  (tmp_path / 'main.py').write_text(STAND_IN)
  return tmp_path


def submit(slurm, repository, *flags):
  path = f'--export=ALL,PATH={repository}/bin:{slurm.environ["PATH"]}'
  (repository / 'bin').mkdir()
  (repository / 'bin' / 'python').symlink_to(sys.executable)
  arguments = ('--ntasks=2', '--output=job.log', path, 'launch/slurm.sh', 'begun', *flags)
  return slurm.submit(*arguments, cwd=repository)


def test_preempted_it_ends_by_itself_waits_again_and_is_finished(slurm, repository):
  number = submit(slurm, repository, '--config=a b.py')
  wait_for(repository / 'begun-0-0', repository / 'begun-1-0')
  slurm.preempt()
  slurm.restart(number, 20)
  job = slurm.wait(number, 20, 'COMPLETED')
  assert job['Restarts'] == '1'
  assert job['ExitCode'] == '0:0'
  lines = (repository / 'job.log').read_text().splitlines()
  for task in range(2):
    assert lines.count(f'task {task} of 2 begins begun --config=a b.py') == 2
    assert lines.count(f'task {task} stopped') == 1
    assert lines.count(f'task {task} is done') == 1


def test_cancelled_it_is_stopped_too_and_does_not_come_back(slurm, repository):
  number = submit(slurm, repository)
  wait_for(repository / 'begun-0-0', repository / 'begun-1-0')
  slurm.call('scancel', number)
  assert slurm.wait(number, 20, 'CANCELLED')['Restarts'] == '0'
  text = (repository / 'job.log').read_text()
  assert 'task 0 stopped' in text
  assert 'task 1 stopped' in text


def test_the_code_of_a_task_that_failed_is_the_jobs(slurm, repository):
  number = submit(slurm, repository, '--fail')
  job = slurm.wait(number, 20, 'FAILED')
  assert (job['ExitCode'], job['Restarts']) == ('7:0', '0')
