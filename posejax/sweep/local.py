"""Runs of a sweep as processes of this machine."""

from collections.abc import Sequence
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

from posejax.runs import workdirs
from posejax.sweep import launcher, results
from posejax.sweep.devices import Slot
from posejax.sweep.grid import Run
from posejax.sweep.launcher import Event
from posejax.train import stop

_LET_GO_SECONDS = 120  # an earlier sweep's process may still be writing its checkpoint


@dataclasses.dataclass
class _Process:
  run: Run
  popen: subprocess.Popen
  slot: Slot


class LocalLauncher:
  """A process per run, so many at a time; see `posejax.sweep.launcher.Launcher`.

  Args:
    folder: of the sweep.
    slots: places to run in, one process each.
  """

  def __init__(self, folder: str, slots: Sequence[Slot]):
    self._folder = folder
    self._free = list(slots)
    self._processes: list[_Process] = []
    self._let_go = time.monotonic() + _LET_GO_SECONDS
    self._stopping = False

  @property
  def busy(self) -> bool:
    """Whether any process runs."""
    return bool(self._processes)

  def look(self, waiting: Sequence[Run]) -> list[Event]:
    """Start what there is a place for, and see what ended."""
    ended = [self._end(p) for p in list(self._processes) if p.popen.poll() is not None]
    if self._stopping:
      return ended
    free_to_take = [run for run in waiting if self._is_let_go(run)]
    return ended + [self._start(run) for run in free_to_take[: len(self._free)]]

  def stop(self) -> str:
    """Pass the signal on; the processes write their checkpoints and end."""
    self._stopping = True
    for process in self._processes:
      process.popen.terminate()
    return (
      f'Asked to stop: {len(self._processes)} processes write their checkpoints. '
      'Ctrl-C once more kills them.'
    )

  def close(self) -> list[Event]:
    """Kill what still runs."""
    for process in self._processes:
      process.popen.kill()
      process.popen.wait()
    return [Event(process.run, results.STOPPED) for process in self._processes]

  def _is_let_go(self, run: Run) -> bool:
    workdir = launcher.workdir_of(self._folder, run)
    return time.monotonic() > self._let_go or not workdirs.is_claimed(workdir)

  def _start(self, run: Run) -> Event:
    slot, workdir = self._free.pop(0), launcher.workdir_of(self._folder, run)
    os.makedirs(workdir, exist_ok=True)
    command = [sys.executable, '-m', 'posejax.sweep.child', workdir]
    if slot.cpus:
      command.append('--cpus=' + ','.join(map(str, slot.cpus)))
    with open(launcher.log_of(self._folder, run), 'a') as log:
      popen = subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,  # kept open: it ends when this process does, killed or not
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, 'PYTHONPATH': launcher.python_path(), **slot.environ},
      )
    with contextlib.suppress(BrokenPipeError):  # its exit code tells
      popen.stdin.write(json.dumps(run.config.to_dict()).encode() + b'\n')
    self._processes.append(_Process(run, popen, slot))
    return Event(run, results.RUNNING)

  def _end(self, process: _Process) -> Event:
    run, code = process.run, process.popen.returncode
    process.popen.stdin.close()
    self._processes.remove(process)
    self._free.append(process.slot)
    if code == 0:
      return Event(run, results.FINISHED)
    if self._stopping or code == stop.EXIT_CODE:
      return Event(run, results.STOPPED)
    return Event(run, results.FAILED, launcher.failure(_ending(code), self._folder, run))


def _ending(code: int) -> str:
  if code >= 0:
    return f'exit code {code}'
  name = signal.Signals(-code).name
  return f'killed by {name}' + (' (out of memory?)' if name == 'SIGKILL' else '')
