"""What watches the evaluation metrics: the best so far, the plateau, early stopping. Plain JSON state."""

import dataclasses
import math

from posejax.config import Config

_ERRORS = ('MAE', 'loss', 'distance')


@dataclasses.dataclass
class Watch:
  """The best value of a metric and how many evaluations ago it came.

  A value that is not finite never counts as an improvement.
  """

  metric: str
  mode: str
  value: float | None = None
  step: int | None = None
  since: int = 0

  def update(self, step: int, metrics: dict[str, float]) -> bool:
    """Take an evaluation's metrics; return whether this is the best so far."""
    value = metrics[self.metric]
    better = math.isfinite(value) and (
      self.value is None or (value > self.value if self.mode == 'max' else value < self.value)
    )
    if better:
      self.value, self.step, self.since = value, step, 0
    else:
      self.since += 1
    return better


@dataclasses.dataclass
class Control:
  """All decisions that evaluations lead to.

  Attributes:
    best: whose checkpoint is kept.
    plateau: when to lower the learning rate; its scale is in the training state.
    early: when to stop.
  """

  best: Watch
  plateau: Watch
  early: Watch

  @classmethod
  def create(cls, config: Config, main_metric: str, main_mode: str) -> 'Control':
    """Return the state before the first evaluation.

    Args:
      config: what to watch, and how patiently.
      main_metric: the evaluator's, watched where `config.best_metric` is empty.
      main_mode: 'max' where a higher `main_metric` is better, else 'min'.
    """
    best = config.best_metric or main_metric

    def watch(name: str) -> Watch:
      name = name or best
      if name == best and config.best_mode:
        return Watch(name, config.best_mode)
      return Watch(name, main_mode if name == main_metric else mode_of(name))

    return cls(
      watch(best), watch(config.optimizer.plateau_metric), watch(config.early_stopping.metric)
    )

  @classmethod
  def from_json(cls, values: dict) -> 'Control':
    """Return what `dataclasses.asdict` saved."""
    return cls(**{name: Watch(**watch) for name, watch in values.items()})

  def update(self, step: int, metrics: dict[str, float]) -> bool:
    """Take an evaluation's metrics; return whether it is the best so far."""
    self.plateau.update(step, metrics)
    self.early.update(step, metrics)
    return self.best.update(step, metrics)

  def lowered_scale(self, scale: float, config: Config) -> float:
    """Return the learning-rate scale after this evaluation, lowered where a plateau was reached."""
    optimizer = config.optimizer
    if optimizer.schedule != 'plateau' or self.plateau.since < optimizer.plateau_patience:
      return scale
    self.plateau.since = 0
    return max(scale * optimizer.step_factor, optimizer.plateau_min_scale)

  def should_stop(self, config: Config) -> bool:
    """Return whether early stopping's patience has run out."""
    patience = config.early_stopping.patience
    return patience > 0 and self.early.since >= patience


def mode_of(metric: str) -> str:
  """Return 'min' for an error or a loss, of whichever set, and 'max' for any other metric."""
  name = metric if metric.startswith(_ERRORS) else metric.partition('/')[2]
  return 'min' if name.startswith(_ERRORS) else 'max'
