"""From a config to what runs: sources, model, codec and task. The one place that reads sections."""

import dataclasses

import flax.linen as nn

from posejax import tasks
from posejax.config import Config
from posejax.data import sources
from posejax.errors import PosejaxError, nearest
from posejax.experiment import classification, pose
from posejax.experiment.pose import pose_task
from posejax.skeletons import Skeleton

__all__ = ['Experiment', 'from_config', 'pose_task']


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What a config stands for.

  Attributes:
    config: as it was given.
    skeleton: of the data and of the model's output; None where the task has nobody in it.
    model: the net, to count and tabulate its parameters.
    task: what to learn, as pure functions.
    train_source, eval_source: random access to examples.
  """

  config: Config
  skeleton: Skeleton | None
  model: nn.Module
  task: tasks.Task
  train_source: sources.Source
  eval_source: sources.Source


def from_config(config: Config) -> Experiment:
  """Build everything a run needs.

  Raises:
    PosejaxError: a name or key is unknown, or data are missing.
  """
  if config.task not in _TASKS:
    raise PosejaxError(f'config.task={config.task!r} is not a task.' + nearest(config.task, _TASKS))
  return _TASKS[config.task](config)


def _pose(config: Config) -> Experiment:
  return Experiment(config, *pose.build(config))


def _classification(config: Config) -> Experiment:
  return Experiment(config, None, *classification.build(config))


_TASKS = {'pose': _pose, 'classification': _classification}
