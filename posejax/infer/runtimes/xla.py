"""The net run by JAX itself, compiled for two sizes of batch."""

from collections.abc import Mapping

import jax
import numpy as np

from posejax.infer.export.pipeline import Pipeline
from posejax.infer.runtimes.base import MAX_BATCH, Runtime

_FEW = 2
"""So many at most go through one by one; more are filled up to `MAX_BATCH`."""


class Xla(Runtime):
  """A pipeline, compiled for the default device, for batches of 1 and of `MAX_BATCH`.

  Every further size would be compiled when it first comes, in the middle of a film.
  """

  name = 'xla'

  def __init__(self, pipeline: Pipeline):
    self._variables = jax.device_put(pipeline.variables)
    self._apply = jax.jit(pipeline.apply)

  def _run(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    if count in (1, MAX_BATCH):
      outputs = self._apply(self._variables, inputs)
      return {name: np.asarray(array) for name, array in outputs.items()}
    if count <= _FEW:
      parts = [self._run({n: a[i : i + 1] for n, a in inputs.items()}, 1) for i in range(count)]
      return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    filled = {name: np.resize(a, (MAX_BATCH, *a.shape[1:])) for name, a in inputs.items()}
    return {name: array[:count] for name, array in self._run(filled, MAX_BATCH).items()}

  def describe(self) -> str:
    """Return the device."""
    device = jax.devices()[0]
    return f'XLA (jax {jax.__version__}) on {device.device_kind}'
