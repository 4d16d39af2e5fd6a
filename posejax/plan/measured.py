"""A step run for real on this machine, its CPU taken for many devices, and the machine's own rates."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from posejax import devices
from posejax.data.batches import TrainBatches
from posejax.plan.compiled import Compiled

_TIMES = 5


class Rates(NamedTuple):
  """What this machine does, all its cores together: operations and bytes a second."""

  flops: float
  traffic: float


def rates() -> Rates:
  """Measure the machine by a product of matrices and by a sum of long vectors."""
  n = 1024
  square, long = jnp.ones((n, n)), jnp.ones(2**24)
  product = _fastest(jax.jit(jnp.dot), square, square)
  added = _fastest(jax.jit(jnp.add), long, long)
  return Rates(2 * n**3 / product, 3 * long.nbytes / added)


def step_seconds(compiled: Compiled, mesh: Mesh) -> float:
  """Return the median time of a step over one batch, the first step left out."""
  config, experiment, training = compiled.config, compiled.experiment, compiled.training
  variables = devices.compile_init(experiment.task.init, mesh)(jax.random.key(config.seed))
  state = devices.compile_init(training.init_state, mesh, training.placement)(variables)
  batches = TrainBatches(
    experiment.train_source, experiment.task.transform_train, config.seed, config.batch_size
  )
  batch = devices.put_batch(batches(0), mesh)
  key = devices.put_replicated(jax.random.key(config.seed), mesh)
  took = []
  for _ in range(_TIMES + 1):
    began = time.perf_counter()
    state, _ = jax.block_until_ready(compiled.step(state, batch, key))
    took.append(time.perf_counter() - began)
  return float(np.median(took[1:]))


def _fastest(fn, *arguments) -> float:
  took = []
  for _ in range(_TIMES + 1):
    began = time.perf_counter()
    jax.block_until_ready(fn(*arguments))
    took.append(time.perf_counter() - began)
  return min(took[1:])
