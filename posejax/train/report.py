"""What a run leaves to look at: metrics.jsonl, TensorBoard events, curves, pictures.

All of clu is here.

Resumed at step S, a report first drops every row after S, so that no step is logged twice however
often the run was killed.
"""

from collections.abc import Iterator
import glob
import json
import math
import os
import struct

# TensorFlow's start-up notes are nothing a user can act on; set before its first import.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

from clu import metric_writers, parameter_overview
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np
import tensorflow as tf

from posejax import draw

# TensorFlow would take the accelerators' memory at its first operation; here it only writes files.
tf.config.set_visible_devices([], 'GPU')


def parameter_table(params) -> str:
  """Return the table of all parameters with shapes and counts."""
  return parameter_overview.get_parameter_overview(params, include_stats=False)


def read_rows(workdir: str) -> list[dict]:
  """Return the rows of `metrics.jsonl`; a last line cut off by a kill is left out."""
  path = os.path.join(workdir, 'metrics.jsonl')
  if not os.path.exists(path):
    return []
  with open(path) as file:
    lines = file.read().split('\n')
  # Every complete row ends in a newline, so what follows the last one is not a row.
  return [json.loads(line) for line in lines[:-1]]


class Report:
  """Writes a run's metrics and pictures; on processes other than the first it does nothing.

  Args:
    workdir: where to write.
    resume_step: rows and events after this step are dropped; 0 starts afresh.
    active: whether this process writes.
  """

  def __init__(self, workdir: str, resume_step: int, active: bool):
    self._workdir = workdir
    self._active = active
    if not active:
      return
    self._rows = os.path.join(workdir, 'metrics.jsonl')
    rows = [row for row in read_rows(workdir) if row['step'] <= resume_step]
    _replace(self._rows, ''.join(json.dumps(row) + '\n' for row in rows).encode())
    events = os.path.join(workdir, 'tensorboard')
    for path in glob.glob(os.path.join(events, 'events.out.tfevents.*')):
      _drop_events_after(path, resume_step)
    self._tensorboard = metric_writers.SummaryWriter(events)

  def scalars(self, step: int, split: str, values: dict[str, float]) -> None:
    """Log one row: to metrics.jsonl and TensorBoard. Values that are not finite become null."""
    if not self._active:
      return
    row = {'step': step, 'split': split}
    row |= {k: float(v) if math.isfinite(v) else None for k, v in values.items()}
    with open(self._rows, 'a') as file:
      file.write(json.dumps(row) + '\n')
    self._tensorboard.write_scalars(step, {f'{split}/{k}': float(v) for k, v in values.items()})

  def speed(self, step: int, images_per_second: float) -> None:
    """Log what differs from run to run: to TensorBoard only, so that metrics.jsonl is reproducible."""
    if self._active:
      self._tensorboard.write_scalars(step, {'speed/images_per_second': images_per_second})

  def picture(self, step: int, name: str, image: np.ndarray) -> None:
    """Write `<workdir>/<name>.png` and the same to TensorBoard."""
    if not self._active:
      return
    draw.save(os.path.join(self._workdir, f'{name}.png'), image)
    self._tensorboard.write_images(step, {name: image[None]})

  def curves(self, metric: str) -> None:
    """Draw `learning_curves.png` from all rows: the loss, and the evaluation metric."""
    if self._active:
      draw_curves(self._workdir, metric)

  def flush(self) -> None:
    """Bring everything to disk; called before a checkpoint that says it was logged."""
    if self._active:
      self._tensorboard.flush()

  def close(self) -> None:
    """Close the files."""
    if self._active:
      self._tensorboard.close()


def draw_curves(workdir: str, metric: str) -> str:
  """Draw loss, learning rate and `metric` over steps; return the picture's path."""
  rows = read_rows(workdir)
  train = [r for r in rows if r['split'] == 'train']
  evals = [r for r in rows if r['split'] == 'eval']
  figure = Figure(figsize=(11, 4), layout='constrained')
  canvas = FigureCanvasAgg(figure)
  left, right = figure.subplots(1, 2)
  steps = [r['step'] for r in train]
  left.semilogy(steps, [r['loss'] for r in train], color='tab:blue', label='training loss')
  left.set(xlabel='step', ylabel='loss', title='Training')
  rate = left.twinx()
  rate.plot(steps, [r['learning_rate'] for r in train], color='tab:gray', alpha=0.6, lw=1)
  rate.set_ylabel('learning rate', color='tab:gray')
  steps = [r['step'] for r in evals]
  for name, style in ((metric, 'o-'), (f'{metric}/median_pose', '--')):
    values = [np.nan if r.get(name) is None else r[name] for r in evals]
    if np.isfinite(values).any():
      right.plot(steps, values, style, label=name, ms=3)
  right.set(xlabel='step', title='Evaluation')
  right.grid(alpha=0.3)
  if evals:
    right.legend(loc='best', fontsize=8)
  canvas.draw()
  path = os.path.join(workdir, 'learning_curves.png')
  draw.save(path, np.asarray(canvas.buffer_rgba())[..., :3])
  return path


def _replace(path: str, content: bytes) -> None:
  """Write a file so that a kill leaves either the old one or the new one."""
  with open(path + '.tmp', 'wb') as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  os.replace(path + '.tmp', path)


def _records(path: str) -> Iterator[tuple[bytes, bytes]]:
  """Yield `(framed bytes, payload)` of a TFRecord file up to where a kill cut it off.

  A record is: length (uint64), its checksum (4 bytes), the payload, the payload's checksum (4).
  Source: tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
  """
  with open(path, 'rb') as file:
    content = file.read()
  at = 0
  while at + 12 <= len(content):
    (length,) = struct.unpack_from('<Q', content, at)
    end = at + 12 + length + 4
    if end > len(content):
      return
    yield content[at:end], content[at + 12 : end - 4]
    at = end


def _drop_events_after(path: str, step: int) -> None:
  kept, dropped = [], 0
  for framed, payload in _records(path):
    event = tf.compat.v1.Event.FromString(payload)
    if event.step <= step:
      kept.append(framed)
    else:
      dropped += 1
  whole = b''.join(kept)
  if dropped or len(whole) != os.path.getsize(path):
    _replace(path, whole)
