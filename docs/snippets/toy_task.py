"""A toy task in one file: does a person show the front or the back?

Import it, and `config.task.name='facing'` trains it on any source of people with shoulders.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from posejax import experiment, losses, models
from posejax.data import sources
from posejax.data.transforms import augment
from posejax.data.transforms.crops import CropPerson
from posejax.labels import LabelSpace
from posejax.metrics import accuracy
from posejax.options import from_options
from posejax.skeletons import SKELETONS
from posejax.tasks import Aux, Evaluator, Task, net
from posejax.tasks.classification import panels


@dataclasses.dataclass(frozen=True)
class FacingOptions:
  """The keys of `config.task`, with their types; others are refused."""

  crop_size: tuple[int, int] = (32, 24)
  skeleton: str = 'coco'


def task_labels(source) -> LabelSpace:
  """Return what the net tells of a source's people."""
  del source
  return LabelSpace(('front', 'back'))


def build(config, labels, variables):
  """Return the net and the task; what a net has learned need not be known to build it."""
  del variables
  options = from_options('task', config.task, FacingOptions)
  model = models.create(**{'num_classes': 2, 'dtype': config.dtype, **config.model_options})
  normalize = partial(net.normalize, **dataclasses.asdict(config.inputs))
  skeleton = SKELETONS[options.skeleton]
  crop = partial(CropPerson, skeleton, options.crop_size, 'msra')
  plain = crop(augmentation=augment.create('none'))

  def init(key):
    return model.init(key, jnp.zeros((1, *options.crop_size, 3)))

  def loss(variables, batch, key, total):
    del total  # for losses that divide by a count over the whole batch
    outputs, model_state = net.apply_in_training(model, normalize, variables, batch, key)
    example_losses = losses.cross_entropy(outputs['logits'], facing(skeleton, batch))
    return example_losses.mean(), Aux(model_state, {}, example_losses)

  def infer(variables, images):
    logits = model.apply(variables, normalize(images))['logits']
    found = jnp.argmax(logits, -1).astype(jnp.int32)
    return {'logits': logits, 'labels': found, 'scores': jax.nn.softmax(logits)}

  def draw(batch, predictions):
    shown = {**batch, 'labels': facing(skeleton, batch)}
    return panels.panels(shown, predictions, class_names=labels.class_names)

  return model, Task(
    labels=labels,
    input_size=options.crop_size,
    init=init,
    loss=loss,
    infer=infer,
    transform_train=crop(augmentation=augment.create(**config.data.augment)),
    transform_eval=plain,
    view=plain.view,
    draw=draw,
  )


def facing(skeleton, batch):
  """Return 0 where somebody's own left shoulder is at the right of the picture: the front."""
  left, right = (skeleton.index(f'{side}_shoulder') for side in ('left', 'right'))
  x = batch['keypoints'][..., 0]
  return (x[:, left] <= x[:, right]).astype('int32')


def evaluations(config, task, train_source):
  """Return how any set is evaluated."""
  del train_source
  skeleton = SKELETONS[from_options('task', config.task, FacingOptions).skeleton]

  def measure(predictions, batch):
    truth = facing(skeleton, batch)
    example_losses = losses.cross_entropy(predictions['logits'], truth)
    return accuracy.accuracy_sums(predictions['logits'], truth, example_losses, batch['mask'])

  def summarize(sums, records):
    del records
    return accuracy.summarize_accuracy(sums, task.labels.class_names)

  evaluator = Evaluator(measure, summarize, main_metric='accuracy')
  return lambda source, detections: (source, evaluator)


experiment.TASKS['facing'] = experiment.Kind(sources.create_people, task_labels, build, evaluations)
