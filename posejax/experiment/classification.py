"""Experiments of task 'classification'."""

import dataclasses
from functools import partial

import flax.linen as nn

from posejax import models
from posejax.config import Config
from posejax.data import sources
from posejax.data.transforms import augment
from posejax.data.transforms.whole_picture import WholePicture
from posejax.errors import PosejaxError
from posejax.experiment.kind import EvaluateOn, Kind
from posejax.labels import LabelSpace
from posejax.options import from_options, with_options
from posejax.tasks import Evaluator, Task, net
from posejax.tasks.classification import task as classification
from posejax.tasks.classification.options import ClassificationOptions


def _labels(source: sources.Source) -> LabelSpace:
  if source.label_space.skeleton is not None:
    raise PosejaxError(
      f"config.data.name={source.name!r} shows people; config.task.name='classification' needs labelled "
      "pictures: 'svhn', 'svhn_extra', 'synthetic_digits' or a mixture of them."
    )
  return source.label_space


def _build(
  config: Config, labels: LabelSpace, outputs: net.OutputsFn | None
) -> tuple[nn.Module, Task]:
  del outputs  # nothing has to be known of what the net outputs
  options = from_options('task', config.task, ClassificationOptions)
  model = models.create(
    **{'num_classes': len(labels.class_names), 'dtype': config.dtype, **config.model_options}
  )
  transform = partial(WholePicture, options.crop_size)
  plain = transform(augment.create('none'))
  task = classification.create(
    model=model,
    labels=labels,
    crop_size=options.crop_size,
    loss_fn=with_options('loss', {'name': 'cross_entropy', **config.loss}, classification.LOSSES),
    normalize_fn=partial(net.normalize, **dataclasses.asdict(config.inputs)),
    transform_train=transform(augment.create(**config.data.augment)),
    transform_eval=plain,
    view=plain.view,
  )
  return model, task


def _evaluations(config: Config, task: Task, train_source: sources.Source) -> EvaluateOn:
  del config, train_source  # nothing to set, and no baseline
  return partial(_evaluate_on, task)


def _evaluate_on(
  task: Task, source: sources.Source, detections: str
) -> tuple[sources.Source, Evaluator]:
  if detections:
    raise PosejaxError(
      f'config.evaluate.detections={detections!r} are boxes of people; a classifier sees whole pictures. '
      'Leave it empty.'
    )
  theirs = _labels(source)
  if theirs != task.labels:
    raise PosejaxError(
      f'{source.name!r} has the classes {theirs.class_names}; the net tells {task.labels.class_names}.'
    )
  return source, classification.evaluator(task.labels)


KIND = Kind(sources.create, _labels, _build, _evaluations)
