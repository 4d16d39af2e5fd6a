"""Rules for what is computed element by element."""

from collections.abc import Callable
from typing import Any

import numpy as np

from posejax.infer.export.onnx_writer.graph import Graph
from posejax.infer.export.program.values import Value, constant, normalized_shape


def _plain(op: str, **attributes) -> Callable:
  def rule(graph: Graph, values: list[Value], outs: list, **params) -> Value:
    del params
    (out,) = outs
    return graph.each(op, values, normalized_shape(out.shape), out.dtype, **attributes)

  return rule


def _logical(op: str) -> Callable:
  def rule(graph: Graph, values: list[Value], outs: list, **params) -> Value:
    if values[0].dtype != np.bool_:
      raise graph.no_rule(f'a bitwise {op!r}')
    return _plain(op)(graph, values, outs, **params)

  return rule


def _composed(build: Callable[..., Value]) -> Callable:
  """Return the rule of a primitive that is computed by several operators, of `build(op, *values)`."""

  def rule(graph: Graph, values: list[Value], outs: list, **params) -> Value:
    (out,) = outs

    def op(name: str, *operands: Value, dtype: Any = out.dtype, **attributes) -> Value:
      return graph.each(name, operands, normalized_shape(out.shape), dtype, **attributes)

    params.pop('accuracy', None)  # how XLA is to compute it
    return build(op, *values, **params)

  return rule


def _scalar(number: float, like: Value) -> Value:
  return constant(np.asarray(number, like.dtype))


def _is_zero(value: Value) -> bool:
  return value.is_const and value.const.dtype == np.float32 and not np.any(value.const)


def _max(graph: Graph, values: list[Value], outs: list) -> Value:
  x, y = values
  if _is_zero(x) or _is_zero(y):
    return _plain('Relu')(graph, [y if _is_zero(x) else x], outs)
  return _plain('Max')(graph, values, outs)


def _compare(op: str) -> Callable:
  def rule(graph: Graph, values: list[Value], outs: list) -> Value:
    if values[0].dtype in (np.dtype('uint8'), np.dtype('int8'), np.dtype('bool')) and op != 'Equal':
      values = [graph.cast(value, np.int32) for value in values]
    return _plain(op)(graph, values, outs)

  return rule


def _not_equal(graph: Graph, values: list[Value], outs: list) -> Value:
  equal = _plain('Equal')(graph, values, outs)
  return graph.value(graph.node('Not', [equal.name]), equal)


def _select_n(graph: Graph, values: list[Value], outs: list) -> Value:
  which, *cases = values
  if which.dtype != np.bool_ or len(cases) != 2:
    raise graph.no_rule("'select_n' by numbers")
  dtype = outs[0].dtype
  if dtype in (np.bool_, np.int8):  # which onnxruntime does not choose between
    cases = [graph.cast(case, np.int32) for case in cases]
  shape = normalized_shape(outs[0].shape)
  return graph.cast(graph.each('Where', [which, *cases[::-1]], shape, cases[0].dtype), dtype)


def _clamp(graph: Graph, values: list[Value], outs: list) -> Value:
  low, x, high = values
  above = _plain('Max')(graph, [x, low], outs)
  return _plain('Min')(graph, [above, high], outs)


def _convert(graph: Graph, values: list[Value], outs: list, new_dtype, **params) -> Value:
  del params
  (x,), target = values, np.dtype(new_dtype)
  if x.dtype.kind == 'f' and target == np.bool_:
    return _not_equal(graph, [x, _scalar(0, x)], outs)
  return graph.cast(x, target)


def _is_finite(graph: Graph, values: list[Value], outs: list) -> Value:
  # NaN is no number to compare with.
  size = graph.each('Abs', values, normalized_shape(outs[0].shape), values[0].dtype)
  infinity = constant(np.float32(np.inf))
  return graph.each('Less', [size, infinity], size.shape, np.bool_)


def _identity(graph: Graph, values: list[Value], outs: list, **params) -> list[Value]:
  del graph, outs, params
  return values


def _integer_pow(op, x, y):
  if y == 2:
    return op('Mul', x, x)
  return op('Pow', x, _scalar(y, x))


def _round(op, x, rounding_method):
  if int(rounding_method) == 1:  # to the nearest even number
    return op('Round', x)
  away = op('Floor', op('Add', op('Abs', x), _scalar(0.5, x)))
  return op('Mul', op('Sign', x), away)


def _rsqrt(op, x):
  return op('Reciprocal', op('Sqrt', x))


def _one_minus(op, x):
  return op('Sub', _scalar(1, x), x)


RULES: dict[str, Callable] = {
  **{
    name: _plain(op)
    for name, op in {
      'abs': 'Abs',
      'add': 'Add',
      'add_any': 'Add',
      'ceil': 'Ceil',
      'cos': 'Cos',
      'div': 'Div',
      'eq': 'Equal',
      'erf': 'Erf',
      'exp': 'Exp',
      'floor': 'Floor',
      'log': 'Log',
      'logistic': 'Sigmoid',
      'min': 'Min',
      'mul': 'Mul',
      'neg': 'Neg',
      'pow': 'Pow',
      'sign': 'Sign',
      'sin': 'Sin',
      'sqrt': 'Sqrt',
      'sub': 'Sub',
      'tanh': 'Tanh',
    }.items()
  },
  'and': _logical('And'),
  'clamp': _clamp,
  'convert_element_type': _convert,
  'copy': _identity,
  'erfc': _composed(lambda op, x: _one_minus(op, op('Erf', x))),
  'exp2': _composed(lambda op, x: op('Exp', op('Mul', x, _scalar(np.log(2), x)))),
  'expm1': _composed(lambda op, x: op('Sub', op('Exp', x), _scalar(1, x))),
  'ge': _compare('GreaterOrEqual'),
  'gt': _compare('Greater'),
  'integer_pow': _composed(_integer_pow),
  'is_finite': _is_finite,
  'le': _compare('LessOrEqual'),
  'log1p': _composed(lambda op, x: op('Log', op('Add', x, _scalar(1, x)))),
  'lt': _compare('Less'),
  'max': _max,
  'ne': _not_equal,
  'not': _logical('Not'),
  'optimization_barrier': _identity,
  'or': _logical('Or'),
  'rem': _plain('Mod', fmod=1),
  'round': _composed(_round),
  'rsqrt': _composed(_rsqrt),
  'select_n': _select_n,
  'square': _composed(lambda op, x: op('Mul', x, x)),
  'stop_gradient': _identity,
  'xor': _logical('Xor'),
}
