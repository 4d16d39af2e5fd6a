"""From a config to what runs: sources, model, task and evaluations. The one reader of sections."""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import flax.linen as nn

from posejax.config import Config
from posejax.data import sources
from posejax.errors import PosejaxError, nearest
from posejax.experiment import classification, detection, pose
from posejax.experiment.kind import Kind
from posejax.labels import LabelSpace
from posejax.tasks import Evaluator, Task
from posejax.tasks.net import OutputsFn

__all__ = ['TASKS', 'Evaluation', 'Experiment', 'Kind', 'build', 'from_config']

TASKS: dict[str, Kind] = {
  'pose': pose.KIND,
  'classification': classification.KIND,
  'detection': detection.KIND,
}
"""Name, as in `config.task.name` -> how such an experiment is built."""


class Evaluation(NamedTuple):
  """One set that a run is measured on, and how."""

  source: sources.Source
  evaluator: Evaluator


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What a config stands for.

  Attributes:
    config: as it was given.
    model: the net, to count and tabulate its parameters.
    task: what to learn, as pure functions.
    train_source: random access to examples.
    evaluations: name -> set and evaluator. The first, 'eval', tells which checkpoint is the best.
  """

  config: Config
  model: nn.Module
  task: Task
  train_source: sources.Source
  evaluations: Mapping[str, Evaluation]

  @property
  def main(self) -> Evaluation:
    """The evaluation whose main metric tells which checkpoint is the best."""
    return next(iter(self.evaluations.values()))


def from_config(config: Config) -> Experiment:
  """Build everything a run needs.

  Raises:
    PosejaxError: a name or key is unknown, or data are missing or do not fit the task.
  """
  kind = _kind(config)
  train_source = kind.source(config.data, 'train', config.seed, cached=config.data.cache)
  task_labels = kind.labels(train_source)
  model, task = kind.build(config, task_labels, None)
  evaluate_on, evaluations = kind.evaluations(config, task, train_source), {}
  for name, data in config.evaluation_data().items():
    source = kind.source(data, 'eval', config.seed, cached=config.data.cache)
    evaluations[name] = Evaluation(*evaluate_on(source, config.detections_on(name)))
  return Experiment(config, model, task, train_source, evaluations)


def build(
  config: Config, labels: LabelSpace, outputs: OutputsFn | None = None
) -> tuple[nn.Module, Task]:
  """Return the net and the task of a config, without its data.

  Args:
    config: of any task.
    labels: what the net's outputs stand for.
    outputs: tells what the net outputs, where it is only to be used: it is then built sooner.

  Raises:
    PosejaxError: a name or key is unknown, or what the net outputs does not fit codec or loss.
  """
  return _kind(config).build(config, labels, outputs)


def _kind(config: Config) -> Kind:
  name = config.task.get('name')
  if name not in TASKS:
    raise PosejaxError(f'config.task.name={name!r} is not a task.' + nearest(name, TASKS))
  return TASKS[name]
