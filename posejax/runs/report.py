"""What a run leaves to look at: metrics.jsonl, speed.jsonl, TensorBoard events, curves, pictures.

Resumed at step S, a report first drops every row after S, and of S what the checkpoint says was not
logged yet, so that no step is logged twice however often the run was killed.

Nothing can be appended to what is in a bucket: there, rows and events are written to a folder of this
machine, and put in the bucket before each checkpoint and at the end.
"""

from collections.abc import Callable, Mapping, Set
import json
import math
import os
import time

import jax
import numpy as np

from posejax import buckets, draw, files, plots
from posejax.errors import PosejaxError


def read_rows(workdir: str) -> list[dict]:
  """Return the rows of `metrics.jsonl`; a last line cut off by a kill is left out.

  Raises:
    PosejaxError: another line is no row.
  """
  return _read_lines(os.path.join(workdir, 'metrics.jsonl'))


def read_speeds(workdir: str) -> list[dict]:
  """Return the rows of `speed.jsonl`: `step`, `images_per_second`, and `seconds` since the last row.

  Images a second count steps alone; the seconds also what lay between: starting, evaluating, saving.
  The first row after each start has `start`, the seconds of its parts.

  Raises:
    PosejaxError: a line that was not cut off by a kill is no row.
  """
  return _read_lines(os.path.join(workdir, 'speed.jsonl'))


def _read_lines(path: str) -> list[dict]:
  try:
    lines = files.read(path).decode(errors='replace').split('\n')
  except FileNotFoundError:
    return []
  # Every complete row ends in a newline, so what follows the last one is not a row.
  return [_row(path, number, line) for number, line in enumerate(lines[:-1], 1)]


def _row(path: str, number: int, line: str) -> dict:
  try:
    row = json.loads(line)
  except json.JSONDecodeError:
    row = None
  if not isinstance(row, dict) or not isinstance(row.get('step'), int):
    raise PosejaxError(
      f'{path}, line {number} is damaged: {line[:40]!r} is not a JSON object with a step. Delete this '
      'line; nothing else depends on it.'
    )
  return row


class _NoTensorBoard:
  """Stands in where TensorFlow or clu is not installed, as on a machine that only trains."""

  def ignore(self, *args, **kwargs) -> None:
    """Write nothing."""

  write_scalars = write_images = flush = close = ignore


def _tensorboard(folder: str, is_logged: Callable[[int, str], bool]):
  try:
    from posejax.runs import tensorboard  # TensorFlow: seconds to import, and not always there
  except ImportError as error:
    print(f'TensorBoard events are not written: {error}. Everything else is.')
    return _NoTensorBoard()
  return tensorboard.open_writer(folder, is_logged)


def parameter_table(params) -> str:
  """Return the table of all parameters with shapes and counts."""
  leaves = jax.tree_util.tree_leaves_with_path(params)
  rows = [('/'.join(k.key for k in path), str(p.shape), f'{p.size:,}') for path, p in leaves]
  widths = [max(len(row[c]) for row in rows) for c in range(3)]
  lines = [f'  {a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}' for a, b, c in rows]
  return '\n'.join([*lines, f'  total {sum(p.size for _, p in leaves):,}'])


class Report:
  """Writes a run's metrics and pictures; on processes other than the first it does nothing.

  Args:
    workdir: where to write.
    resume_step: rows and events after this step are dropped.
    active: whether this process writes.
    unlogged: which of 'train' and 'eval' are dropped at `resume_step` too; speeds go with the former,
      pictures with the latter.
  """

  def __init__(
    self, workdir: str, resume_step: int, active: bool, unlogged: Set[str] = frozenset()
  ):
    self._workdir = workdir
    self._active = active
    if not active:
      return
    self._mirror = None
    folder = workdir
    if buckets.is_in_one(workdir):
      self._mirror = buckets.Mirror(workdir)
      self._mirror.fetch('metrics.jsonl', 'speed.jsonl', 'tensorboard/')
      folder = self._mirror.folder
    self._rows = os.path.join(folder, 'metrics.jsonl')
    self._speeds = os.path.join(folder, 'speed.jsonl')
    self._mark = time.monotonic()
    self._start: dict[str, float] = {}

    def is_logged(step: int, name: str) -> bool:
      kind = name.partition('/')[0]
      split = 'train' if kind in ('train', 'speed') else 'eval'
      return step < resume_step or (step == resume_step and split not in unlogged)

    for path in (self._rows, self._speeds):
      rows = [row for row in _read_lines(path) if is_logged(row['step'], row.get('split', 'speed'))]
      files.replace(path, ''.join(json.dumps(row) + '\n' for row in rows).encode())
    self._tensorboard = _tensorboard(os.path.join(folder, 'tensorboard'), is_logged)

  def scalars(self, step: int, split: str, values: dict[str, float]) -> None:
    """Log one row: to metrics.jsonl and TensorBoard. Values that are not finite become null."""
    if not self._active:
      return
    row = {'step': step, 'split': split}
    row |= {k: float(v) if math.isfinite(v) else None for k, v in values.items()}
    _append(self._rows, row)
    self._tensorboard.write_scalars(step, {f'{split}/{k}': float(v) for k, v in values.items()})

  def speed(self, step: int, images_per_second: float) -> None:
    """Log what differs from run to run: to files of its own, so that metrics.jsonl is reproducible."""
    if self._active:
      now = time.monotonic()
      row = {'step': step, 'images_per_second': images_per_second, 'seconds': now - self._mark}
      if self._start:
        row['start'], self._start = self._start, {}
      self._mark = now
      _append(self._speeds, row)
      self._tensorboard.write_scalars(step, {'speed/images_per_second': images_per_second})

  def start_took(self, seconds: Mapping[str, float]) -> None:
    """Take how long the parts of this start took, for the next row of speeds."""
    if self._active:
      self._start = dict(seconds)

  def picture(self, step: int, name: str, image: np.ndarray) -> None:
    """Write `<workdir>/<name>.png` and the same to TensorBoard."""
    if not self._active:
      return
    draw.save(os.path.join(self._workdir, f'{name}.png'), image)
    self._tensorboard.write_images(step, {name: image[None]})

  def curves(self, metric: str) -> None:
    """Draw `learning_curves.png` from all rows: the loss, and the evaluation metric."""
    if self._active:
      curves = plots.learning_curves(_read_lines(self._rows), metric)
      draw.save(os.path.join(self._workdir, 'learning_curves.png'), curves)

  def flush(self) -> None:
    """Bring everything to disk; called before a checkpoint that says it was logged."""
    if self._active:
      self._tensorboard.flush()
      for path in (self._rows, self._speeds):
        with open(path, 'ab') as file:
          os.fsync(file.fileno())
      if self._mirror:
        self._mirror.push()

  def close(self) -> None:
    """Close the files."""
    if self._active:
      self._tensorboard.close()
      if self._mirror:
        self._mirror.close()


def _append(path: str, row: dict) -> None:
  with open(path, 'a') as file:
    file.write(json.dumps(row) + '\n')
