"""From a config to what runs: sources, model, codec and task. The one place that reads sections."""

import dataclasses
from functools import partial

import flax.linen as nn

from posejax import (
  experiment_classification,
  experiment_metrics,
  experiment_outputs,
  models,
  tasks,
)
from posejax.config import Config
from posejax.data import augment, cache, crops, sources
from posejax.errors import PosejaxError, nearest
from posejax.skeletons import Skeleton
from posejax.tasks import pose, pose_metrics


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
  train_source = sources.create(config.data, 'train', config.seed)
  eval_source = sources.create(config.data, 'eval', config.seed)
  if train_source.skeleton is None:
    raise PosejaxError(
      f"config.data.name={train_source.name!r} has no keypoints, which task='pose' needs; for labelled "
      "pictures set config.task='classification'."
    )
  eval_source = experiment_metrics.evaluated_source(config, eval_source)
  model, task = pose_task(config, train_source.skeleton, train_source, eval_source)
  if config.data.cache:
    train_source, eval_source = cache.Cached(train_source), cache.Cached(eval_source)
  return Experiment(config, train_source.skeleton, model, task, train_source, eval_source)


def pose_task(
  config: Config,
  skeleton: Skeleton,
  train_source: sources.Source | None = None,
  eval_source: sources.Source | None = None,
) -> tuple[nn.Module, tasks.Task]:
  """Return the net and the task of a pose config.

  Args:
    config: `config.task` is 'pose'.
    skeleton: what the net's outputs stand for.
    train_source: whose median pose is measured beside the net.
    eval_source: what is evaluated on; without it the task measures PCK only.
  """
  model = models.create(
    **{'num_keypoints': skeleton.num_keypoints, 'dtype': config.dtype, **config.model_options}
  )
  crop_size = config.data.crop_size
  codec, loss = experiment_outputs.codec_and_loss(config, model, skeleton.num_keypoints)
  crop = partial(
    crops.CropPerson, skeleton, crop_size, codec.convention, box_padding=config.data.box_padding
  )
  prepare_eval = crop(augmentation=augment.create('none'))
  shift = codec.shift_flip if config.evaluate.shift is None else config.evaluate.shift
  metrics = pose_metrics.PoseMetrics(skeleton, crop_size)
  if eval_source is not None:
    metrics = experiment_metrics.create(
      config, skeleton, shift, prepare_eval, train_source, eval_source
    )
  task = pose.create(
    model=model,
    skeleton=skeleton,
    codec=codec,
    loss=loss,
    normalize_fn=partial(pose.normalize, **dataclasses.asdict(config.inputs)),
    flip=config.evaluate.flip,
    shift=shift,
    metrics=metrics,
    prepare_train=crop(augmentation=augment.create(**config.data.augment)),
    prepare_eval=prepare_eval,
  )
  return model, task


def _classification(config: Config) -> Experiment:
  return Experiment(config, None, *experiment_classification.build(config))


_TASKS = {'pose': _pose, 'classification': _classification}
