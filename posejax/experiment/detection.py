"""Experiments of task 'detection'."""

import dataclasses
from functools import partial

import flax.linen as nn

from posejax import models
from posejax.config import Config
from posejax.data import sources
from posejax.data.transforms import augment
from posejax.data.transforms.canvas import Canvas
from posejax.errors import PosejaxError
from posejax.experiment import detection_evaluation
from posejax.experiment.kind import Kind
from posejax.labels import LabelSpace
from posejax.options import from_options, with_options
from posejax.tasks import Task, net
from posejax.tasks.detection import task as detection
from posejax.tasks.detection.methods import METHODS
from posejax.tasks.detection.options import DetectionOptions


def _labels(source: sources.Source) -> LabelSpace:
  if not len(source) or 'boxes' not in source.labels(0):
    raise PosejaxError(
      f"config.data.name={source.name!r} has no boxes; config.task.name='detection' needs pictures with "
      "everything boxed: 'synthetic_scenes', 'coco' or a file of COCO's format."
    )
  return source.label_space


def _build(
  config: Config, labels: LabelSpace, outputs: net.OutputsFn | None
) -> tuple[nn.Module, Task]:
  del outputs  # nothing has to be known of what the net outputs
  options = from_options('task', config.task, DetectionOptions)
  method = with_options('codec', {'name': 'rtmdet', **config.codec}, METHODS)()
  if config.loss:
    raise PosejaxError(
      f"config.loss={config.loss} is of no use to config.task.name='detection', whose nets have losses "
      'of their own; leave it empty.'
    )
  if method.keypoints and labels.skeleton is None:
    raise PosejaxError(
      f'config.codec.name={config.codec["name"]!r} learns keypoints, and these data have none.'
    )
  if not method.classes and len(labels.class_names) > 1:
    raise PosejaxError(
      f'config.codec.name={config.codec["name"]!r} finds people alone, and these data have the classes '
      f"{', '.join(labels.class_names)}; set config.data.classes=('person',)."
    )
  labels = dataclasses.replace(labels, skeleton=labels.skeleton if method.keypoints else None)
  given = {'dtype': config.dtype}
  if method.classes:
    given['num_classes'] = len(labels.class_names)
  if labels.skeleton:
    given['num_keypoints'] = labels.skeleton.num_keypoints
  model = models.create(**{**given, **config.model_options})
  canvas = partial(
    Canvas,
    options.crop_size,
    options.max_instances,
    options.fill,
    skeleton=labels.skeleton,
    centered=options.centered,
    averaged=options.averaged,
  )
  plain = canvas(augmentation=augment.create('none'))
  task = detection.create(
    model=model,
    labels=labels,
    canvas_size=options.crop_size,
    method=method,
    normalize_fn=partial(net.normalize, **dataclasses.asdict(config.inputs)),
    transform_train=canvas(augmentation=augment.create(**config.data.augment)),
    transform_eval=plain,
    view=plain.view,
  )
  return model, task


KIND = Kind(sources.create, _labels, _build, detection_evaluation.create)
