"""The net run by JAX itself, compiled for two sizes of batch."""

from collections.abc import Mapping

import jax
import numpy as np

from posejax.infer.export.pipeline import Pipeline
from posejax.infer.runtimes.base import Runtime

MANY = 8
"""The larger size of batch; the smaller is 1. Every further size would be compiled when it first comes,
in the middle of a film."""
_FEW = 2
"""So many at most go through one by one; more are filled up to `MANY`."""


class Xla(Runtime):
  """A pipeline, compiled for the default device."""

  name = 'xla'

  def __init__(self, pipeline: Pipeline):
    self._variables = jax.device_put(pipeline.variables)
    self._run = jax.jit(pipeline.apply)

  def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run it, on `MANY` examples at a time, and the last few one by one."""
    count, parts = len(inputs['images']), []
    start = 0
    while start < count:
      size = min(MANY, count - start)
      size = 1 if size <= _FEW else size
      parts.append(self._part({name: a[start : start + size] for name, a in inputs.items()}, size))
      start += size
    if len(parts) == 1:
      return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

  def _part(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    if 1 < count < MANY:
      inputs = {name: np.resize(array, (MANY, *array.shape[1:])) for name, array in inputs.items()}
    outputs = self._run(self._variables, inputs)
    return {name: np.asarray(array)[:count] for name, array in outputs.items()}

  def describe(self) -> str:
    """Return the device."""
    device = jax.devices()[0]
    return f'XLA (jax {jax.__version__}) on {device.device_kind}'
