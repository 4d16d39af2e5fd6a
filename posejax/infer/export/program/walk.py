"""A pure JAX function as a graph: a walk over its jaxpr, one rule for each primitive.

Whatever depends on constants only is computed now. Calls are walked into; where there are forms for
several platforms, the general one is taken.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import jax
from jax.extend import core
import numpy as np

from posejax.infer.export.program import resizing, windows
from posejax.infer.export.program.values import (
  Graph,
  Value,
  constant,
  full_const,
  normalized_shape,
)

Rule = Callable[..., Value | list[Value]]
"""`(graph, values, outs, **params)`: the operands, the results' shapes and types, and the primitive's
parameters; returns the result, or a list of several."""

_CALLS = {
  'checkpoint',
  'closed_call',
  'core_call',
  'custom_jvp_call',
  'custom_vjp_call',
  'jit',
  'pjit',
}


def write(
  graph: Graph,
  rules: Mapping[str, Rule],
  fn: Callable[..., Mapping[str, jax.Array]],
  inputs: Mapping[str, jax.ShapeDtypeStruct],
) -> dict[str, Value]:
  """Write a function of arrays into a graph; return what it returns, by name.

  What it closes over becomes constants.

  Args:
    graph: to add to.
    rules: by the primitive's name.
    fn: called with the inputs by name; returns named arrays.
    inputs: shapes and types.

  Raises:
    CannotWriteError: the function computes something that there is no rule for (named), or in a type that
      the graph has not.
  """
  names = list(inputs)
  closed, outputs = jax.make_jaxpr(
    lambda *args: dict(fn(**dict(zip(names, args, strict=True)))), return_shape=True
  )(*inputs.values())
  arguments = [
    graph.add_input(name, normalized_shape(of.shape), of.dtype) for name, of in inputs.items()
  ]
  values = _Walk(graph, rules).into(closed.jaxpr, closed.consts, arguments)
  return jax.tree.unflatten(jax.tree.structure(outputs), values)


@dataclasses.dataclass(frozen=True)
class _Walk:
  graph: Graph
  rules: Mapping[str, Rule]

  def into(self, jaxpr: Any, consts: list, arguments: list[Value]) -> list[Value]:
    """Write a jaxpr's equations; return its results."""
    known: dict[Any, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
    for variable, array in zip(jaxpr.constvars, consts, strict=True):
      known[variable] = constant(np.asarray(array, variable.aval.dtype))

    def read(atom) -> Value:
      if isinstance(atom, core.Literal):
        return constant(np.asarray(atom.val, atom.aval.dtype))
      return known[atom]

    for equation in jaxpr.eqns:
      results = self._write(equation, [read(atom) for atom in equation.invars])
      known.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]

  def _write(self, equation: Any, values: list[Value]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    if name == 'platform_index':
      return [constant(np.int32(_general(params['platforms'])))]
    if name == 'cond':
      return self._inline(self._branch(params['branches'], values[0]), values[1:])
    if name in _CALLS:
      return self._inline(params.get('call_jaxpr', params.get('jaxpr')), values)
    shapes = [normalized_shape(variable.aval.shape) for variable in equation.outvars]
    static = all(isinstance(size, int) for shape in shapes for size in shape)
    # Repeating what is known is put off, and sizes that depend on the batch are not known.
    put_off = name in ('broadcast_in_dim', 'dim_as_value')
    if static and not put_off and all(value.is_const and value.is_static for value in values):
      return _compute(equation, values)
    if name not in self.rules:
      raise self.graph.no_rule(repr(name))
    for variable in equation.outvars:
      self.graph.check_dtype(variable.aval.dtype)
    return self._by_rule(equation, values, shapes)

  def _by_rule(self, equation: Any, values: list[Value], shapes: list[tuple]) -> list[Value]:
    """Write an equation by its rule, or by one operator for it and what led to it."""
    name, params = equation.primitive.name, equation.params
    made = windows.made(name, values, shapes, params) or resizing.made(name, values, shapes, params)
    for kind in (windows, resizing) if made else ():
      whole = kind.as_one(self.graph, made)
      if whole is not None:
        return [whole]
    outs = [variable.aval for variable in equation.outvars]
    results = self.rules[name](self.graph, values, outs, **params)
    results = results if isinstance(results, list) else [results]
    return [dataclasses.replace(results[0], made=made), *results[1:]] if made else results

  def _inline(self, called: Any, values: list[Value]) -> list[Value]:
    if isinstance(called, core.ClosedJaxpr):
      return self.into(called.jaxpr, called.consts, values)
    return self.into(called, [], values)

  def _branch(self, branches: tuple, index: Value) -> Any:
    if not index.is_const:
      raise self.graph.no_rule("'cond' by what it sees")
    return branches[int(np.clip(full_const(index), 0, len(branches) - 1))]


def _general(platforms: tuple) -> int:
  """Return which of the forms for several platforms to write: that for all others, else the CPU's."""
  for i, some in enumerate(platforms):
    if some is None:
      return i
  return next((i for i, some in enumerate(platforms) if 'cpu' in some), 0)


def _compute(equation: Any, values: list[Value]) -> list[Value]:
  arrays = [full_const(value) for value in values]
  found = equation.primitive.bind(*arrays, **equation.params)
  found = found if equation.primitive.multiple_results else [found]
  return [constant(np.asarray(array)) for array in found]
