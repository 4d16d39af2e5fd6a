"""Rules for what is computed element by element."""

from collections.abc import Callable
from typing import Any

import numpy as np

from posejax.infer.export.program.values import Value, constant, normalized_shape
from posejax.infer.export.program.walk import Rule
from posejax.infer.export.tflite_writer.graph import Graph

_NUMBERS = ('float32', 'int32', 'int64')
_FLOATS = ('float32',)
_OF_TRUTH = ('EQUAL', 'NOT_EQUAL')


def _plain(op: str, dtypes: tuple[str, ...] = _NUMBERS) -> Rule:
  """Return the rule of a primitive that is an operator, on arrays of these types."""

  def rule(graph: Graph, values: list[Value], outs: list, **params) -> Value:
    del params
    (out,) = outs
    if str(values[-1].dtype) not in dtypes:
      raise graph.no_rule(f'{op} of {values[-1].dtype}')
    return graph.each(op, values, normalized_shape(out.shape), out.dtype)

  return rule


def _composed(build: Callable[..., Value]) -> Rule:
  """Return the rule of a primitive that is computed by several operators, of `build(op, *values)`."""

  def rule(graph: Graph, values: list[Value], outs: list, **params) -> Value:
    (out,) = outs

    def op(name: str, *operands: Value, dtype: Any = out.dtype) -> Value:
      return graph.each(name, operands, normalized_shape(out.shape), dtype)

    params.pop('accuracy', None)  # how XLA is to compute it
    return build(op, *values, **params)

  return rule


def _scalar(number: float, like: Value) -> Value:
  return constant(np.asarray(number, like.dtype))


def _is(value: Value, number: float) -> bool:
  return value.is_const and value.const.dtype == np.float32 and bool(np.all(value.const == number))


def _max(graph: Graph, values: list[Value], outs: list) -> Value:
  for x, bound in (values, values[::-1]):
    if _is(bound, 0):
      return _plain('RELU', _FLOATS)(graph, [x], outs)
  return _plain('MAXIMUM')(graph, values, outs)


def _min(graph: Graph, values: list[Value], outs: list) -> Value:
  for x, bound in (values, values[::-1]):
    maker = graph.maker(x)
    if _is(bound, 6) and maker is not None and maker.op == 'RELU':
      return graph.each('RELU6', [graph.value(maker.inputs[0])], x.shape, x.dtype)
  return _plain('MINIMUM')(graph, values, outs)


def _compare(op: str) -> Rule:
  def rule(graph: Graph, values: list[Value], outs: list) -> Value:
    # Of eight bits operators take the quantised ones for granted.
    if values[0].dtype.itemsize == 1 and (values[0].dtype != np.bool_ or op not in _OF_TRUTH):
      values = [graph.cast(value, np.int32) for value in values]
    return graph.each(op, values, normalized_shape(outs[0].shape), np.bool_)

  return rule


def _logical(op: str) -> Rule:
  def rule(graph: Graph, values: list[Value], outs: list) -> Value:
    if values[0].dtype != np.bool_:
      raise graph.no_rule(f'a bitwise {op.removeprefix("LOGICAL_").lower()!r}')
    return graph.each(op, values, normalized_shape(outs[0].shape), np.bool_)

  return rule


def _select_n(graph: Graph, values: list[Value], outs: list) -> Value:
  which, *cases = values
  if which.dtype != np.bool_ or len(cases) != 2:
    raise graph.no_rule("'select_n' by numbers")
  shape = normalized_shape(outs[0].shape)
  return graph.each('SELECT_V2', [which, *cases[::-1]], shape, outs[0].dtype)


def _clamp(graph: Graph, values: list[Value], outs: list) -> Value:
  low, x, high = values
  above = _plain('MAXIMUM')(graph, [x, low], outs)
  return _plain('MINIMUM')(graph, [above, high], outs)


def _convert(graph: Graph, values: list[Value], outs: list, new_dtype, **params) -> Value:
  del params
  (x,), target = values, np.dtype(new_dtype)
  if target == np.bool_ and x.dtype != np.bool_:
    return _compare('NOT_EQUAL')(graph, [x, _scalar(0, x)], outs)
  return graph.cast(x, target)


def _is_finite(graph: Graph, values: list[Value], outs: list) -> Value:
  # NaN is no number to compare with.
  size = graph.each('ABS', values, normalized_shape(outs[0].shape), values[0].dtype)
  return graph.each('LESS', [size, constant(np.float32(np.inf))], size.shape, np.bool_)


def _identity(graph: Graph, values: list[Value], outs: list, **params) -> list[Value]:
  del graph, outs, params
  return values


def _integer_pow(op, x, y):
  if y == 2:
    return op('MUL', x, x)
  return op('POW', x, _scalar(y, x))


def _rem(op, x, y):
  size = op('FLOOR_MOD', op('ABS', x), op('ABS', y))
  return op('MUL', op('SIGN', x), size)


def _round(op, x, rounding_method):
  if int(rounding_method) == 1:  # to the nearest even number
    return op('ROUND', x)
  away = op('FLOOR', op('ADD', op('ABS', x), _scalar(0.5, x)))
  return op('MUL', op('SIGN', x), away)


RULES: dict[str, Rule] = {
  **{
    name: _plain(op)
    for name, op in {
      'abs': 'ABS',
      'add': 'ADD',
      'add_any': 'ADD',
      'div': 'DIV',
      'mul': 'MUL',
      'neg': 'NEG',
      'pow': 'POW',
      'sign': 'SIGN',
      'sub': 'SUB',
    }.items()
  },
  **{
    name: _plain(op, _FLOATS)
    for name, op in {
      'ceil': 'CEIL',
      'cos': 'COS',
      'exp': 'EXP',
      'floor': 'FLOOR',
      'log': 'LOG',
      'logistic': 'LOGISTIC',
      'rsqrt': 'RSQRT',
      'sin': 'SIN',
      'sqrt': 'SQRT',
      'square': 'SQUARE',
      'tanh': 'TANH',
    }.items()
  },
  'and': _logical('LOGICAL_AND'),
  'clamp': _clamp,
  'convert_element_type': _convert,
  'copy': _identity,
  'eq': _compare('EQUAL'),
  'exp2': _composed(lambda op, x: op('EXP', op('MUL', x, _scalar(np.log(2), x)))),
  'expm1': _composed(lambda op, x: op('SUB', op('EXP', x), _scalar(1, x))),
  'ge': _compare('GREATER_EQUAL'),
  'gt': _compare('GREATER'),
  'integer_pow': _composed(_integer_pow),
  'is_finite': _is_finite,
  'le': _compare('LESS_EQUAL'),
  'log1p': _composed(lambda op, x: op('LOG', op('ADD', x, _scalar(1, x)))),
  'lt': _compare('LESS'),
  'max': _max,
  'min': _min,
  'ne': _compare('NOT_EQUAL'),
  'not': _logical('LOGICAL_NOT'),
  'optimization_barrier': _identity,
  'or': _logical('LOGICAL_OR'),
  'rem': _composed(_rem),
  'round': _composed(_round),
  'select_n': _select_n,
  'stop_gradient': _identity,
  'xor': _logical('NOT_EQUAL'),
}
