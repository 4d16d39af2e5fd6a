"""Rules for what runs along an axis: sums, extremes, their places, cumulative sums and sorting."""

from collections.abc import Callable
from typing import Any

import numpy as np

from posejax.infer.export.onnx_writer.graph import Graph
from posejax.infer.export.program.values import Value, normalized_shape


def _reduce(op: str) -> Callable:
  def rule(graph: Graph, values: list[Value], outs: list, axes, **params) -> Value:
    del params
    return _reduced(graph, op, graph.whole(values[0]), axes)

  return rule


def _reduced(graph: Graph, op: str, x: Value, axes: tuple[int, ...]) -> Value:
  left = [axis for axis in range(len(x.shape)) if axis not in axes]
  places = graph.ints(x.axis(axis) for axis in axes)
  name = graph.node(op, [x.name, places], keepdims=0) if axes else x.name
  order = [left.index(axis) for axis in x.order if axis in left]
  return graph.laid(name, tuple(x.shape[axis] for axis in left), x.dtype, order)


def _reduce_bool(op: str) -> Callable:
  def rule(graph: Graph, values: list[Value], outs: list, axes, **params) -> Value:
    del params
    numbers = graph.cast(graph.whole(values[0]), np.int32)
    return graph.cast(_reduced(graph, op, numbers, axes), np.bool_)

  return rule


def _place(op: str) -> Callable:
  def rule(graph: Graph, values: list[Value], outs: list, axes, index_dtype) -> Value:
    x, (axis,) = graph.whole(values[0]), axes
    name = graph.node(op, [x.name], axis=x.axis(axis), keepdims=0)
    left = [a for a in range(len(x.shape)) if a != axis]
    order = [left.index(a) for a in x.order if a != axis]
    shape = tuple(x.shape[a] for a in left)
    return graph.cast(graph.laid(name, shape, np.int64, order), index_dtype)

  return rule


def _cumsum(graph: Graph, values: list[Value], outs: list, axis, reverse) -> Value:
  x = graph.whole(values[0])
  place = graph.initializer(np.int64(x.axis(axis)))
  return graph.value(graph.node('CumSum', [x.name, place], reverse=int(reverse)), x)


def _best(graph: Graph, x: Value, axis: int, count: int, largest: bool) -> tuple[Value, Value]:
  x = graph.whole(x, range(len(x.shape)))
  shape = tuple(count if a == axis else size for a, size in enumerate(x.shape))
  names = graph.node(
    'TopK', [x.name, graph.ints([count])], 2, axis=axis, largest=int(largest), sorted=1
  )
  return graph.laid(names[0], shape, x.dtype), graph.laid(names[1], shape, np.int64)


def _top_k(graph: Graph, values: list[Value], outs: list, k, axis=-1, **params) -> list[Value]:
  del params
  found, places = _best(graph, values[0], axis % len(outs[0].shape), k, largest=True)
  return [found, graph.cast(places, outs[1].dtype)]


def _sort(
  graph: Graph, values: list[Value], outs: list, dimension, num_keys, **params: Any
) -> list:
  del params
  count = values[0].shape[dimension]
  if num_keys != 1 or not isinstance(count, int):
    raise graph.no_rule("'sort' by several keys or along the batch")
  keys, places = _best(graph, values[0], dimension, count, largest=False)
  others = []
  for value in values[1:]:
    x = graph.whole(value, range(len(value.shape)))
    name = graph.node('GatherElements', [x.name, places.name], axis=dimension)
    others.append(graph.laid(name, normalized_shape(outs[0].shape), value.dtype))
  return [keys, *others]


RULES: dict[str, Callable] = {
  'argmax': _place('ArgMax'),
  'argmin': _place('ArgMin'),
  'cumsum': _cumsum,
  'reduce_and': _reduce_bool('ReduceMin'),
  'reduce_max': _reduce('ReduceMax'),
  'reduce_min': _reduce('ReduceMin'),
  'reduce_or': _reduce_bool('ReduceMax'),
  'reduce_prod': _reduce('ReduceProd'),
  'reduce_sum': _reduce('ReduceSum'),
  'sort': _sort,
  'top_k': _top_k,
}
