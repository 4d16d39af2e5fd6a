"""What is on a picture, and where: the Task value, whatever the detector."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.labels import LabelSpace
from posejax.tasks import net
from posejax.tasks.base import Aux, Task, ViewFn
from posejax.tasks.detection import panels
from posejax.tasks.detection.methods import Method
from posejax.types import Batch, Predictions, TotalFn, TransformFn, Variables


def create(
  *,
  model: nn.Module,
  labels: LabelSpace,
  canvas_size: tuple[int, int],
  method: Method,
  normalize_fn: net.NormalizeFn,
  transform_train: TransformFn,
  transform_eval: TransformFn,
  view: ViewFn,
) -> Task:
  """Return the task of finding everything of some classes on a picture.

  Args:
    model: what the method applies.
    labels: the classes; with a skeleton where the method finds keypoints.
    canvas_size: (H, W) of the net's input.
    method: how it learns, and how boxes are read off it.
    normalize_fn: uint8 images -> what the model expects.
    transform_train: one picture's arrays, augmented.
    transform_eval: one picture's arrays, as they are.
    view: a picture as the net sees it.
  """

  def init(key: jax.Array) -> Variables:
    return model.init(key, jnp.zeros((1, *canvas_size, 3), jnp.float32))

  def loss(
    variables: Variables, batch: Batch, key: jax.Array, total: TotalFn
  ) -> tuple[jax.Array, Aux]:
    truth = {name: array for name, array in batch.items() if name != 'images'}
    images = normalize_fn(batch['images'])
    example_losses, scalars, state = method.loss(
      partial(model.apply, variables), images, truth, key, total
    )
    return example_losses.mean(), Aux(state, scalars, example_losses)

  def infer(
    variables: Variables, images: jax.Array, image_size: jax.Array | None = None
  ) -> Predictions:
    return method.detect(partial(model.apply, variables), normalize_fn(images), image_size)

  return Task(
    labels=labels,
    input_size=canvas_size,
    init=init,
    loss=loss if method.loss else None,
    infer=infer,
    transform_train=transform_train,
    transform_eval=transform_eval,
    view=view,
    draw=partial(panels.panels, labels=labels),
    codec=method.codec and method.codec(canvas_size),
    finds_all=True,
    inputs=('images', 'image_size') if method.sized else ('images',),
  )
