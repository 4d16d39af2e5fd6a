"""Everything a step changes, as one pytree."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import optax

from posejax.train.optim.lr_scales import UNSCALED, Scales
from posejax.types import Variables


@struct.dataclass
class TrainState:
  """The training state.

  Attributes:
    step: int32 scalar, steps done.
    params: float32 parameters.
    model_state: other variables, e.g. `{'batch_stats': ...}`.
    opt_state: the optimiser's, of the parameters that move.
    ema_params: moving average of `params`, or None where off.
    learning_rate_scale: float32 scalar, what a plateau schedule has lowered the rate to.
  """

  step: jax.Array
  params: Any
  model_state: Any
  opt_state: Any
  ema_params: Any
  learning_rate_scale: jax.Array

  @property
  def variables(self) -> Variables:
    """What the model trains with."""
    return {'params': self.params, **self.model_state}

  @property
  def eval_variables(self) -> Variables:
    """What the model is evaluated and used with: the moving average where it is on."""
    params = self.params if self.ema_params is None else self.ema_params
    return {'params': params, **self.model_state}

  def to_arrays(self) -> dict[str, Any]:
    """Return the fields that there are, by name: what a checkpoint holds."""
    fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
    return {name: value for name, value in fields.items() if value is not None}

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, Any]) -> 'TrainState':
    """Return the state of what `to_arrays` gave."""
    return cls(**{field.name: arrays.get(field.name) for field in dataclasses.fields(cls)})


def create(
  variables: Variables,
  optimizer: optax.GradientTransformation,
  ema_decay: float | None,
  scales: Scales = UNSCALED,
) -> TrainState:
  """Return the state before the first step; `scales` says which parameters move."""
  model_state = dict(variables)
  params = model_state.pop('params')
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    model_state=model_state,
    opt_state=optimizer.init(scales.moving(params)),
    # A copy: the step donates its input, and one buffer cannot be donated twice.
    ema_params=None if ema_decay is None else jax.tree.map(jnp.copy, params),
    learning_rate_scale=jnp.ones((), jnp.float32),
  )
