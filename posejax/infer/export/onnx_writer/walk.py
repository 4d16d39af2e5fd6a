"""A pure JAX function as an ONNX graph: a walk over its jaxpr, one rule for each primitive."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.extend import core
import numpy as np
import onnx

from posejax.infer.export.onnx_writer import (
  elementwise,
  gathering,
  layout,
  products,
  reductions,
  rewriting,
)
from posejax.infer.export.onnx_writer.graph import (
  Graph,
  Value,
  check_dtype,
  constant,
  full_const,
  no_rule,
  normalized_shape,
)

_CALLS = {
  'checkpoint',
  'closed_call',
  'core_call',
  'custom_jvp_call',
  'custom_vjp_call',
  'jit',
  'pjit',
}
_RULES: dict[str, Callable] = {
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

  What it closes over becomes constants of the model; whatever depends on constants only is computed
  now. Where it has forms for several platforms, the general one is taken.

  Args:
    fn: called with the inputs by name; returns named arrays.
    inputs: shapes and types. Sizes may be symbols of `jax.export.symbolic_shape`: those of the model's
      inputs of any size, such as the batch.
    metadata: text for the model to carry.

  Raises:
    PosejaxError: the function computes something that there is no rule for (named), or in bfloat16.
  """
  names = list(inputs)
  closed, outputs = jax.make_jaxpr(
    lambda *args: dict(fn(**dict(zip(names, args, strict=True)))), return_shape=True
  )(*inputs.values())
  graph = Graph()
  arguments = [
    graph.add_input(name, normalized_shape(of.shape), of.dtype) for name, of in inputs.items()
  ]
  values = _walk(graph, closed.jaxpr, closed.consts, arguments)
  leaves, structure = jax.tree.flatten(outputs)
  del leaves
  model = graph.finish(jax.tree.unflatten(structure, values))
  rewriting.rewrite(model)
  for key, text in (metadata or {}).items():
    entry = model.metadata_props.add()
    entry.key, entry.value = key, text
  onnx.checker.check_model(model)
  return model


def _walk(graph: Graph, jaxpr: Any, consts: list, arguments: list[Value]) -> list[Value]:
  known: dict[Any, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
  for variable, array in zip(jaxpr.constvars, consts, strict=True):
    known[variable] = constant(np.asarray(array, variable.aval.dtype))

  def read(atom) -> Value:
    if isinstance(atom, core.Literal):
      return constant(np.asarray(atom.val, atom.aval.dtype))
    return known[atom]

  for equation in jaxpr.eqns:
    results = _write(graph, equation, [read(atom) for atom in equation.invars])
    known.update(zip(equation.outvars, results, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def _write(graph: Graph, equation: Any, values: list[Value]) -> list[Value]:
  name, params = equation.primitive.name, equation.params
  if name == 'platform_index':
    return [constant(np.int32(_general(params['platforms'])))]
  if name == 'cond':
    return _inline(graph, _branch(params['branches'], values[0]), values[1:])
  if name in _CALLS:
    return _inline(graph, params.get('call_jaxpr', params.get('jaxpr')), values)
  shapes = [normalized_shape(variable.aval.shape) for variable in equation.outvars]
  static = all(isinstance(size, int) for shape in shapes for size in shape)
  # Repeating what is known is put off, and sizes that depend on the batch are not known.
  put_off = name in ('broadcast_in_dim', 'dim_as_value')
  if static and not put_off and all(value.is_const and value.is_static for value in values):
    return _compute(equation, values)
  if name not in _RULES:
    raise no_rule(repr(name))
  for variable in equation.outvars:
    check_dtype(variable.aval.dtype)
  result = _RULES[name](graph, values, [variable.aval for variable in equation.outvars], **params)
  return result if isinstance(result, list) else [result]


def _inline(graph: Graph, called: Any, values: list[Value]) -> list[Value]:
  if isinstance(called, core.ClosedJaxpr):
    return _walk(graph, called.jaxpr, called.consts, values)
  return _walk(graph, called, [], values)


def _general(platforms: tuple) -> int:
  """Return which of the forms for several platforms to write: that for all others, else the CPU's."""
  for i, some in enumerate(platforms):
    if some is None:
      return i
  return next((i for i, some in enumerate(platforms) if 'cpu' in some), 0)


def _branch(branches: tuple, index: Value) -> Any:
  if not index.is_const:
    raise no_rule("'cond' by what it sees")
  return branches[int(np.clip(full_const(index), 0, len(branches) - 1))]


def _compute(equation: Any, values: list[Value]) -> list[Value]:
  arrays = [full_const(value) for value in values]
  found = equation.primitive.bind(*arrays, **equation.params)
  found = found if equation.primitive.multiple_results else [found]
  return [constant(np.asarray(array)) for array in found]
