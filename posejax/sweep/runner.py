"""Runs a sweep: what waits, what is at work, and what came of the rest; resumable at any moment."""

from collections.abc import Sequence
import time

from posejax import buckets
from posejax.errors import PosejaxError
from posejax.runs import workdirs
from posejax.sweep import launcher, results
from posejax.sweep.grid import Run
from posejax.sweep.progress import SweepProgress
from posejax.train import stop

_POLL_SECONDS = 0.2


def run_all(runs: Sequence[Run], folder: str, where: launcher.Launcher) -> dict[str, str]:
  """Run what is not finished; return each run's state by name.

  SIGTERM and Ctrl-C are passed on to the launcher; a second Ctrl-C gives up at once.

  Args:
    runs: the grid, with configs that continue what their folders hold.
    folder: each run's work directory is its name in here; the table is written here.
    where: what starts them.

  Raises:
    PosejaxError: another sweep is at work in the folder, it is in a bucket, or runs cannot be started.
  """
  if buckets.is_in_one(folder):
    raise PosejaxError(
      f'--out={folder} must be a folder of a file system: a sweep follows its runs by what they append '
      'to files there. Mount the bucket and name the folder where it is mounted.'
    )
  with workdirs.claim(folder, True, option='--out'):
    return _Sweep(runs, folder, where).go()


class _Sweep:
  """One call of `run_all`."""

  def __init__(self, runs: Sequence[Run], folder: str, where: launcher.Launcher):
    self.runs = runs
    self.folder = folder
    self.where = where
    self.messages: dict[str, str] = {}
    self.states = {
      run.name: results.FINISHED if launcher.is_finished(folder, run) else results.WAITING
      for run in runs
    }
    self.progress = SweepProgress(runs, lambda run: launcher.workdir_of(folder, run))

  def go(self) -> dict[str, str]:
    """Work until everything ended or was told to stop."""
    try:
      with stop.listen() as flag:
        self._work(flag)
    finally:
      for event in self.where.close():
        self.states[event.run.name] = event.state
      self.progress.update(self.states)
      self.progress.close()
      self._write()
    return self.states

  def _work(self, flag: stop.StopFlag) -> None:
    told = False
    while self.where.busy or (self._waiting() and not flag.asked()):
      if flag.asked() and not told:
        told = True
        self.progress.say(self.where.stop())
      for event in self.where.look(self._waiting()):
        self._take(event)
      self.progress.update(self.states)
      time.sleep(_POLL_SECONDS)

  def _waiting(self) -> list[Run]:
    return [run for run in self.runs if self.states[run.name] == results.WAITING]

  def _take(self, event: launcher.Event) -> None:
    run = event.run
    self.states[run.name] = event.state
    if event.state == results.RUNNING:
      return
    if event.state == results.FINISHED:
      self.progress.say(self._result(run).describe())
    elif event.state == results.FAILED:
      self.messages[run.name] = event.message
      self.progress.say(f'{run.name} failed: {event.message}')
    self._write()

  def _result(self, run: Run) -> results.Result:
    return results.read(run, launcher.workdir_of(self.folder, run), self.states[run.name])

  def _write(self) -> None:
    results.write(self.folder, [self._result(run) for run in self.runs], self.messages)
