"""From a config of task 'pose' to its sources, net and Task."""

import dataclasses
from functools import partial

import flax.linen as nn

from posejax import models, tasks
from posejax.config import Config
from posejax.data import sources
from posejax.data.transforms import augment, crops
from posejax.experiment import evaluation, outputs
from posejax.skeletons import Skeleton
from posejax.tasks import net
from posejax.tasks.pose import measures
from posejax.tasks.pose import task as pose


def build(
  config: Config,
) -> tuple[Skeleton, nn.Module, tasks.Task, sources.Source, sources.Source]:
  """Return the skeleton, the net, the task, and the sources to train and to evaluate on.

  Raises:
    PosejaxError: a name or key is unknown, data are missing or have no keypoints, or what the net
      outputs does not fit codec or loss.
  """
  train_source, eval_source = (
    sources.create_people(config.data, split, config.seed, cached=config.data.cache)
    for split in ('train', 'eval')
  )
  skeleton = train_source.label_space.skeleton
  eval_source = evaluation.evaluated_source(config, eval_source)
  model, task = pose_task(config, skeleton, train_source, eval_source)
  return skeleton, model, task, train_source, eval_source


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
  codec, loss = outputs.codec_and_loss(config, model, skeleton.num_keypoints)
  crop = partial(
    crops.CropPerson, skeleton, crop_size, codec.convention, box_padding=config.data.box_padding
  )
  prepare_eval = crop(augmentation=augment.create('none'))
  shift = codec.shift_flip if config.evaluate.shift is None else config.evaluate.shift
  measured = measures.PoseMetrics(skeleton, crop_size)
  if eval_source is not None:
    measured = evaluation.create(config, skeleton, shift, prepare_eval, train_source, eval_source)
  task = pose.create(
    model=model,
    skeleton=skeleton,
    codec=codec,
    loss=loss,
    normalize_fn=partial(net.normalize, **dataclasses.asdict(config.inputs)),
    flip=config.evaluate.flip,
    shift=shift,
    metrics=measured,
    prepare_train=crop(augmentation=augment.create(**config.data.augment)),
    prepare_eval=prepare_eval,
  )
  return model, task
