"""What a checkpoint holds beside the training state, as plain JSON."""

import dataclasses
from typing import Any

from posejax.config import Config
from posejax.labels import LabelSpace
from posejax.runs.control import Control


@dataclasses.dataclass
class Window:
  """Training metrics since the last row, averaged when it is written; part of the checkpoint."""

  count: int = 0
  sums: dict[str, float] = dataclasses.field(default_factory=dict)

  def add(self, scalars: dict[str, Any]) -> None:
    """Take one step's metrics."""
    self.count += 1
    for name, value in scalars.items():
      self.sums[name] = self.sums.get(name, 0.0) + float(value)

  def take(self) -> dict[str, float]:
    """Return the means and start anew."""
    means = {name: value / self.count for name, value in self.sums.items()}
    self.count, self.sums = 0, {}
    return means


@dataclasses.dataclass
class Course:
  """How a run has gone so far, beside its training state.

  Attributes:
    control: what evaluations decide.
    window: what is not logged yet.
    evaluated_step: of the last evaluation; 0 before the first.
    metrics: of the last evaluation.
  """

  control: Control
  window: Window = dataclasses.field(default_factory=Window)
  evaluated_step: int = 0
  metrics: dict[str, float] = dataclasses.field(default_factory=dict)

  @classmethod
  def from_meta(cls, meta: dict[str, Any]) -> 'Course':
    """Return what `to_meta` saved."""
    return cls(
      Control.from_json(meta['control']),
      Window(**meta['window']),
      meta['evaluated_step'],
      meta['metrics'],
    )

  def to_meta(
    self, config: Config, labels: LabelSpace, fingerprints: dict[str, str]
  ) -> dict[str, Any]:
    """Return what a checkpoint holds beside the training state, ready for JSON.

    Args:
      config: the run's.
      labels: what the net's outputs stand for.
      fingerprints: of the data by split, which may not change when the run goes on.
    """
    return {
      'config': config.to_dict(),
      'labels': labels.to_json(),
      **dataclasses.asdict(self),
      'data': fingerprints,
    }


def unlogged(meta: dict[str, Any] | None, step: int) -> frozenset[str]:
  """Return which of 'train' and 'eval' had no row of a checkpoint's own step when it was written.

  Args:
    meta: of the checkpoint; None where there is none.
    step: of the checkpoint; nothing is logged before the first.
  """
  if meta is None or step == 0:
    return frozenset(('train', 'eval'))
  waiting = {'train': meta['window']['count'] > 0, 'eval': meta['evaluated_step'] != step}
  return frozenset(split for split, is_waiting in waiting.items() if is_waiting)
