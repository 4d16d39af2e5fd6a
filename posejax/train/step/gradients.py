"""The gradient of a batch: of its microbatches one after the other, then averaged over the devices."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from posejax import devices, paths
from posejax.tasks.base import Task
from posejax.train.optim.lr_scales import Scales
from posejax.train.step import placement
from posejax.types import Batch, TotalFn


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


def at_hand(counts: Any) -> Any:
  """Return what is counted where nothing else belongs to the batch."""
  return counts


def on_devices(counts: Any) -> Any:
  """Return what all devices count together; runs once per device, on its share."""
  return jax.lax.psum(counts, devices.AXES)


def of_batch(
  task: Task, scales: Scales, microbatches: int = 1, total: TotalFn = at_hand
) -> GradientsFn:
  """Return what computes the gradient of the batch that it is given, and exchanges none.

  A loss that divides by a count of the whole batch is computed twice where there are microbatches: all
  must have been counted before the first is learnt from. (The first time no gradient is.)

  Args:
    task: what to learn.
    scales: which parameters move.
    microbatches: in so many parts the batch goes through the net. Part m has the examples m, m + n,
      m + 2 n ..., so that on any number of devices it has the same ones of the whole batch, in the same
      order. All parts begin with the same running statistics, whose changes are averaged.
    total: what a loss is told of the whole batch, of which the batch may be a device's share.
  """

  def loss_of(params, model_state, batch, key, total: TotalFn):
    with scales.frozen_norms():
      return task.loss({'params': params, **model_state}, batch, key, total)

  def gradients_of(params, model_state, batch, key, total: TotalFn) -> Gradients:
    # Gradients of what moves only: no backward pass goes through what lies below it.
    def loss_fn(moving):
      moved = paths.replace(params, paths.flatten(moving))
      told = lambda counts: total(jax.lax.stop_gradient(counts))  # noqa: E731
      return loss_of(moved, model_state, batch, key, told)

    (loss, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(scales.moving(params))
    return Gradients(grads, (loss, dict(aux.model_state), aux.scalars), aux.example_losses)

  def counts_of(params, model_state, batch, key) -> list:
    """Return what the loss asks the total of, in a list; of one that asks nothing, an empty one."""
    asked = []

    def note(counts):
      asked.append(counts)
      return counts

    loss_of(params, model_state, batch, key, note)
    return asked

  def at_once(params, model_state, batch, key) -> Gradients:
    return gradients_of(params, model_state, batch, key, total)

  def in_parts(params, model_state, batch, key) -> Gradients:
    def split(array: jax.Array) -> jax.Array:
      return array.reshape(-1, microbatches, *array.shape[1:]).swapaxes(0, 1)

    parts = jnp.arange(microbatches), jax.tree.map(split, batch)

    def summed(fn):
      """Return the sum of the first of what `fn(examples, key)` gives for the parts, and the second."""

      def step(sums, numbered):
        number, examples = numbered
        added, kept = fn(examples, jax.random.fold_in(key, number))
        return jax.tree.map(jnp.add, sums, added), kept

      shapes = jax.eval_shape(lambda: fn(jax.tree.map(lambda a: a[0], parts[1]), key)[0])
      zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
      # Of one that has nothing to sum up, no loop is left for a compiler to find out about.
      return jax.lax.scan(step, zeros, parts) if jax.tree.leaves(zeros) else (zeros, None)

    def learn(examples, key):
      found = gradients_of(params, model_state, examples, key, lambda counts: totals[0])
      return found[:2], found.example_losses

    counts, _ = summed(lambda examples, key: (counts_of(params, model_state, examples, key), None))
    totals = [total(asked) for asked in counts]
    sums, example_losses = summed(learn)
    means = jax.tree.map(lambda s: s / microbatches, sums)
    return Gradients(*means, example_losses.swapaxes(0, 1).reshape(-1))

  return at_once if microbatches == 1 else in_parts


def over_devices(
  of_share: GradientsFn, partition: Any, reduce_dtype: str, in_one: bool
) -> GradientsFn:
  """Return what computes the gradient of the whole batch, run once per device on its share.

  It takes a device's part of the parameters and gives its part of their gradient.

  Args:
    of_share: of a device's share.
    partition: of the parameters, from `placement.specs`.
    reduce_dtype: in which gradients are averaged.
    in_one: whether as one vector; of `placement.average`.
  """

  def averaged(params, model_state, batch, key) -> Gradients:
    key = jax.random.fold_in(key, jax.lax.axis_index(devices.AXES))
    params = placement.gather(params, partition)
    found = of_share(params, model_state, batch, key)
    dtypes = jax.tree.map(jnp.dtype, found.grads)
    grads = jax.tree.map(lambda g: g.astype(reduce_dtype), found.grads)
    grads, means = placement.average(grads, found.means, in_one)
    grads = jax.tree.map(lambda g, dtype: g.astype(dtype), grads, dtypes)
    return Gradients(grads, means, found.example_losses)

  return averaged
