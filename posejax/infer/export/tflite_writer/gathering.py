"""The rule for XLA's gather, in the forms that indexing and `take_along_axis` give it."""

import math
from typing import Any

import numpy as np

from posejax.infer.export.program import gathers
from posejax.infer.export.program.values import Value, constant, full_const, normalized_shape
from posejax.infer.export.program.walk import Rule
from posejax.infer.export.tflite_writer import layout
from posejax.infer.export.tflite_writer.graph import Graph


def _gather(
  graph: Graph,
  values: list[Value],
  outs: list,
  dimension_numbers,
  slice_sizes,
  mode,
  fill_value,
  **params,
) -> Value:
  del params
  x, indices = values
  shape, sizes, numbers = normalized_shape(outs[0].shape), slice_sizes, dimension_numbers
  if len(indices.shape) == 1:
    return _one_window(graph, x, indices, numbers, sizes)
  if indices.is_const and not numbers.operand_batching_dims:
    starts, known, numbers = gathers.same_starts(full_const(indices), numbers)
    for axis, start in starts.items():
      cut = tuple(sizes[axis] if a == axis else size for a, size in enumerate(x.shape))
      x = layout.moving_slice(graph, x, {axis: constant(start)}, cut)
    apart = gathers.apart(known, numbers, x.shape)
    if apart is not None:
      return _by_axis(graph, x, apart, numbers)
    indices = constant(known)
  rest = gathers.taken_whole(graph, x.shape, numbers, sizes)
  indices = graph.cast(indices, np.int32)
  ends = np.array([x.shape[axis] - 1 for axis in numbers.start_index_map], np.int32)
  inside = graph.each('MINIMUM', [indices, _along_last(ends, indices)], indices.shape, np.int32)
  inside = graph.each('MAXIMUM', [inside, constant(np.int32(0))], indices.shape, np.int32)
  found = _at_places(graph, x, inside, numbers, rest)
  if 'FILL' not in str(mode):
    return found
  same = graph.each('EQUAL', [inside, indices], indices.shape, np.bool_)
  last = len(indices.shape) - 1
  valid = graph.node('REDUCE_ALL', [same.name, graph.ints([last])], indices.shape[:last], np.bool_)
  free = [axis for axis in range(len(shape)) if axis not in numbers.offset_dims]
  valid = layout.spread(graph, valid, shape, free)
  fill = constant(np.asarray(_fill(fill_value, x.dtype), x.dtype))
  return graph.each('SELECT_V2', [valid, found, fill], shape, x.dtype)


def _fill(value: Any, dtype: np.dtype) -> Any:
  if value is not None:
    return value
  return np.nan if dtype.kind == 'f' else np.iinfo(dtype).min


def _along_last(line: np.ndarray, like: Value) -> Value:
  """Return numbers `[n]` as the last axis of an array of like shape, repeated along the others."""
  return constant(line.reshape((1,) * (len(like.shape) - 1) + line.shape), like.shape)


def _one_window(graph: Graph, x: Value, indices: Value, numbers, sizes: tuple) -> Value:
  """Return one slice; where it starts may be known only when it runs."""
  starts = {}
  for i, axis in enumerate(numbers.start_index_map):
    if indices.is_const:
      starts[axis] = constant(full_const(indices)[i])
    else:
      starts[axis] = layout.squeezed(graph, graph.cut(indices, (1,), [i], [1]), [0])
  found = layout.moving_slice(graph, x, starts, sizes)
  return layout.squeezed(graph, found, numbers.collapsed_slice_dims)


def _by_axis(graph: Graph, x: Value, places: dict[int, np.ndarray], numbers) -> Value:
  """Take known places along axes, one axis after the other."""
  for axis, along in places.items():
    if not np.array_equal(along, np.arange(x.shape[axis])):
      x = layout.taken(graph, x, constant(along.astype(np.int32)), axis)
  target = gathers.axes_apart(places, numbers, len(x.shape))
  return graph.transposed(x, [target.index(axis) for axis in range(len(target))])


def _at_places(graph: Graph, x: Value, inside: Value, numbers, rest: list[int]) -> Value:
  """Take elements at places that are known only when it runs, all of them inside.

  They are counted through as they lie, so that nothing need be transposed: a place is the sum of the
  indices times the strides of their axes, and of what is taken of every other axis but the last ones.
  """
  *lead, count = inside.shape
  rank = len(x.shape)
  tail = next((i for i in range(rank) if rank - 1 - i not in rest), rank)
  inner = math.prod(x.shape[rank - tail :])
  strides = {axis: math.prod(x.shape[axis + 1 :]) // inner for axis in range(rank - tail)}
  moved = [axis for axis in rest if axis < rank - tail]
  step = np.array([strides[axis] for axis in numbers.start_index_map], np.int32)
  places = graph.each('MUL', [inside, _along_last(step, inside)], inside.shape, np.int32)
  if count > 1:
    places = graph.node('SUM', [places.name, graph.ints([len(lead)])], lead, np.int32)
  shape = (*lead, *(x.shape[axis] for axis in moved))
  places = layout.spread(graph, graph.reshaped(places, lead), shape, range(len(lead)))
  others = np.zeros([1] * len(shape), np.int32)
  along = dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
  along |= {axis: len(lead) + i for i, axis in enumerate(moved)}
  for axis, place in along.items():
    line = np.arange(x.shape[axis], dtype=np.int32) * strides[axis]
    others = others + line.reshape([-1 if a == place else 1 for a in range(len(shape))])
  if others.any():
    places = graph.each('ADD', [places, constant(others, shape)], shape, np.int32)
  rows = graph.reshaped(graph.whole(x), (math.prod(x.shape) // inner, inner))
  found = layout.taken(graph, rows, graph.reshaped(graph.whole(places), (math.prod(shape),)), 0)
  found = graph.reshaped(found, (*shape, *x.shape[rank - tail :]))
  # Axes of the indices stand in their order in the result, between the others.
  offsets = list(numbers.offset_dims)
  free = [axis for axis in range(len(found.shape)) if axis not in offsets]
  target = [*free, *offsets]
  return graph.transposed(found, [target.index(axis) for axis in range(len(target))])


RULES: dict[str, Rule] = {'gather': _gather}
