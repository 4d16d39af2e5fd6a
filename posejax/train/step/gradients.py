"""The gradient of a batch: of its microbatches one after the other, then averaged over the devices."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from posejax import devices, paths
from posejax.tasks.base import Task
from posejax.train.optim.lr_scales import Scales
from posejax.train.step import placement
from posejax.types import Batch


class Gradients(NamedTuple):
  """What is learnt from a batch.

  Attributes:
    grads: of the loss, by the parameters that move.
    means: loss, non-parameters after the step, and the task's scalars; averages over the batch.
    example_losses: `[B]`.
  """

  grads: Any
  means: tuple[jax.Array, dict[str, Any], dict[str, jax.Array]]
  example_losses: jax.Array


GradientsFn = Callable[[Any, Any, Batch, jax.Array], Gradients]
"""`(params, non-parameters, batch, key) -> Gradients`."""


def of_batch(task: Task, scales: Scales, microbatches: int = 1) -> GradientsFn:
  """Return what computes the gradient of the batch that it is given, and exchanges none.

  Args:
    task: what to learn.
    scales: which parameters move.
    microbatches: in so many parts the batch goes through the net. Part m has the examples m, m + n,
      m + 2 n ..., so that on any number of devices it has the same ones of the whole batch, in the same
      order. All parts begin with the same running statistics, whose changes are averaged.
  """

  def at_once(params, model_state, batch, key) -> Gradients:
    # Gradients of what moves only: no backward pass goes through what lies below it.
    def loss_fn(moving):
      variables = {'params': paths.replace(params, paths.flatten(moving)), **model_state}
      with scales.frozen_norms():
        return task.loss(variables, batch, key)

    (loss, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(scales.moving(params))
    return Gradients(grads, (loss, dict(aux.model_state), aux.scalars), aux.example_losses)

  def split(array: jax.Array) -> jax.Array:
    return array.reshape(-1, microbatches, *array.shape[1:]).swapaxes(0, 1)

  def in_parts(params, model_state, batch, key) -> Gradients:
    def part(sums, numbered):
      number, examples = numbered
      found = at_once(params, model_state, examples, jax.random.fold_in(key, number))
      return jax.tree.map(jnp.add, sums, found[:2]), found.example_losses

    parts = jnp.arange(microbatches), jax.tree.map(split, batch)
    first = jax.tree.map(lambda a: a[0], parts)
    shapes = jax.eval_shape(lambda: at_once(params, model_state, first[1], key))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes[:2])
    sums, example_losses = jax.lax.scan(part, zeros, parts)
    means = jax.tree.map(lambda s: s / microbatches, sums)
    return Gradients(*means, example_losses.swapaxes(0, 1).reshape(-1))

  return at_once if microbatches == 1 else in_parts


def over_devices(of_share: GradientsFn, partition: Any, reduce_dtype: str) -> GradientsFn:
  """Return what computes the gradient of the whole batch, run once per device on its share.

  It takes a device's part of the parameters and gives its part of their gradient.

  Args:
    of_share: of a device's share.
    partition: of the parameters, from `placement.specs`.
    reduce_dtype: in which gradients are averaged.
  """

  def averaged(params, model_state, batch, key) -> Gradients:
    key = jax.random.fold_in(key, jax.lax.axis_index(devices.AXES))
    params = placement.gather(params, partition)
    found = of_share(params, model_state, batch, key)
    dtypes = jax.tree.map(jnp.dtype, found.grads)
    grads = jax.tree.map(lambda g: g.astype(reduce_dtype), found.grads)
    grads, means = placement.average(grads, found.means)
    grads = jax.tree.map(lambda g, dtype: g.astype(dtype), grads, dtypes)
    return Gradients(grads, means, found.example_losses)

  return averaged
