"""A pure JAX function as an ONNX model."""

from collections.abc import Callable, Mapping

import jax
import onnx

from posejax.infer.export.onnx_writer import (
  elementwise,
  gathering,
  layout,
  products,
  reductions,
  rewriting,
)
from posejax.infer.export.onnx_writer.graph import Graph
from posejax.infer.export.program import walk

_RULES: dict[str, walk.Rule] = {
  **elementwise.RULES,
  **gathering.RULES,
  **layout.RULES,
  **products.RULES,
  **reductions.RULES,
}


def to_onnx(
  fn: Callable[..., Mapping[str, jax.Array]],
  inputs: Mapping[str, jax.ShapeDtypeStruct],
  metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
  """Write a function of arrays as an ONNX model (opset 18).

  Args:
    fn: called with the inputs by name; returns named arrays. What it closes over becomes constants.
    inputs: shapes and types. Sizes may be symbols of `jax.export.symbolic_shape`: those of the model's
      inputs of any size, such as the batch.
    metadata: text for the model to carry.

  Raises:
    CannotWriteError: the function computes something that there is no rule for (named), or in bfloat16.
  """
  graph = Graph()
  model = graph.finish(walk.write(graph, _RULES, fn, inputs))
  rewriting.rewrite(model)
  for key, text in (metadata or {}).items():
    entry = model.metadata_props.add()
    entry.key, entry.value = key, text
  onnx.checker.check_model(model)
  return model
