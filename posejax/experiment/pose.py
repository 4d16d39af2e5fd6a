"""Experiments of task 'pose'."""

import dataclasses
from functools import partial

import flax.linen as nn

from posejax import labels as label_spaces
from posejax import models
from posejax.config import Config
from posejax.data import sources
from posejax.data.transforms import augment
from posejax.data.transforms.crops import CropPerson
from posejax.experiment import pose_evaluation, pose_outputs
from posejax.experiment.kind import Kind
from posejax.labels import LabelSpace
from posejax.options import from_options
from posejax.tasks import Task, net
from posejax.tasks.pose import task as pose
from posejax.tasks.pose.options import PoseOptions


def _labels(source: sources.Source) -> LabelSpace:
  return label_spaces.people(source.label_space.skeleton)


def _build(
  config: Config, labels: LabelSpace, outputs: net.OutputsFn | None
) -> tuple[nn.Module, Task]:
  options = from_options('task', config.task, PoseOptions)
  model = models.create(
    **{
      'num_keypoints': labels.skeleton.num_keypoints,
      'dtype': config.dtype,
      **config.model_options,
    }
  )
  codec, loss = pose_outputs.codec_and_loss(
    config, options, model, labels.skeleton.num_keypoints, outputs
  )
  crop = partial(
    CropPerson,
    labels.skeleton,
    options.crop_size,
    codec.convention,
    box_padding=options.box_padding,
  )
  plain = crop(augmentation=augment.create('none'))
  task = pose.create(
    model=model,
    labels=labels,
    codec=codec,
    loss=loss,
    normalize_fn=partial(net.normalize, **dataclasses.asdict(config.inputs)),
    flip=options.flip,
    shift=codec.shift_flip if options.shift is None else options.shift,
    transform_train=crop(augmentation=augment.create(**config.data.augment)),
    transform_eval=plain,
    view=plain.view,
    box_padding=options.box_padding,
  )
  return model, task


KIND = Kind(sources.create_people, _labels, _build, pose_evaluation.create)
