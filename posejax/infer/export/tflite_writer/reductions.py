"""Rules for what runs along an axis: sums, extremes, their places, cumulative sums and sorting."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from posejax.infer.export.program.values import Value, constant, normalized_shape
from posejax.infer.export.program.walk import Rule
from posejax.infer.export.tflite_writer.graph import Graph


def _reduce(op: str) -> Rule:
  def rule(graph: Graph, values: list[Value], outs: list, axes, **params) -> Value:
    del params
    x, (out,) = graph.whole(values[0]), outs
    if not axes:
      return x
    shape = normalized_shape(out.shape)
    return graph.node(op, [x.name, graph.ints(axes)], shape, x.dtype, keepDims=False)

  return rule


def _place(op: str) -> Rule:
  def rule(graph: Graph, values: list[Value], outs: list, axes, index_dtype) -> Value:
    x, (axis,) = graph.whole(values[0]), axes
    name = graph.initializer(np.int32(axis))
    shape, option = normalized_shape(outs[0].shape), {'outputType': np.dtype(np.int32)}
    return graph.cast(graph.node(op, [x.name, name], shape, np.int32, **option), index_dtype)

  return rule


def _cumsum(graph: Graph, values: list[Value], outs: list, axis, reverse) -> Value:
  del outs
  x = graph.whole(values[0])
  names = [x.name, graph.initializer(np.int32(axis))]
  return graph.node('CUMSUM', names, x.shape, x.dtype, reverse=bool(reverse))


def _best(graph: Graph, x: Value, count: int) -> tuple[Value, Value]:
  """Return the largest along the last axis and their places, the first of equals first."""
  shape = (*x.shape[:-1], count)
  names = [graph.whole(x).name, graph.initializer(np.int32(count))]
  found = graph.nodes('TOPK_V2', names, [(shape, x.dtype), (shape, np.int32)])
  return graph.value(found[0]), graph.value(found[1])


def _top_k(graph: Graph, values: list[Value], outs: list, k, axis=-1, **params) -> list[Value]:
  del params
  (x,) = values
  last = _with_last(len(x.shape), axis)
  found = _best(graph, graph.transposed(x, last), k)
  found, places = (graph.transposed(value, last) for value in found)
  return [found, graph.cast(places, outs[1].dtype)]


def _sort(
  graph: Graph, values: list[Value], outs: list, dimension, num_keys, **params: Any
) -> list[Value]:
  """Write a sort by one key, smallest first, as the largest of what is below 0."""
  del outs, params
  if num_keys != 1:
    raise graph.no_rule("'sort' by several keys")
  last = _with_last(len(values[0].shape), dimension)
  values = [graph.transposed(value, last) for value in values]
  keys = values[0]
  low = graph.each('NEG', [keys], keys.shape, keys.dtype)
  found, places = _best(graph, low, keys.shape[-1])
  results = [graph.each('NEG', [found], keys.shape, keys.dtype)]
  results += [_along_last(graph, value, places) for value in values[1:]]
  return [graph.transposed(value, last) for value in results]


def _with_last(rank: int, axis: int) -> Sequence[int]:
  """Return a permutation that exchanges an axis with the last."""
  order = list(range(rank))
  order[axis], order[-1] = order[-1], order[axis]
  return order


def _along_last(graph: Graph, x: Value, places: Value) -> Value:
  """Return what stands at places of the same shape along the last axis."""
  size = x.shape[-1]
  first = np.arange(int(np.prod(x.shape[:-1])), dtype=np.int32).reshape(*x.shape[:-1], 1) * size
  flat = graph.each('ADD', [places, constant(first, x.shape)], x.shape, np.int32)
  line = graph.reshaped(graph.whole(x), (int(np.prod(x.shape)),))
  found = graph.node('GATHER', [line.name, flat.name], x.shape, x.dtype, axis=0)
  return found


RULES: dict[str, Rule] = {
  'argmax': _place('ARG_MAX'),
  'argmin': _place('ARG_MIN'),
  'cumsum': _cumsum,
  'reduce_and': _reduce('REDUCE_ALL'),
  'reduce_max': _reduce('REDUCE_MAX'),
  'reduce_min': _reduce('REDUCE_MIN'),
  'reduce_or': _reduce('REDUCE_ANY'),
  'reduce_prod': _reduce('REDUCE_PROD'),
  'reduce_sum': _reduce('SUM'),
  'sort': _sort,
  'top_k': _top_k,
}
