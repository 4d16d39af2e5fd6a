"""The home of onnxruntime: running ONNX models, and making them 8-bit."""

from collections.abc import Iterable, Mapping, Sequence
import logging
import os
import tempfile
from typing import Any

import numpy as np

from posejax.infer.runtimes.base import Runtime, library, num_threads


class OnnxRuntime(Runtime):
  """An ONNX model on the CPU."""

  name = 'onnx'

  def __init__(self, model: bytes, threads: int | None = None):
    """Load it.

    Args:
      model: ONNX.
      threads: to compute on; as many as there are processors unless given.

    Raises:
      NotInstalledError: onnxruntime is not installed.
    """
    ort = library('onnxruntime', 'export')
    options = ort.SessionOptions()
    self._threads = options.intra_op_num_threads = threads or num_threads()
    options.log_severity_level = 3
    # Idle threads that look out for work take it from decoding and drawing.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    self._session = ort.InferenceSession(model, options, providers=['CPUExecutionProvider'])
    self._outputs = [output.name for output in self._session.get_outputs()]
    self._version = ort.__version__

  def _run(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    del count  # of any
    outputs = self._session.run(self._outputs, dict(inputs))
    return dict(zip(self._outputs, outputs, strict=True))

  def describe(self) -> str:
    """Return its version and threads."""
    return f'onnxruntime {self._version} on {self._threads} threads'


def quantize_static(
  model: Any, batches: Iterable[Mapping[str, np.ndarray]], nodes: Sequence[str]
) -> bytes:
  """Return the model in QDQ form, 8-bit, weights by channel, maps by their smallest and largest values.

  Args:
    model: onnx.ModelProto in float32.
    batches: inputs to run for those values.
    nodes: names of what is quantised.

  Raises:
    NotInstalledError: onnxruntime is not installed.
  """
  quantization = library('onnxruntime.quantization', 'export')

  class Reader(quantization.CalibrationDataReader):
    def __init__(self):
      self._batches = iter(batches)

    def get_next(self):
      return next(self._batches, None)

  level = logging.getLogger().level
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'model.onnx')
    try:
      logging.getLogger().setLevel(logging.ERROR)  # it advises on every call what is done already
      quantization.quantize_static(
        model,
        path,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        nodes_to_quantize=list(nodes),
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
      )
    finally:
      logging.getLogger().setLevel(level)
    with open(path, 'rb') as file:
      return file.read()
