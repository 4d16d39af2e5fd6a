"""Runs a sweep: a process per run, so many at a time, resumable at any moment."""

from collections.abc import Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import posejax
from posejax.runs import checkpoint, workdirs
from posejax.sweep import results
from posejax.sweep.devices import Slot
from posejax.sweep.grid import Run
from posejax.sweep.progress import SweepProgress
from posejax.train import stop

_POLL_SECONDS = 0.2
_LOG_LINES = 12
_LET_GO_SECONDS = 120  # an earlier sweep's process may still be writing its checkpoint


def run_all(runs: Sequence[Run], folder: str, slots: Sequence[Slot]) -> dict[str, str]:
  """Run what is not finished; return each run's state by name.

  SIGTERM and Ctrl-C are passed on to the runs, which write their checkpoints; a second Ctrl-C kills.

  Args:
    runs: the grid, with configs that continue what their folders hold.
    folder: each run's work directory is its name in here; the table is written here.
    slots: places to run in, one process each.

  Raises:
    PosejaxError: another sweep is at work in the folder.
  """
  with workdirs.claim(folder, True, option='--out'):
    return _Sweep(runs, folder, slots).go()


@dataclasses.dataclass
class _Process:
  run: Run
  popen: subprocess.Popen
  slot: Slot


class _Sweep:
  """One call of `run_all`: what is waiting, what runs, and what came of the rest."""

  def __init__(self, runs: Sequence[Run], folder: str, slots: Sequence[Slot]):
    self.runs = runs
    self.folder = folder
    self.free = list(slots)
    self.processes: list[_Process] = []
    self.messages: dict[str, str] = {}
    self.states = {run.name: self._state_before(run) for run in runs}
    self.progress = SweepProgress(runs, self.workdir)

  def workdir(self, run: Run) -> str:
    return os.path.join(self.folder, run.name)

  def log_path(self, run: Run) -> str:
    return os.path.join(self.workdir(run), 'log.txt')

  def _state_before(self, run: Run) -> str:
    done = checkpoint.finished_step(self.workdir(run), run.config)
    return results.WAITING if done is None else results.FINISHED

  def go(self) -> dict[str, str]:
    """Work until everything ended or was told to stop."""
    try:
      with stop.listen() as flag:
        self._work(flag)
    finally:
      for process in self.processes:
        process.popen.kill()
        process.popen.wait()
        self.states[process.run.name] = results.STOPPED
      self.progress.update(self.states)
      self.progress.close()
      self._write()
    return self.states

  def _work(self, flag: stop.StopFlag) -> None:
    waiting = [run for run in self.runs if self.states[run.name] == results.WAITING]
    let_go = time.monotonic() + _LET_GO_SECONDS
    told = False
    while self.processes or (waiting and not flag.asked()):
      if flag.asked() and not told:
        told = True
        self.progress.say(
          f'Asked to stop: {len(self.processes)} processes write their checkpoints. '
          'Ctrl-C once more kills them.'
        )
        for process in self.processes:
          process.popen.terminate()
      free_to_take = [
        run
        for run in waiting
        if time.monotonic() > let_go or not workdirs.is_claimed(self.workdir(run))
      ]
      for run in free_to_take[: 0 if flag.asked() else len(self.free)]:
        waiting.remove(run)
        self._start(run)
      for process in [p for p in self.processes if p.popen.poll() is not None]:
        self._end(process, flag.asked())
      self.progress.update(self.states)
      time.sleep(_POLL_SECONDS)

  def _start(self, run: Run) -> None:
    slot, workdir = self.free.pop(0), self.workdir(run)
    os.makedirs(workdir, exist_ok=True)
    command = [sys.executable, '-m', 'posejax.sweep.child', workdir]
    if slot.cpus:
      command.append('--cpus=' + ','.join(map(str, slot.cpus)))
    with open(self.log_path(run), 'a') as log:
      popen = subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,  # kept open: it ends when this process does, killed or not
        stdout=log,
        stderr=subprocess.STDOUT,
        env=_environment(slot),
      )
    with contextlib.suppress(BrokenPipeError):  # its exit code tells
      popen.stdin.write(json.dumps(run.config.to_dict()).encode() + b'\n')
    self.processes.append(_Process(run, popen, slot))
    self.states[run.name] = results.RUNNING

  def _end(self, process: _Process, stopping: bool) -> None:
    run, code = process.run, process.popen.returncode
    process.popen.stdin.close()
    self.processes.remove(process)
    self.free.append(process.slot)
    if self._state_before(run) == results.FINISHED and code == 0:
      self.states[run.name] = results.FINISHED
      self.progress.say(self._result(run).describe())
    elif stopping or code == 0:
      self.states[run.name] = results.STOPPED
    else:
      self.states[run.name] = results.FAILED
      self.messages[run.name] = f'{_ending(code)}. The end of {self.log_path(run)}:\n' + '\n'.join(
        _last_lines(self.log_path(run))
      )
      self.progress.say(f'{run.name} failed: {self.messages[run.name]}')
    self._write()

  def _result(self, run: Run) -> results.Result:
    return results.read(run, self.workdir(run), self.states[run.name])

  def _write(self) -> None:
    results.write(self.folder, [self._result(run) for run in self.runs], self.messages)


def _environment(slot: Slot) -> dict[str, str]:
  """Return a run's variables; it finds this very package, installed or not."""
  root = str(pathlib.Path(posejax.__file__).parents[1])
  paths = [root, *filter(None, [os.environ.get('PYTHONPATH')])]
  return {**os.environ, 'PYTHONPATH': os.pathsep.join(paths), **slot.environ}


def _ending(code: int) -> str:
  if code >= 0:
    return f'exit code {code}'
  name = signal.Signals(-code).name
  return f'killed by {name}' + (' (out of memory?)' if name == 'SIGKILL' else '')


def _last_lines(path: str) -> list[str]:
  with open(path, errors='replace') as file:
    return [line.rstrip() for line in file][-_LOG_LINES:]
