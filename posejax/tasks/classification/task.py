"""Which class a picture shows: the Task and the Evaluator."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from posejax import losses
from posejax.labels import LabelSpace
from posejax.metrics import accuracy
from posejax.tasks import net
from posejax.tasks.base import Aux, Evaluator, Task, ViewFn
from posejax.tasks.classification import panels
from posejax.types import Batch, Predictions, TotalFn, TransformFn, Variables

LOSSES: dict[str, Callable] = {'cross_entropy': losses.cross_entropy}


def create(
  *,
  model: nn.Module,
  labels: LabelSpace,
  crop_size: tuple[int, int],
  loss_fn: Callable[..., jax.Array],
  normalize_fn: net.NormalizeFn,
  transform_train: TransformFn,
  transform_eval: TransformFn,
  view: ViewFn,
) -> Task:
  """Return the task of telling which of C classes a picture shows.

  Args:
    model: images -> `{'logits': [B, C]}`.
    labels: the classes.
    crop_size: (H, W) of the net's input.
    loss_fn: `(logits, labels) -> [B]`.
    normalize_fn: uint8 images -> what the model expects.
    transform_train: one example's arrays, augmented.
    transform_eval: one example's arrays, as they are.
    view: a picture, or a part of it, as the net sees it.
  """

  def init(key: jax.Array) -> Variables:
    return model.init(key, jnp.zeros((1, *crop_size, 3), jnp.float32))

  def loss(
    variables: Variables, batch: Batch, key: jax.Array, total: TotalFn
  ) -> tuple[jax.Array, Aux]:
    del total  # every example's loss is its own
    outputs, model_state = net.apply_in_training(model, normalize_fn, variables, batch, key)
    example_losses = loss_fn(outputs['logits'], batch['labels'])
    right = jnp.argmax(outputs['logits'], -1) == batch['labels']
    return example_losses.mean(), Aux(model_state, {'accuracy': right.mean()}, example_losses)

  def infer(variables: Variables, images: jax.Array) -> Predictions:
    logits = model.apply(variables, normalize_fn(images))['logits']
    return {
      'logits': logits,
      'labels': jnp.argmax(logits, -1).astype(jnp.int32),
      'scores': jax.nn.softmax(logits),
    }

  return Task(
    labels=labels,
    input_size=crop_size,
    init=init,
    loss=loss,
    infer=infer,
    transform_train=transform_train,
    transform_eval=transform_eval,
    view=view,
    draw=partial(panels.panels, class_names=labels.class_names),
  )


def evaluator(labels: LabelSpace) -> Evaluator:
  """Return what measures a classifier: accuracy, the loss, and the confusion matrix."""
  names = labels.class_names

  def measure(predictions: Predictions, batch: Batch):
    example_losses = losses.cross_entropy(predictions['logits'], batch['labels'])
    return accuracy.accuracy_sums(
      predictions['logits'], batch['labels'], example_losses, batch['mask']
    )

  def summarize(totals, records: list) -> dict[str, float]:
    del records  # sums say it all
    return accuracy.summarize_accuracy(totals, names)

  def draw_totals(totals) -> dict[str, np.ndarray]:
    return {'confusion_matrix': panels.confusion_matrix(totals['confusion'], names)}

  return Evaluator(
    measure=measure,
    summarize=summarize,
    main_metric='accuracy',
    draw_totals=draw_totals,
  )
