"""The home of LiteRT's interpreter: TensorFlow Lite models on the CPU, by XNNPACK."""

from collections.abc import Mapping
import threading

import numpy as np

from posejax.infer.runtimes.base import Runtime, library, num_threads


class LiteRt(Runtime):
  """A TensorFlow Lite model for one example; several go through it one by one.

  A batch of eight in one model is hardly faster: 1.2 times as slow for MoveNet Lightning and 0.85 for the
  net that ships, in processor time.
  """

  name = 'litert'

  def __init__(self, model: bytes, threads: int | None = None):
    """Load it.

    Args:
      model: a TensorFlow Lite model whose inputs are of one example.
      threads: to compute on; as many as there are processors unless given.

    Raises:
      NotInstalledError: LiteRT is not installed.
    """
    self._version = library('ai_edge_litert', 'litert').__version__
    litert = library('ai_edge_litert.interpreter', 'litert')
    self._threads = threads or num_threads()
    self._interpreter = litert.Interpreter(model_content=model, num_threads=self._threads)
    self._interpreter.allocate_tensors()
    self._inputs, self._outputs = (
      {tensor['name']: tensor['index'] for tensor in tensors}
      for tensors in (self._interpreter.get_input_details(), self._interpreter.get_output_details())
    )
    # An interpreter has one set of tensors.
    self._lock = threading.Lock()

  def _run(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    rows = [self._one({n: a[i : i + 1] for n, a in inputs.items()}) for i in range(count)]
    return {name: np.concatenate([row[name] for row in rows]) for name in self._outputs}

  def _one(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with self._lock:
      for name, index in self._inputs.items():
        self._interpreter.set_tensor(index, inputs[name])
      self._interpreter.invoke()
      return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}

  def describe(self) -> str:
    """Return its version and threads."""
    return f'LiteRT {self._version} on {self._threads} threads'
