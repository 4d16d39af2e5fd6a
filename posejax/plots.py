"""Curves as pictures: uint8 RGB arrays `[H, W, 3]`. All of matplotlib is here."""

from collections.abc import Mapping, Sequence
import itertools
from typing import Any

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

Rows = Sequence[Mapping[str, Any]]
"""Rows of `metrics.jsonl`, in order of their steps."""
_TELLABLE = 10  # colours that differ at a glance; from there on a scale is easier to read


def learning_curves(rows: Rows, metric: str) -> np.ndarray:
  """Draw one run: loss and learning rate, and `metric` with its median-pose baseline, over steps."""
  figure = Figure(figsize=(11, 4), layout='constrained')
  left, right = figure.subplots(1, 2)
  steps, losses = _series(rows, 'train', 'loss')
  left.plot(steps, losses, color='tab:blue', label='training loss')
  left.set_yscale(_scale(losses))
  left.set(xlabel='step', ylabel='loss', title='Training')
  rate = left.twinx()
  rate.plot(*_series(rows, 'train', 'learning_rate'), color='tab:gray', alpha=0.6, lw=1)
  rate.set_ylabel('learning rate', color='tab:gray')
  for name, style in ((metric, 'o-'), (f'{metric}/median_pose', '--')):
    steps, values = _series(rows, 'eval', name)
    if np.isfinite(values).any():
      right.plot(steps, values, style, label=name, ms=3)
  right.set(xlabel='step', title='Evaluation')
  right.grid(alpha=0.3)
  if right.lines:
    right.legend(loc='best', fontsize=8)
  return _to_array(figure)


def compared_curves(groups: Mapping[str, Sequence[Rows]], metric: str) -> np.ndarray:
  """Draw many runs: training loss and `metric` over steps, one colour per group.

  Args:
    groups: label -> the rows of its runs; runs of one group share a colour (other seeds, say).
    metric: the evaluation metric to draw; its median-pose baseline, where a run has one, is dashed.
  """
  height = max(4.5, 1.5 + 0.2 * len(groups))
  figure = Figure(figsize=(13, height), layout='constrained')
  left, right = figure.subplots(1, 2)
  for (label, runs), color in zip(groups.items(), _colors(len(groups)), strict=True):
    for rows in runs:
      left.plot(*_series(rows, 'train', 'loss'), color=color, lw=1, alpha=0.8)
      right.plot(*_series(rows, 'eval', metric), 'o-', color=color, ms=3, lw=1.2, alpha=0.8)
    right.plot([], [], color=color, label=label)
  baselines = [
    (steps[-1], values[-1])
    for rows in itertools.chain(*groups.values())
    for steps, values in [_series(rows, 'eval', f'{metric}/median_pose')]
    if np.isfinite(values).any()
  ]
  if baselines:
    right.axhline(baselines[0][1], ls='--', color='tab:gray', lw=1, label='median pose')
  every_loss = [_series(rows, 'train', 'loss')[1] for rows in itertools.chain(*groups.values())]
  left.set(xlabel='step', ylabel='loss', yscale=_scale(*every_loss), title='Training loss')
  right.set(xlabel='step', title=metric)
  for axes in (left, right):
    axes.grid(alpha=0.3)
  if right.lines:
    figure.legend(loc='outside right upper', fontsize=8)
  return _to_array(figure)


def _series(rows: Rows, split: str, name: str) -> tuple[list[int], np.ndarray]:
  """Return steps and values of one metric; NaN where a row lacks it or was not finite."""
  rows = [row for row in rows if row['split'] == split]
  values = [np.nan if row.get(name) is None else row[name] for row in rows]
  return [row['step'] for row in rows], np.array(values, float)


def _scale(*losses: np.ndarray) -> str:
  """Return the axis for losses: logarithmic, unless one is a likelihood's that became negative."""
  return 'linear' if any((values <= 0).any() for values in losses) else 'log'


def _colors(count: int) -> list:
  if count <= _TELLABLE:
    return [colormaps['tab10'](i) for i in range(count)]
  return [colormaps['viridis'](i / (count - 1)) for i in range(count)]


def _to_array(figure: Figure) -> np.ndarray:
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3]
