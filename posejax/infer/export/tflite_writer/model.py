"""A pure JAX function as a TensorFlow Lite model."""

from collections.abc import Callable, Mapping

import jax

from posejax.infer.export.program import walk
from posejax.infer.export.tflite_writer import (
  elementwise,
  flatbuffer,
  gathering,
  layout,
  products,
  reductions,
  rewriting,
)
from posejax.infer.export.tflite_writer.graph import Graph

_RULES: dict[str, walk.Rule] = {
  **elementwise.RULES,
  **gathering.RULES,
  **layout.RULES,
  **products.RULES,
  **reductions.RULES,
}


def to_tflite(
  fn: Callable[..., Mapping[str, jax.Array]],
  inputs: Mapping[str, jax.ShapeDtypeStruct],
  metadata: Mapping[str, str] | None = None,
  half: bool = False,
) -> bytes:
  """Write a function of arrays as a TensorFlow Lite model, which has one signature.

  Args:
    fn: called with the inputs by name; returns named arrays. What it closes over becomes constants.
    inputs: shapes, of known sizes, and types.
    metadata: text for the model to carry.
    half: store weights in half precision; what is computed with them is in single precision.

  Raises:
    CannotWriteError: the function computes something that there is no rule for (named), or in bfloat16.
  """
  graph = Graph()
  model = rewriting.rewrite(graph.finish(walk.write(graph, _RULES, fn, inputs)))
  return flatbuffer.serialize(rewriting.halve(model) if half else model, metadata or {})
