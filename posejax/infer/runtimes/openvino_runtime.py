"""The home of OpenVINO: ONNX models on the CPU, in float32, bfloat16, or 8-bit where the model is."""

from collections.abc import Mapping
import io
import sys

import numpy as np

from posejax.errors import PosejaxError, nearest
from posejax.infer.runtimes.base import Runtime, library, num_threads

PRECISIONS = {'float32': 'f32', 'bfloat16': 'bf16'}


class OpenVino(Runtime):
  """An ONNX model, compiled by OpenVINO."""

  name = 'openvino'

  def __init__(self, model: bytes, precision: str = 'float32', threads: int | None = None):
    """Compile it.

    Args:
      model: ONNX; an 8-bit one computes in 8 bits where it says so, and the rest in `precision`.
      precision: 'float32', or 'bfloat16', which is faster and rounds more.
      threads: to compute on; as many as there are processors unless given.

    Raises:
      PosejaxError: no such precision.
      NotInstalledError: OpenVINO is not installed.
    """
    if precision not in PRECISIONS:
      raise PosejaxError(f'OpenVINO computes in no {precision!r}.' + nearest(precision, PRECISIONS))
    # Where it finds this package, importing OpenVINO forks a process that reports it over the network.
    sys.modules.setdefault('openvino_telemetry', None)
    openvino = library('openvino', 'openvino')
    self._precision, self._threads = precision, threads or num_threads()
    settings = {
      # Without it a processor that has bfloat16 computes in that.
      'INFERENCE_PRECISION_HINT': PRECISIONS[precision],
      'INFERENCE_NUM_THREADS': self._threads,
      'PERFORMANCE_HINT': 'LATENCY',
    }
    core = openvino.Core()
    graph = core.read_model(io.BytesIO(model))
    # A tensor has several names; that of the result is the model's output.
    self._outputs = [
      node.get_friendly_name().split('/sink_port')[0] for node in graph.get_results()
    ]
    self._model = core.compile_model(graph, 'CPU', settings)
    self._version = openvino.__version__.split('-')[0]

  def _run(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    del count  # of any
    request = self._model.create_infer_request()
    request.infer(dict(inputs))
    return {name: request.get_output_tensor(i).data.copy() for i, name in enumerate(self._outputs)}

  def describe(self) -> str:
    """Return its version, precision and threads."""
    return f'OpenVINO {self._version} in {self._precision} on {self._threads} threads'
