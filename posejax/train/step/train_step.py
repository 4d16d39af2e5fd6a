"""One training step: gradient, update. A pure function of state and batch."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from posejax.train.optim.lr_scales import UNSCALED, Scales
from posejax.train.optim.schedules import Schedule
from posejax.train.step.gradients import GradientsFn
from posejax.train.step.state import TrainState
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
  gradients_fn: GradientsFn,
  optimizer: optax.GradientTransformation,
  schedule: Schedule,
  ema_decay: float | None = None,
  scales: Scales = UNSCALED,
) -> TrainStep:
  """Return `(state, batch, root key) -> (state, StepOutput)`.

  All randomness of step `s` comes from `fold_in(root_key, s)`. The root key is an argument, so that one
  compiled step serves every seed.

  Args:
    gradients_fn: what is learnt from a batch (`posejax.train.step.gradients`), on all devices together.
    optimizer: gradient → update direction, before the learning rate (`posejax.train.optim`).
    schedule: step → learning rate.
    ema_decay: of the moving average of the parameters; warmed up as (1 + s) / (10 + s), so that it
      forgets the initial parameters (Source: tf.train.ExponentialMovingAverage, num_updates).
    scales: which parameters move at which factor of the learning rate.
  """

  def train_step(
    state: TrainState, batch: Batch, root_key: jax.Array
  ) -> tuple[TrainState, StepOutput]:
    key = jax.random.fold_in(root_key, state.step)
    found = gradients_fn(state.params, state.model_state, batch, key)
    loss, model_state, scalars = found.means
    model_state = scales.keep_frozen(state.model_state, model_state)

    learning_rate = schedule(state.step) * state.learning_rate_scale
    moving = scales.moving(state.params)
    updates, opt_state = optimizer.update(found.grads, state.opt_state, moving)
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
      'grad_norm': optax.global_norm(found.grads),
      'learning_rate': learning_rate,
      **scalars,
    }
    return state, StepOutput(scalars, found.example_losses)

  return train_step
