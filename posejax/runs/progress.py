"""What a person sees of a run while it works: messages, how long its start took, and a bar."""

import sys
import time

from tqdm import tqdm


class Phases:
  """How long the parts of a start took, one after the other.

  Attributes:
    began: `time.monotonic()` of the command's start.
    seconds: of each part that has ended.
  """

  def __init__(self, began: float | None):
    self.began = time.monotonic() if began is None else began
    self.seconds: dict[str, float] = {}
    self._mark = self.began

  def end(self, name: str) -> None:
    """End a part, which began where the one before ended."""
    now = time.monotonic()
    self.seconds[name] = round(now - self._mark, 3)
    self._mark = now

  def describe(self) -> str:
    """Return all of it in a line."""
    parts = ', '.join(f'{name} {seconds:.1f}' for name, seconds in self.seconds.items())
    return f'The first step ended {self._mark - self.began:.1f} s after the start: {parts}.'


class Progress:
  """A bar on a terminal, a line now and then elsewhere; silent where not `active`.

  Args:
    start: steps done before.
    num_steps: steps in all.
    batch_size: images per step, for images/s.
    began: `time.monotonic()` of the command's start.
    active: whether this process speaks.
  """

  def __init__(self, start: int, num_steps: int, batch_size: int, began: float, active: bool):
    self._num_steps = num_steps
    self._batch_size = batch_size
    self._began = began
    self._active = active
    self._bar = tqdm(
      total=num_steps,
      initial=start,
      unit='step',
      smoothing=0.1,
      dynamic_ncols=True,
      disable=not active or not sys.stderr.isatty(),
    )
    self._mark = (time.monotonic(), start)
    self._paused = 0.0

  def say(self, text: str) -> None:
    """Print a message with the time since the command's start."""
    if self._active:
      minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
      tqdm.write(f'[{minutes}:{seconds:02d}] {text}', file=sys.stdout)
      sys.stdout.flush()

  def step(self) -> None:
    """Count one step as dispatched."""
    self._bar.update()

  def pause(self, seconds: float) -> None:
    """Leave out time that was spent on something else than steps from images/s."""
    self._paused += seconds

  def row(self, step: int, loss: float) -> float | None:
    """Show the loss and return the images/s since the last row, None where no step was done since.

    The latter is a run stopped between two rows that goes on with a row due where it stopped.
    """
    now, (then, done) = time.monotonic(), self._mark
    if step == done:
      self.say(f'step {step}/{self._num_steps}: loss {loss:.4g}')
      return None
    speed = (step - done) * self._batch_size / max(now - then - self._paused, 1e-9)
    self._mark, self._paused = (now, step), 0.0
    self._bar.set_postfix_str(f'loss {loss:.3g}, {speed:.0f} images/s')
    if self._bar.disable:
      left = (self._num_steps - step) * self._batch_size / speed
      minutes, seconds = divmod(int(left), 60)
      self.say(
        f'step {step}/{self._num_steps}: loss {loss:.4g}, {speed:.0f} images/s, '
        f'{minutes}:{seconds:02d} left'
      )
    return speed

  def close(self) -> None:
    """Leave the bar as it stands."""
    self._bar.close()
