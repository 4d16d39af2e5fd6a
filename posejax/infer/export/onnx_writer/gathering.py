"""The rule for XLA's gather, in the forms that indexing and `take_along_axis` give it."""

from collections.abc import Callable

import numpy as np

from posejax.infer.export.onnx_writer import layout
from posejax.infer.export.onnx_writer.graph import Graph
from posejax.infer.export.program import gathers
from posejax.infer.export.program.values import Value, constant, full_const, normalized_shape


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
  shape, sizes = normalized_shape(outs[0].shape), normalized_shape(slice_sizes)
  numbers = dimension_numbers
  if len(indices.shape) == 1:
    return _one_window(graph, x, indices, numbers, sizes)
  if indices.is_const and indices.is_static and not numbers.operand_batching_dims:
    starts, known, numbers = gathers.same_starts(full_const(indices), numbers)
    for axis, start in starts.items():
      cut = tuple(sizes[axis] if a == axis else size for a, size in enumerate(x.shape))
      x = layout.moving_slice(graph, x, {axis: constant(start)}, cut)
    apart = gathers.apart(known, numbers, x.shape)
    if apart is not None:
      return _by_axis(graph, x, apart, numbers, shape)
    indices = constant(known)
  rest = gathers.taken_whole(graph, x.shape, numbers, sizes)
  return _at_places(graph, x, indices, numbers, rest, shape, mode, fill_value)


def _one_window(graph: Graph, x: Value, indices: Value, numbers, sizes: tuple) -> Value:
  """Return one slice; where it starts may be known only when it runs."""
  starts = {}
  for i, axis in enumerate(numbers.start_index_map):
    if indices.is_const:
      starts[axis] = constant(full_const(indices)[i])
    else:
      one = layout.cut(graph, indices, (1,), [i], [i + 1], [1])
      starts[axis] = layout.squeezed(graph, one, [0])
  found = layout.moving_slice(graph, x, starts, sizes)
  return layout.squeezed(graph, found, numbers.collapsed_slice_dims)


def _by_axis(graph: Graph, x: Value, places: dict[int, np.ndarray], numbers, shape: tuple) -> Value:
  """Take known places along axes, one axis after the other."""
  x = graph.whole(x)
  name = x.name
  for axis, along in places.items():
    if not np.array_equal(along, np.arange(x.shape[axis])):
      name = graph.node('Gather', [name, graph.ints(along)], axis=x.axis(axis))
  target = gathers.axes_apart(places, numbers, len(shape))
  return graph.laid(name, shape, x.dtype, [target[axis] for axis in x.order])


def _at_places(
  graph: Graph, x: Value, indices: Value, numbers, rest: list[int], shape: tuple, mode, fill_value
) -> Value:
  """Take elements at places that are known only when it runs, by `GatherND`.

  Of `[batching, indexed, rest]` and indices `[batching, others]` it makes `[batching, others, rest]`.
  """
  indexed, batching = numbers.start_index_map, numbers.operand_batching_dims
  last = len(indices.shape) - 1
  of_batch = list(numbers.start_indices_batching_dims)
  others = [a for a in range(last) if a not in of_batch]
  data = graph.whole(x, (*batching, *indexed, *rest))
  wanted = graph.whole(graph.cast(indices, np.int64), (*of_batch, *others, last))
  ends = graph.ints(x.shape[axis] - 1 for axis in indexed)
  inside = graph.node('Min', [graph.node('Max', [wanted.name, graph.ints([0])]), ends])
  name = graph.node('GatherND', [data.name, inside], batch_dims=len(batching))
  # Batch axes of the result stand in the order of the indices' axes, between the slices' axes.
  free = [a for a in range(len(shape)) if a not in numbers.offset_dims]
  order = [free[a] for a in (*of_batch, *others)] + list(numbers.offset_dims)
  found = graph.laid(name, shape, x.dtype, order)
  if 'FILL' not in str(mode):
    return found
  same = graph.node('Equal', [inside, wanted.name])
  same = graph.node('Cast', [same], to=6)  # int32
  valid = graph.node('ReduceMin', [same, graph.ints([last])], keepdims=0)
  valid = graph.node('Cast', [valid], to=9)  # bool
  valid = (
    graph.node('Unsqueeze', [valid, graph.ints(range(last, last + len(rest)))]) if rest else valid
  )
  stored = (*(found.stored[:last]), *([1] * len(rest)))
  where = Value(shape, np.dtype(bool), None, valid, tuple(order), stored)
  if fill_value is None:
    fill_value = np.nan if x.dtype.kind == 'f' else np.iinfo(x.dtype).min
  fill = constant(np.asarray(fill_value, x.dtype))
  return graph.each('Where', [where, found, fill], shape, x.dtype)


RULES: dict[str, Callable] = {'gather': _gather}
