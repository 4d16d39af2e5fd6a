"""What a person sees of a sweep: one bar over the steps of all runs, and the time left."""

from collections.abc import Callable, Mapping, Sequence
import json
import os
import sys
import time

from tqdm import tqdm

from posejax.sweep.grid import Run
from posejax.sweep.results import FINISHED, RUNNING

_LOOK_SECONDS = 1.0
_SAY_SECONDS = 30.0
_TAIL_BYTES = 16_384  # more than any row


class SweepProgress:
  """A bar on a terminal, a line now and then elsewhere.

  Args:
    runs: all of them.
    workdir: run -> its folder, whose last row tells how far it is.
  """

  def __init__(self, runs: Sequence[Run], workdir: Callable[[Run], str]):
    self._runs = runs
    self._workdir = workdir
    self._began = self._looked = self._said = time.monotonic()
    self._steps = {run.name: last_step(workdir(run)) for run in runs}
    self._before = sum(self._steps.values())
    self._total = sum(run.config.num_steps for run in runs)
    self._bar = tqdm(
      total=self._total,
      initial=self._before,
      dynamic_ncols=True,
      bar_format='{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps{postfix}',
      disable=not sys.stderr.isatty(),
    )

  def say(self, text: str) -> None:
    """Print a message with the time since the sweep's start."""
    tqdm.write(f'[{_clock(time.monotonic() - self._began)}] {text}', file=sys.stdout)
    sys.stdout.flush()

  def update(self, states: Mapping[str, str]) -> None:
    """Look how far the runs are, every second."""
    now = time.monotonic()
    if now - self._looked < _LOOK_SECONDS:
      return
    self._looked = now
    for run in self._runs:
      if states[run.name] == RUNNING:
        self._steps[run.name] = last_step(self._workdir(run))
    done = sum(
      # A run may end before its last step.
      run.config.num_steps if states[run.name] == FINISHED else self._steps[run.name]
      for run in self._runs
    )
    text = f'{sum(s == FINISHED for s in states.values())} of {len(states)} runs finished, '
    text += time_left(self._total - done, done - self._before, now - self._began)
    self._bar.n = done
    self._bar.set_postfix_str(text)
    if self._bar.disable and now - self._said > _SAY_SECONDS:
      self._said = now
      self.say(f'{done}/{self._total} steps, {text}')

  def close(self) -> None:
    """Leave the bar as it stands."""
    self._bar.close()


def time_left(steps: int, done: int, seconds: float) -> str:
  """Return how long `steps` will take when `done` took `seconds`."""
  return f'{_clock(steps * seconds / done)} left' if done > 0 else 'time left not known yet'


def last_step(workdir: str) -> int:
  """Return the step of the last row of `metrics.jsonl`, reading its end only; 0 without rows."""
  try:
    with open(os.path.join(workdir, 'metrics.jsonl'), 'rb') as file:
      file.seek(max(0, os.path.getsize(file.name) - _TAIL_BYTES))
      lines = file.read().split(b'\n')
  except FileNotFoundError:
    return 0
  # What follows the last newline is not yet a row; what precedes the first may be a row's end.
  return json.loads(lines[-2])['step'] if len(lines) > 1 else 0


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(int(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes}:{seconds:02d}'
