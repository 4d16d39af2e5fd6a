"""Files of a whole pipeline, each tried before it is left on the disk."""

from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np

from posejax.infer.export import check, stablehlo
from posejax.infer.export.pipeline import Pipeline
from posejax.infer.runtimes.base import library
from posejax.infer.runtimes.litert_runtime import LiteRt
from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
from posejax.infer.runtimes.xla import Xla

METADATA_KEY = 'posejax'
"""Under which an ONNX or TensorFlow Lite model carries `Pipeline.description`."""


def onnx_bytes(pipeline: Pipeline) -> bytes:
  """Return a pipeline as an ONNX model.

  Raises:
    PosejaxError: there is no rule for something that the net computes, or onnx is not installed.
  """
  metadata = {METADATA_KEY: pipeline.description()}
  return (
    _needing_onnx('onnx_writer.model')
    .to_onnx(pipeline, pipeline.inputs(), metadata)
    .SerializeToString()
  )


def write_onnx(
  path: str, pipeline: Pipeline, inputs: Mapping[str, np.ndarray] | None = None
) -> check.Agreement:
  """Write a pipeline as an ONNX model, and run it by onnxruntime to see that it answers as the net does.

  Args:
    path: to write to.
    pipeline: in float32.
    inputs: to try it with, three examples at least; drawn pictures unless given.

  Raises:
    PosejaxError: it cannot be written or would answer otherwise, or onnx or onnxruntime is missing.
  """
  return check.write(
    path,
    onnx_bytes(pipeline),
    lambda data: _agreement(path, OnnxRuntime(data), pipeline, inputs),
  )


def tflite_bytes(pipeline: Pipeline, half: bool = False) -> bytes:
  """Return a pipeline as a TensorFlow Lite model for one example.

  Args:
    pipeline: to write.
    half: store weights in half precision; computed with they are in single precision.

  Raises:
    PosejaxError: there is no rule for something that the net computes, or LiteRT is not installed.
  """
  library('ai_edge_litert', 'litert')
  model = library('posejax.infer.export.tflite_writer.model', 'litert')
  return model.to_tflite(pipeline, pipeline.inputs(1), {METADATA_KEY: pipeline.description()}, half)


def write_tflite(
  path: str,
  pipeline: Pipeline,
  inputs: Mapping[str, np.ndarray] | None = None,
  half: bool = False,
) -> check.Agreement:
  """Write a pipeline as a TensorFlow Lite model, and run it by LiteRT to see that it answers as the net.

  Args:
    path: to write to.
    pipeline: in float32.
    inputs: to try it with, three examples at least; drawn pictures unless given.
    half: store weights in half precision, in half the space.

  Raises:
    PosejaxError: it cannot be written or would answer otherwise, or LiteRT is missing.
  """
  return check.write(
    path,
    tflite_bytes(pipeline, half),
    lambda data: _agreement(path, LiteRt(data), pipeline, inputs, half),
  )


def write_stablehlo(
  path: str,
  pipeline: Pipeline,
  inputs: Mapping[str, np.ndarray] | None = None,
  platforms: Sequence[str] = stablehlo.PLATFORMS,
) -> check.Agreement:
  """Write a pipeline as StableHLO, and run it to see that it answers as the net does.

  Args:
    path: to write to.
    pipeline: to write.
    inputs: to try it with, three examples at least; drawn pictures unless given.
    platforms: what it can run on; the one at hand is among them.

  Raises:
    PosejaxError: it cannot be written or would answer otherwise.
  """
  data = stablehlo.to_stablehlo(pipeline, pipeline.inputs(), pipeline.description(), platforms)
  return check.write(
    path, data, lambda read: _agreement(path, stablehlo.read(read)[0], pipeline, inputs)
  )


def write_int8(
  path: str,
  pipeline: Pipeline,
  calibration: np.ndarray,
  images: np.ndarray,
  cell: tuple[float, float],
) -> 'quantize.Moved':  # noqa: F821 (of a module that needs onnx)
  """Write a pipeline as an 8-bit ONNX model; return what that does to keypoints.

  Args:
    path: to write to.
    pipeline: in float32, keypoints in crops.
    calibration: uint8 `[N, H, W, 3]` crops; see `posejax.infer.export.quantize.quantize`.
    images: uint8 `[M, H, W, 3]` other crops, on which both forms are compared.
    cell: (x, y) pixels of the crop for each cell of the heatmap.

  Raises:
    PosejaxError: as `write_onnx`, or crops of the wrong form.
  """
  quantize = _needing_onnx('quantize')
  exact = onnx_bytes(pipeline)
  reference = OnnxRuntime(exact)({'images': images})

  def verify(data: bytes) -> quantize.Moved:
    moved = quantize.moved(OnnxRuntime(data)({'images': images}), reference, cell)
    return check.demand(path, moved)

  return check.write(path, quantize.quantize(exact, calibration), verify)


def _agreement(path, run, pipeline, inputs, half=False) -> check.Agreement:
  if inputs is None:
    inputs = check.try_inputs(pipeline.crop_size, pipeline.in_image)
  return check.demand(path, check.agreement(run, Xla(pipeline), inputs, half))


def _needing_onnx(module: str) -> ModuleType:
  """Return a module of this package that imports onnx, which is optional."""
  library('onnx', 'export')
  return library(f'posejax.infer.export.{module}', 'export')
