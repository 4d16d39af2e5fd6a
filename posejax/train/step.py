"""One training step: loss, gradient, update. A pure function of state and batch."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from posejax import paths
from posejax.tasks.base import Task
from posejax.train.lr_scales import UNSCALED, Scales
from posejax.train.optim import Schedule
from posejax.train.state import TrainState
from posejax.types import Batch


class StepOutput(NamedTuple):
  """What a step reports.

  Attributes:
    scalars: `loss`, `grad_norm` (of what moves, before clipping), `learning_rate` (before factors) and
      the task's own.
    example_losses: `[B]` over the global batch, each device's where its examples are; to name the
      example of a non-finite loss.
  """

  scalars: dict[str, jax.Array]
  example_losses: jax.Array


TrainStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, StepOutput]]


def make_train_step(
  task: Task,
  optimizer: optax.GradientTransformation,
  schedule: Schedule,
  ema_decay: float | None = None,
  axis_name: str | None = None,
  scales: Scales = UNSCALED,
  reduce_dtype: str = 'float32',
) -> TrainStep:
  """Return `(state, batch, root key) -> (state, StepOutput)`.

  All randomness of step `s` comes from `fold_in(root_key, s)`. The root key is an argument, so that one
  compiled step serves every seed.

  Args:
    task: what to learn.
    optimizer: gradient → update direction, before the learning rate (`posejax.train.optim`).
    schedule: step → learning rate.
    ema_decay: of the moving average of the parameters; warmed up as (1 + s) / (10 + s), so that it
      forgets the initial parameters (Source: tf.train.ExponentialMovingAverage, num_updates).
    axis_name: where the step runs once per device on that device's share of the batch, the mesh
      axis over which gradients, losses and running statistics are averaged, all at once.
    scales: which parameters move at which factor of the learning rate.
    reduce_dtype: in which gradients are averaged over the devices.
  """

  def mean(grads, others):
    if axis_name is None:
      return grads, others
    dtypes = jax.tree.map(jnp.dtype, grads)
    grads = jax.tree.map(lambda g: g.astype(reduce_dtype), grads)
    # One call: compilers join the sums of its arrays, and each sum apart costs a round over the devices.
    grads, others = jax.lax.pmean((grads, others), axis_name)
    return jax.tree.map(lambda g, dtype: g.astype(dtype), grads, dtypes), others

  def train_step(
    state: TrainState, batch: Batch, root_key: jax.Array
  ) -> tuple[TrainState, StepOutput]:
    key = jax.random.fold_in(root_key, state.step)
    if axis_name is not None:
      key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))

    # Gradients of what moves only: no backward pass goes through what lies below it.
    moving = scales.moving(state.params)

    def loss_fn(moving):
      params = paths.replace(state.params, paths.flatten(moving))
      with scales.frozen_norms():
        return task.loss({'params': params, **state.model_state}, batch, key)

    (loss, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(moving)
    others = loss, dict(aux.model_state), aux.scalars
    grads, (loss, model_state, scalars) = mean(grads, others)
    model_state = scales.keep_frozen(state.model_state, model_state)

    learning_rate = schedule(state.step) * state.learning_rate_scale
    updates, opt_state = optimizer.update(grads, state.opt_state, moving)
    params = scales.move(state.params, updates, learning_rate)
    ema_params = state.ema_params
    if ema_decay is not None:
      decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
      ema_params = jax.tree.map(lambda e, p: e + (1 - decay) * (p - e), ema_params, params)

    state = state.replace(
      step=state.step + 1,
      params=params,
      model_state=model_state,
      opt_state=opt_state,
      ema_params=ema_params,
    )
    scalars = {
      'loss': loss,
      'grad_norm': optax.global_norm(grads),
      'learning_rate': learning_rate,
      **scalars,
    }
    return state, StepOutput(scalars, aux.example_losses)

  return train_step
