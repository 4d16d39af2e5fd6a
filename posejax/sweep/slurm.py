"""Runs of a sweep as tasks of an array job, which Slurm distributes over its cluster.

`<folder>/slurm/` holds what the tasks need: a config for each, the script, and `jobs.json`, which tells a
later sweep what of an earlier one is still in the queue.
"""

from collections.abc import Mapping, Sequence
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

from posejax import files
from posejax.errors import PosejaxError
from posejax.sweep import launcher, results
from posejax.sweep.grid import Run
from posejax.sweep.launcher import Event
from posejax.train import stop

_COMMANDS = ('sbatch', 'squeue', 'scontrol')
_LOOK_SECONDS = 5.0
# Of a shared folder this host may see yesterday's list for a minute.
# Source: nfs(5), acdirmax.
_STALE_SECONDS = 60.0
_SILENT_SECONDS = 600.0
_ENDED_WELL = ('COMPLETED', 'UNKNOWN')
# A job that ends within the grace time of its preemption is over for Slurm, so that it waits again by
# itself; see launch/slurm.sh, which does the same for a run of many tasks.
_SCRIPT = """\
#!/usr/bin/env bash
#SBATCH --job-name=posejax-sweep
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=TERM@180
set -euo pipefail
export PYTHONPATH={python_path}
workdirs=(
{workdirs}
)
configs=(
{configs}
)
workdir=${{workdirs[SLURM_ARRAY_TASK_ID]}}
config=${{configs[SLURM_ARRAY_TASK_ID]}}
if [[ -n ${{SLURM_CPUS_PER_TASK-}} ]]; then
  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
fi
told=''
trap 'told=yes' TERM
status=0
srun --ntasks=1 {python} -m posejax.sweep.child "$workdir" --config="$config" \\
  >>"$workdir/log.txt" 2>&1 || status=$?
if ((status == {stopped})) && [[ -z $told ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


class SlurmLauncher:
  """One array job for all runs that wait; see `posejax.sweep.launcher.Launcher`.

  The runs do not depend on this process: told to stop, it leaves them in the queue, and the next one
  follows them.

  Args:
    folder: of the sweep; all nodes must see it.
    parallel: so many tasks at a time; None for as many as the cluster takes.
    options: of sbatch, as on its command line.

  Raises:
    PosejaxError: Slurm's commands are not here, or the options cannot be read.
  """

  def __init__(self, folder: str, parallel: int | None, options: str):
    missing = [name for name in _COMMANDS if not shutil.which(name)]
    if missing:
      raise PosejaxError(
        f'--launcher=slurm needs {", ".join(missing)} on the PATH. Start it on a host from which jobs '
        'are submitted, or leave --launcher out to run on this machine.'
      )
    try:
      self._options = shlex.split(options)
    except ValueError as error:
      raise PosejaxError(f'--sbatch={options!r} cannot be read: {error}.') from error
    self._folder = os.path.abspath(folder)
    self._own = os.path.join(self._folder, 'slurm')
    self._parallel = parallel
    # <job>_<index> of runs that were seen in the queue, or put there.
    self._tasks: dict[str, str] = {}
    self._runs: dict[str, Run] = {}
    self._gone: dict[str, float] = {}  # since when
    self._looked = self._heard = float('-inf')
    self._stopped = False
    self.busy = False

  def look(self, waiting: Sequence[Run]) -> list[Event]:
    """Submit what is not in the queue, at the first call, and see what began and ended."""
    if self._stopped or time.monotonic() - self._looked < _LOOK_SECONDS:
      return []
    first = not self._runs
    queue = self._queue()
    self._looked = time.monotonic()
    if queue is None:
      return []
    if first:
      self._follow_or_submit(waiting, queue)
      return []
    began = [r for r in waiting if queue.get(self._tasks[r.name]) == 'RUNNING']
    events = [Event(run, results.RUNNING) for run in began]
    for name, task in list(self._tasks.items()):
      if task in queue:
        self._gone.pop(name, None)
      elif (event := self._ended(self._runs[name], task)) is not None:
        del self._tasks[name]
        events.append(event)
    self.busy = bool(self._tasks)
    return events

  def stop(self) -> str:
    """Leave everything in the queue."""
    self._stopped, self.busy = True, False
    jobs = sorted({task.partition('_')[0] for task in self._tasks.values()})
    return (
      'Asked to stop: the runs stay in the queue, and the same command follows them again. '
      f'`scancel {" ".join(jobs)}` ends them.'
    )

  def close(self) -> list[Event]:
    """Do nothing: the queue has the runs."""
    return []

  def _follow_or_submit(self, waiting: Sequence[Run], queue: Mapping[str, str]) -> None:
    before = self._read_jobs()
    self._runs = {run.name: run for run in waiting}
    self._tasks = {run.name: before[run.name] for run in waiting if before.get(run.name) in queue}
    new = [run for run in waiting if run.name not in self._tasks]
    if new:
      job = self._submit(new)
      self._tasks |= {run.name: f'{job}_{index}' for index, run in enumerate(new)}
    files.replace(self._jobs_path, (json.dumps(self._tasks, indent=2) + '\n').encode())
    self.busy = True

  def _submit(self, runs: Sequence[Run]) -> str:
    """Submit an array job; return its number."""
    os.makedirs(self._own, exist_ok=True)
    configs = [os.path.join(self._own, f'{run.name}.json') for run in runs]
    for run, path in zip(runs, configs, strict=True):
      os.makedirs(launcher.workdir_of(self._folder, run), exist_ok=True)
      files.replace(path, json.dumps(run.config.to_dict()).encode())
    script = _SCRIPT.format(
      python_path=shlex.quote(launcher.python_path()),
      workdirs='\n'.join(shlex.quote(launcher.workdir_of(self._folder, run)) for run in runs),
      configs='\n'.join(map(shlex.quote, configs)),
      python=shlex.quote(sys.executable),
      stopped=stop.EXIT_CODE,
    )
    path = os.path.join(self._own, 'job.sh')
    files.replace(path, script.encode())
    limit = '' if self._parallel is None else f'%{self._parallel}'
    log = os.path.join(self._own.replace('%', '%%'), '%A_%a.log')
    done = _call(
      *('sbatch', *self._options, '--parsable', f'--array=0-{len(runs) - 1}{limit}'),
      *(f'--output={log}', path),
    )
    if done.returncode:
      raise PosejaxError(
        f'sbatch did not take the job of {len(runs)} runs: {_last_line(done)} Change --sbatch, or the '
        'number of values where it is an array too long for this cluster.'
      )
    return done.stdout.strip().partition(';')[0]  # <job>;<cluster> where there are several

  def _queue(self) -> dict[str, str] | None:
    """Return the state of every array task of this user in the queue; None where nobody answers."""
    done = _call('squeue', '--me', '--array', '--noheader', '--format=%F_%K %T')
    if done.returncode == 0:
      self._heard = time.monotonic()
      return dict(line.split() for line in done.stdout.splitlines())
    if time.monotonic() - self._heard > _SILENT_SECONDS:
      raise PosejaxError(
        f'squeue tells nothing: {_last_line(done)} What was submitted goes on; the same command follows '
        'it once Slurm answers again.'
      )
    return None

  def _ended(self, run: Run, task: str) -> Event | None:
    """Return what became of a task that is not in the queue; None where that may only not be seen yet."""
    if launcher.is_finished(self._folder, run):
      return Event(run, results.FINISHED)
    state, code = _state_of(task)
    if state == 'CANCELLED':
      return Event(run, results.STOPPED)
    since = self._gone.setdefault(run.name, time.monotonic())
    if state in _ENDED_WELL and time.monotonic() - since < _STALE_SECONDS:
      return None
    ending = f"Slurm's job {task} ended as {state}, exit code {code}"
    return Event(run, results.FAILED, launcher.failure(ending, self._folder, run))

  @property
  def _jobs_path(self) -> str:
    return os.path.join(self._own, 'jobs.json')

  def _read_jobs(self) -> dict[str, str]:
    if not os.path.exists(self._jobs_path):
      return {}
    with open(self._jobs_path) as file:
      return json.load(file)


def _state_of(task: str) -> tuple[str, str]:
  """Return state and exit code of a task that ended; Slurm forgets them after some minutes."""
  done = _call('scontrol', '--oneliner', 'show', 'job', task)
  values = dict(re.findall(r'(JobState|ExitCode)=(\S+)', done.stdout))
  return values.get('JobState', 'UNKNOWN'), values.get('ExitCode', 'unknown')


def _call(*command: str) -> subprocess.CompletedProcess:
  return subprocess.run(command, capture_output=True, text=True, check=False)


def _last_line(done: subprocess.CompletedProcess) -> str:
  lines = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
  return lines[-1].rstrip('.') + '.'
