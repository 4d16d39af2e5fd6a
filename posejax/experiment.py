"""From a config to what runs: sources, model, codec and task. The one place that reads sections."""

import dataclasses
from functools import partial
import inspect
from typing import Any

import flax.linen as nn
import numpy as np

from posejax import codecs, models, tasks
from posejax.config import Config, Options
from posejax.data import augment, cache, crops, sources
from posejax.errors import PosejaxError, nearest
from posejax.metrics import median
from posejax.skeletons import Skeleton
from posejax.tasks import pose, pose_metrics

_MEDIAN_EXAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What a config stands for.

  Attributes:
    config: as it was given.
    skeleton: of the data and of the model's output.
    model: the net, to count and tabulate its parameters.
    task: what to learn, as pure functions.
    train_source, eval_source: random access to examples.
  """

  config: Config
  skeleton: Skeleton
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
  if config.data.cache:
    train_source, eval_source = cache.Cached(train_source), cache.Cached(eval_source)
  model, task = pose_task(config, train_source.skeleton, train_source)
  return Experiment(config, train_source.skeleton, model, task, train_source, eval_source)


def pose_task(
  config: Config, skeleton: Skeleton, train_source: sources.Source | None = None
) -> tuple[nn.Module, tasks.Task]:
  """Return the net and the task of a pose config.

  Args:
    config: `config.task` is 'pose'.
    skeleton: what the net's outputs stand for.
    train_source: whose median pose is measured beside the net; none where None.
  """
  model = models.create(
    **{'num_keypoints': skeleton.num_keypoints, 'dtype': config.dtype, **config.model}
  )
  crop_size = config.data.crop_size
  codec = codecs.create(
    **{
      'name': 'msra',
      'crop_size': crop_size,
      'heatmap_size': pose.heatmap_size(model, crop_size),
      **config.codec,
    }
  )
  crop = partial(
    crops.CropPerson, skeleton, crop_size, codec.convention, box_padding=config.data.box_padding
  )
  prepare_eval = crop(augmentation=augment.create('none'))
  median_pose = None if train_source is None else _median_pose(train_source, prepare_eval)
  task = pose.create(
    model=model,
    skeleton=skeleton,
    codec=codec,
    loss_fn=_with_options('loss', {'name': 'mse', **config.loss}, pose.LOSSES),
    normalize_fn=partial(pose.normalize, **dataclasses.asdict(config.inputs)),
    flip=config.evaluate.flip,
    shift=config.evaluate.shift,
    metrics=pose_metrics.PoseMetrics(skeleton, crop_size, median_pose),
    prepare_train=crop(augmentation=augment.create(**config.data.augment)),
    prepare_eval=prepare_eval,
  )
  return model, task


_TASKS = {'pose': _pose}


def _median_pose(source: sources.Source, prepare: crops.CropPerson) -> np.ndarray:
  """Return the training set's median pose `[K, 2]` as fractions of the crop."""
  H, W = prepare.crop_size
  labels = [
    prepare.labels(source.labels(i), np.random.default_rng(0))[1]
    for i in range(min(len(source), _MEDIAN_EXAMPLES))
  ]
  keypoints = np.stack([one['keypoints'] for one in labels]) / (W, H)
  return median.median_pose(keypoints, np.stack([one['visibility'] for one in labels]))


def _with_options(section: str, options: Options, table: dict[str, Any]) -> Any:
  """Return `table[options['name']]` with the other options bound, refusing unknown ones."""
  options = dict(options)
  name = options.pop('name')
  if name not in table:
    raise PosejaxError(f'config.{section}.name={name!r} is not known.' + nearest(name, table))
  known = [
    p.name for p in inspect.signature(table[name]).parameters.values() if p.default != p.empty
  ]
  for key in options:
    if key not in known:
      raise PosejaxError(
        f'config.{section}.{key} is not a setting of {name!r}.' + nearest(key, known)
      )
  return partial(table[name], **options)
