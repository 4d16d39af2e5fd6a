"""Which class a picture shows: the Task value."""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from posejax import losses
from posejax.metrics import accuracy
from posejax.tasks import net
from posejax.tasks.base import Aux, Task
from posejax.tasks.classification import panels
from posejax.types import Batch, Predictions, TransformFn, Variables

LOSSES: dict[str, Callable] = {'cross_entropy': losses.cross_entropy}


def create(
  *,
  model: nn.Module,
  class_names: Sequence[str],
  crop_size: tuple[int, int],
  loss_fn: Callable[..., jax.Array],
  normalize_fn: net.NormalizeFn,
  prepare_train: TransformFn,
  prepare_eval: TransformFn,
) -> Task:
  """Return the task of telling which of C classes a picture shows.

  Args:
    model: images -> `{'logits': [B, C]}`.
    class_names: C names, for metrics and pictures.
    crop_size: (H, W) of the net's input.
    loss_fn: `(logits, labels) -> [B]`.
    normalize_fn: uint8 images -> what the model expects.
    prepare_train: one example's arrays, augmented.
    prepare_eval: one example's arrays, as they are.
  """

  def init(key: jax.Array) -> Variables:
    return model.init(key, jnp.zeros((1, *crop_size, 3), jnp.float32))

  def loss(variables: Variables, batch: Batch, key: jax.Array) -> tuple[jax.Array, Aux]:
    outputs, model_state = net.apply_in_training(model, normalize_fn, variables, batch, key)
    example_losses = loss_fn(outputs['logits'], batch['labels'])
    right = jnp.argmax(outputs['logits'], -1) == batch['labels']
    return example_losses.mean(), Aux(model_state, {'accuracy': right.mean()}, example_losses)

  def predict(variables: Variables, batch: Batch) -> Predictions:
    logits = model.apply(variables, normalize_fn(batch['images']))['logits']
    return {
      'logits': logits,
      'labels': jnp.argmax(logits, -1).astype(jnp.int32),
      'scores': jax.nn.softmax(logits),
    }

  def measure(predictions: Predictions, batch: Batch):
    example_losses = losses.cross_entropy(predictions['logits'], batch['labels'])
    return accuracy.accuracy_sums(
      predictions['logits'], batch['labels'], example_losses, batch['mask']
    )

  def summarize(totals, records: list) -> dict[str, float]:
    del records  # sums say it all
    return accuracy.summarize_accuracy(totals, class_names)

  def draw_totals(totals) -> dict[str, np.ndarray]:
    return {'confusion_matrix': panels.confusion_matrix(totals['confusion'], class_names)}

  return Task(
    init=init,
    loss=loss,
    predict=predict,
    measure=measure,
    summarize=summarize,
    draw=partial(panels.panels, class_names=class_names),
    draw_totals=draw_totals,
    main_metric='accuracy',
    prepare_train=prepare_train,
    prepare_eval=prepare_eval,
  )
