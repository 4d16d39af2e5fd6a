"""Learning rates over a run, from plain settings: how far a step goes."""

from collections.abc import Callable
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from posejax.config import OptimizerConfig
from posejax.errors import PosejaxError, nearest

Schedule = Callable[[jax.Array], jax.Array]


def peak_learning_rate(config: OptimizerConfig, batch_size: int) -> float:
  """Return the learning rate, scaled by batch size where a reference is set, and capped.

  Source: Goyal et al., "Accurate, Large Minibatch SGD" (2017), for the linear rule; Malladi et al., "On
  the SDEs and Scaling Rules for Adaptive Gradient Algorithms" (2022), for the square root.
  """
  rate = config.learning_rate
  if config.reference_batch_size is not None:
    ratio = batch_size / config.reference_batch_size
    rate *= math.sqrt(ratio) if config.batch_scaling == 'sqrt' else ratio
  return rate if config.max_learning_rate is None else min(rate, config.max_learning_rate)


def create(config: OptimizerConfig, batch_size: int) -> Schedule:
  """Return `step -> learning rate`, laid out over `config.schedule_steps` and constant after them.

  A 'plateau' schedule is constant here; its scale is part of the training state.
  """
  peak, total, warmup = (
    peak_learning_rate(config, batch_size),
    config.schedule_steps,
    config.warmup_steps,
  )
  if config.schedule in ('constant', 'plateau'):
    rate = optax.constant_schedule(peak)
  elif config.schedule == 'cosine':
    cosine = optax.cosine_decay_schedule(peak, max(total - warmup, 1), config.final_fraction)
    rate = lambda step: cosine(jnp.maximum(step - warmup, 0))  # noqa: E731
  elif config.schedule == 'step':
    boundaries = np.array([round(f * total) for f in config.step_boundaries])
    rate = lambda step: peak * config.step_factor ** (step >= boundaries).sum()  # noqa: E731
  else:
    known = ('constant', 'cosine', 'step', 'plateau')
    raise PosejaxError(
      f'config.optimizer.schedule={config.schedule!r} is not a schedule.'
      + nearest(config.schedule, known)
    )
  if warmup >= total:
    raise PosejaxError(
      f'config.optimizer.warmup_steps={warmup} must be less than schedule_steps={total}.'
    )

  def learning_rate(step: jax.Array) -> jax.Array:
    # (step + 1): the first step of a warm-up moves a little instead of not at all.
    ramp = jnp.minimum((step + 1) / warmup, 1.0) if warmup else 1.0
    return jnp.asarray(ramp * rate(step), jnp.float32)

  return learning_rate


def describe(config: OptimizerConfig, batch_size: int) -> str:
  """Return the schedule in effect in one line, for the log."""
  peak = peak_learning_rate(config, batch_size)
  scaled = ''
  if config.reference_batch_size is not None:
    ratio = f'batch {batch_size} / {config.reference_batch_size}'
    ratio = f'sqrt({ratio})' if config.batch_scaling == 'sqrt' else ratio
    scaled = f' (= {config.learning_rate:g} x {ratio})'
  capped = '' if config.max_learning_rate is None else f', at most {config.max_learning_rate:g}'
  rate = create(config, batch_size)
  total = config.schedule_steps
  marks = sorted({0, config.warmup_steps, total // 2, int(total * 0.9), max(total - 1, 0)})
  values = ', '.join(f'{step}: {float(rate(jnp.int32(step))):.3g}' for step in marks)
  return (
    f'{config.name}, peak learning rate {peak:g}{scaled}{capped}, {config.schedule} over {total} steps, '
    f'warm-up {config.warmup_steps}, weight decay {config.weight_decay:g}; by step {values}'
  )
