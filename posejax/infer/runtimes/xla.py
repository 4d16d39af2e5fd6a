"""The net run by JAX itself, compiled for two sizes of batch."""

from collections.abc import Mapping

import jax
import numpy as np

from posejax.infer.export.pipeline import Pipeline
from posejax.infer.runtimes.base import MAX_BATCH, Runtime
from posejax.infer.runtimes.kept_programs import KeptPrograms

_FEW = 2
"""So many at most go through one by one; more are filled up to `MAX_BATCH`."""


class Xla(Runtime):
  """A pipeline, compiled for the default device, for batches of 1 and of `MAX_BATCH`.

  Every further size would be compiled when it first comes, in the middle of a film.
  """

  name = 'xla'

  def __init__(self, pipeline: Pipeline, kept: KeptPrograms | None = None):
    """Put the net on the default device.

    Args:
      pipeline: to run.
      kept: takes the programs of earlier processes, and keeps these.
    """
    self._pipeline, self._kept = pipeline, kept
    self._variables = jax.device_put(pipeline.variables)
    self._programs = {}

  def _apply(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, jax.Array]:
    if count not in self._programs:
      self._programs[count] = (
        self._kept.compiled(self._pipeline, self._variables, inputs)
        if self._kept
        else jax.jit(self._pipeline.apply)
      )
    return self._programs[count](self._variables, inputs)

  def _run(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    if count in (1, MAX_BATCH):
      outputs = self._apply(inputs, count)
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
