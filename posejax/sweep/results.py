"""What a sweep's runs came to, as far as their work directories say: a table and a plot.

`sweep.csv` has every metric of the last evaluation, `sweep.md` what a person compares, `sweep.png` all
curves.
"""

from collections.abc import Mapping, Sequence
import contextlib
import csv
import dataclasses
import io
import math
import os
import statistics
from typing import Any

from posejax import draw, files, plots
from posejax.errors import PosejaxError
from posejax.runs import checkpoint
from posejax.runs.control import mode_of
from posejax.runs.report import read_rows, read_speeds
from posejax.sweep.grid import Run

FINISHED, FAILED, STOPPED, RUNNING, WAITING = 'finished', 'failed', 'stopped', 'running', 'waiting'
_SEED = 'seed'


@dataclasses.dataclass(frozen=True)
class Result:
  """One row of the table.

  Attributes:
    run: which.
    state: one of the words above.
    step: up to which its metrics are logged.
    metric: the evaluation metric whose best checkpoint was kept; empty before the first checkpoint.
    best: its best value, None where it was never finite.
    best_step: where that was.
    last: all metrics of the last evaluation.
    images_per_second: median over the rows of training; None before the first.
    minutes: spent on training, evaluating and saving up to `step`, compiling included.
    rows: of `metrics.jsonl`.
  """

  run: Run
  state: str
  step: int
  metric: str
  best: float | None
  best_step: int | None
  last: dict[str, float | None]
  images_per_second: float | None
  minutes: float
  rows: list[dict[str, Any]] = dataclasses.field(repr=False)

  def describe(self) -> str:
    """Return a line about it."""
    text = f'{self.run.name} {self.state} at step {self.step} in {self.minutes:.1f} minutes'
    if self.best is None:
      return text
    return f'{text}: {self.metric} {self.best:.4f} at step {self.best_step}'


def read(run: Run, workdir: str, state: str) -> Result:
  """Return what the run's work directory holds."""
  rows, speeds = read_rows(workdir), read_speeds(workdir)
  evals = [row for row in rows if row['split'] == 'eval']
  best = _best(workdir)
  return Result(
    run=run,
    state=state,
    step=rows[-1]['step'] if rows else 0,
    metric=best['metric'],
    best=best.get('value'),
    best_step=best.get('step'),
    last={k: v for k, v in evals[-1].items() if k not in ('step', 'split')} if evals else {},
    images_per_second=(
      statistics.median(s['images_per_second'] for s in speeds) if speeds else None
    ),
    minutes=sum(s['seconds'] for s in speeds) / 60,
    rows=rows,
  )


def _best(workdir: str) -> dict[str, Any]:
  # There may be none yet. One that cannot be read is its run's to tell of, and no reason to end the
  # others; of a folder shared by hosts, the list may be a minute old.
  with contextlib.suppress(PosejaxError):
    return checkpoint.read_meta(workdir)['control']['best']
  return {'metric': ''}


def write(folder: str, results: Sequence[Result], messages: Mapping[str, str]) -> None:
  """Write `sweep.csv`, `sweep.md` and `sweep.png` into `folder`.

  Args:
    folder: of the sweep.
    results: a row each, in the grid's order.
    messages: run's name -> why it failed.
  """
  metric = next((r.metric for r in results if r.metric), '')
  files.replace(os.path.join(folder, 'sweep.csv'), to_csv(results).encode())
  files.replace(os.path.join(folder, 'sweep.md'), to_markdown(results, metric, messages).encode())
  groups = {label: [r.rows for r in members] for label, members in by_seed(results).items()}
  draw.save(os.path.join(folder, 'sweep.png'), plots.compared_curves(groups, metric))


def to_csv(results: Sequence[Result]) -> str:
  """Return all results with every metric of the last evaluation."""
  settings = list(results[0].run.settings)
  names = list(dict.fromkeys(name for r in results for name in r.last))
  file = io.StringIO()
  writer = csv.writer(file, lineterminator='\n')
  fixed = ['state', 'step', 'best_metric', 'best', 'best_step', 'images_per_second', 'minutes']
  writer.writerow(['run', *settings, *fixed, *(f'last/{name}' for name in names)])
  for r in results:
    values = [r.state, r.step, r.metric, r.best, r.best_step]
    values += [_round(r.images_per_second, 1), _round(r.minutes, 2)]
    values += [r.last.get(name) for name in names]
    writer.writerow([r.run.name, *r.run.settings.values(), *values])
  return file.getvalue()


def to_markdown(results: Sequence[Result], metric: str, messages: Mapping[str, str]) -> str:
  """Return the table that a person compares: the best run in bold, and means over seeds."""
  settings = list(results[0].run.settings)
  winner = _winner(results)
  header = [*settings, 'state', 'step', f'best {metric}', 'at step', 'last', 'images/s', 'minutes']
  lines = ['# Sweep', '', *_table_head(header)]
  for r in results:
    best = _number(r.best)
    cells = [
      *map(str, r.run.settings.values()),
      r.state,
      r.step,
      f'**{best}**' if r is winner else best,
      '-' if r.best_step is None else r.best_step,
      _number(r.last.get(metric)),
      _number(r.images_per_second, 0),
      f'{r.minutes:.1f}',
    ]
    lines.append(_row(cells))
  baselines = [r.last.get(f'{metric}/median_pose') for r in results]
  baseline = next((b for b in baselines if b is not None), None)
  if baseline is not None:
    lines += ['', f'Median pose of the training set: {baseline:.4f}.']
  if _SEED in settings and len(settings) > 1:
    lines += ['', *_over_seeds(results, metric)]
  for name, message in messages.items():
    lines += ['', f'**{name} failed:**', '', '```', message, '```']
  return '\n'.join([*lines, '', '![All curves](sweep.png)', ''])


def by_seed(results: Sequence[Result]) -> dict[str, list[Result]]:
  """Group runs that differ in the seed alone, by the rest of their settings."""
  groups: dict[str, list[Result]] = {}
  for r in results:
    rest = [part for part in r.run.name.split(',') if not part.startswith(f'{_SEED}=')]
    groups.setdefault(','.join(rest) or 'all seeds', []).append(r)
  return groups


def _over_seeds(results: Sequence[Result], metric: str) -> list[str]:
  lines = _table_head(['settings', 'seeds', f'mean of best {metric}', 'standard deviation'])
  for label, members in by_seed(results).items():
    values = [r.best for r in members if r.best is not None and r.state == FINISHED]
    mean = statistics.mean(values) if values else None
    spread = statistics.stdev(values) if len(values) > 1 else None
    lines.append(_row([label, len(values), _number(mean), _number(spread)]))
  return ['Over seeds, finished runs:', '', *lines]


def _winner(results: Sequence[Result]) -> Result | None:
  scored = [r for r in results if r.best is not None]
  if not scored:
    return None
  highest = (scored[0].run.config.best_mode or mode_of(scored[0].metric)) == 'max'
  return (max if highest else min)(scored, key=lambda r: r.best)


def _table_head(cells: Sequence[str]) -> list[str]:
  return [_row(cells), '|' + '---|' * len(cells)]


def _row(cells: Sequence[Any]) -> str:
  return '| ' + ' | '.join(str(cell).replace('|', r'\|') for cell in cells) + ' |'


def _number(value: float | None, digits: int = 4) -> str:
  return '-' if value is None or not math.isfinite(value) else f'{value:.{digits}f}'


def _round(value: float | None, digits: int) -> float | None:
  return None if value is None else round(value, digits)
