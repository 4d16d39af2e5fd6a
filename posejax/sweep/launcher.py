"""What a sweep asks of whoever starts its runs: processes of this machine, or a queue."""

from collections.abc import Sequence
import os
import pathlib
from typing import NamedTuple, Protocol

import posejax
from posejax.runs import checkpoint
from posejax.sweep.grid import Run

_LOG_LINES = 12


class Event(NamedTuple):
  """A run that began or ended.

  Attributes:
    run: which.
    state: what it is now, one of the words of `posejax.sweep.results`.
    message: why it failed; empty otherwise.
  """

  run: Run
  state: str
  message: str = ''


class Launcher(Protocol):
  """Starts runs and tells what became of them.

  Attributes:
    busy: whether anything of it is still to be waited for.
  """

  busy: bool

  def look(self, waiting: Sequence[Run]) -> list[Event]:
    """Start what of `waiting` there is room for; return what changed. Called several times a second.

    Raises:
      PosejaxError: nothing can be started.
    """

  def stop(self) -> str:
    """Be told to stop; return what to say about it. Nothing waits any more from here on."""

  def close(self) -> list[Event]:
    """Let go of everything, at once."""


def workdir_of(folder: str, run: Run) -> str:
  """Return a run's work directory."""
  return os.path.join(folder, run.name)


def log_of(folder: str, run: Run) -> str:
  """Return the file that holds what a run printed."""
  return os.path.join(workdir_of(folder, run), 'log.txt')


def is_finished(folder: str, run: Run) -> bool:
  """Return whether a run's newest checkpoint leaves nothing to do."""
  return checkpoint.finished_step(workdir_of(folder, run), run.config) is not None


def failure(ending: str, folder: str, run: Run) -> str:
  """Return why a run failed: how it ended, and its last words."""
  path = log_of(folder, run)
  lines = []
  if os.path.exists(path):
    with open(path, errors='replace') as file:
      lines = [line.rstrip() for line in file][-_LOG_LINES:]
  return f'{ending}. The end of {path}:\n' + '\n'.join(lines)


def python_path() -> str:
  """Return a PYTHONPATH on which a run finds this very package, installed or not."""
  root = str(pathlib.Path(posejax.__file__).parents[1])
  return os.pathsep.join([root, *filter(None, [os.environ.get('PYTHONPATH')])])
