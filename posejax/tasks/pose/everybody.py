"""Everybody's pose on a whole picture, by MoveNet MultiPose: the Task value of a net in use."""

from typing import Any, NoReturn

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.codecs import movenet_multi
from posejax.codecs.movenet_codec import MoveNet
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.tasks import net
from posejax.tasks.base import Task, ViewFn
from posejax.types import Predictions, Variables


def create(
  *,
  model: nn.Module,
  labels: LabelSpace,
  input_size: tuple[int, int],
  normalize_fn: net.NormalizeFn,
  view: ViewFn,
  box_padding: float,
) -> Task:
  """Return the task of finding everybody's keypoints on a picture, to be used and not to be trained.

  Args:
    model: images -> the six maps of `posejax.codecs.movenet_multi`.
    labels: of the model's output, with a skeleton.
    input_size: (H, W) of the net's input.
    normalize_fn: uint8 images -> what the model expects.
    view: a picture as the net sees it, or a part of it.
    box_padding: how much more than a box `view` shows.
  """

  def init(key: jax.Array) -> Variables:
    return model.init(key, jnp.zeros((1, *input_size, 3), jnp.float32))

  def infer(variables: Variables, images: jax.Array) -> Predictions:
    outputs = model.apply(variables, normalize_fn(images))
    found = movenet_multi.decode_multi(outputs)
    # Corners of boxes are edges, half a pixel outside of the outermost pixels' centres.
    boxes = found.pop('boxes_crop') + 0.5
    order = jnp.argsort(-found['scores'], axis=1)
    found = {'boxes': boxes, **found, 'labels': jnp.zeros(order.shape, jnp.int32)}
    ordered = {
      name: jnp.take_along_axis(value, order.reshape(*order.shape, *[1] * (value.ndim - 2)), 1)
      for name, value in found.items()
    }
    return {**outputs, **ordered}

  return Task(
    labels=labels,
    input_size=input_size,
    init=init,
    loss=_refuse,
    infer=infer,
    transform_train=_refuse,
    transform_eval=_refuse,
    view=view,
    draw=_refuse,
    codec=MoveNet(input_size),
    finds_all=True,
    box_padding=box_padding,
  )


def _refuse(*arguments: Any) -> NoReturn:
  del arguments
  raise PosejaxError(
    'MoveNet MultiPose is used as it was published, and not trained here; train the net on one person a '
    "crop, config.codec.name='movenet'."
  )
