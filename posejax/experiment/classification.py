"""From a config of task 'classification' to its sources, net and Task."""

import dataclasses
from functools import partial

import flax.linen as nn

from posejax import models, tasks
from posejax.config import Config, with_options
from posejax.data import sources
from posejax.data.transforms import augment, whole_picture
from posejax.errors import PosejaxError
from posejax.tasks import net
from posejax.tasks.classification import task as classification


def build(config: Config) -> tuple[nn.Module, tasks.Task, sources.Source, sources.Source]:
  """Return the net, the task, and the sources to train and to evaluate on.

  Raises:
    PosejaxError: a name or key is unknown, data are missing or not labelled pictures, or the config
      asks for mirrored pictures.
  """
  if config.evaluate.flip:
    raise PosejaxError(
      "config.evaluate.flip=True cannot go with task='classification': a mirrored digit is no digit. "
      'Set it to False.'
    )
  found = [
    sources.create(config.data, split, config.seed, cached=config.data.cache)
    for split in ('train', 'eval')
  ]
  for source in found:
    if source.label_space.skeleton is not None:
      raise PosejaxError(
        f"config.data.name={source.name!r} shows people; task='classification' needs labelled pictures: "
        "'svhn', 'svhn_extra', 'synthetic_digits' or a mixture of them."
      )
  train_source, eval_source = found
  class_names = train_source.label_space.class_names
  options = {'num_classes': len(class_names), 'dtype': config.dtype, **config.model_options}
  model = models.create(**options)
  prepare = partial(whole_picture.WholePicture, config.data.crop_size)
  task = classification.create(
    model=model,
    class_names=class_names,
    crop_size=config.data.crop_size,
    loss_fn=with_options('loss', {'name': 'cross_entropy', **config.loss}, classification.LOSSES),
    normalize_fn=partial(net.normalize, **dataclasses.asdict(config.inputs)),
    prepare_train=prepare(augment.create(**config.data.augment)),
    prepare_eval=prepare(augment.create('none')),
  )
  return model, task, train_source, eval_source
