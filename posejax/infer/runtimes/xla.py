"""The net run by JAX itself, compiled once for each size of batch that is a power of two."""

from collections.abc import Mapping

import jax
import numpy as np

from posejax.infer.export.pipeline import Pipeline
from posejax.infer.runtimes.base import Runtime


class Xla(Runtime):
  """A pipeline, compiled for the default device."""

  name = 'xla'

  def __init__(self, pipeline: Pipeline):
    self._variables = jax.device_put(pipeline.variables)
    self._run = jax.jit(pipeline.apply)

  def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run it; the batch is filled up to the next power of two."""
    count = len(inputs['images'])
    missing = (1 << max(count - 1, 0).bit_length()) - count
    filled = dict(inputs)
    if missing:
      filled = {
        name: np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
        for name, array in inputs.items()
      }
    outputs = self._run(self._variables, filled)
    return {name: np.asarray(array)[:count] for name, array in outputs.items()}

  def describe(self) -> str:
    """Return the device."""
    device = jax.devices()[0]
    return f'XLA (jax {jax.__version__}) on {device.device_kind}'
