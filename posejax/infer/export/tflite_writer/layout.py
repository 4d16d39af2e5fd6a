"""Rules for what moves, cuts, joins and repeats arrays."""

from collections.abc import Mapping, Sequence

import numpy as np

from posejax.infer.export.program import shapes
from posejax.infer.export.program.values import Value, constant, normalized_shape
from posejax.infer.export.program.walk import Rule
from posejax.infer.export.tflite_writer.graph import Graph


def _broadcast(graph: Graph, values: list, outs: list, broadcast_dimensions, **params) -> Value:
  del params
  return spread(graph, values[0], normalized_shape(outs[0].shape), broadcast_dimensions)


def spread(graph: Graph, x: Value, shape: tuple, dimensions: Sequence[int]) -> Value:
  """Return the value with its axes at these places of a shape, repeated along the others."""
  array = x.const
  if array is not None:
    array = array.reshape((1,) * (len(x.shape) - array.ndim) + array.shape)
  ones = [1] * len(shape)
  for axis, size in zip(dimensions, x.stored if array is None else array.shape, strict=True):
    ones[axis] = size
  if array is not None:
    return constant(array.reshape(ones), shape)
  return graph.value(graph.reshaped(x, ones).name, shape)


def _transpose(graph: Graph, values: list, outs: list, permutation) -> Value:
  del outs
  return graph.transposed(values[0], permutation)


def _squeeze(graph: Graph, values: list, outs: list, dimensions) -> Value:
  del outs
  return squeezed(graph, values[0], dimensions)


def squeezed(graph: Graph, x: Value, dimensions: Sequence[int]) -> Value:
  """Return the value without axes of size 1."""
  x = graph.stored(x)
  left = [axis for axis in range(len(x.shape)) if axis not in dimensions]
  found = graph.reshaped(x, [x.stored[axis] for axis in left])
  return graph.value(found.name, tuple(x.shape[axis] for axis in left))


def _reshape(graph: Graph, values: list, outs: list, **params) -> Value:
  del params
  x, shape = graph.stored(values[0]), normalized_shape(outs[0].shape)
  groups = shapes.groups(x.shape, shape)
  factors = groups and shapes.repeats(x, shape, groups)
  if factors and len(shape) == 4 and set(factors) <= {1, 2} and x.dtype == np.float32:
    once = graph.reshaped(x, [x.shape[mine[0]] for mine, _ in groups])
    return graph.resized('RESIZE_NEAREST_NEIGHBOR', once, factors)
  return graph.reshaped(graph.whole(x), shape)


def _slice(graph: Graph, values: list, outs: list, start_indices, limit_indices, strides) -> Value:
  del limit_indices
  shape = normalized_shape(outs[0].shape)
  return graph.cut(values[0], shape, start_indices, strides or (1,) * len(shape))


def _dynamic_slice(graph: Graph, values: list, outs: list, slice_sizes, **params) -> Value:
  del params, slice_sizes
  x, *starts = values
  return moving_slice(graph, x, dict(enumerate(starts)), normalized_shape(outs[0].shape))


def moving_slice(graph: Graph, x: Value, starts: Mapping[int, Value], shape: tuple) -> Value:
  """Return a slice from positions that may be known only when it runs, moved inside as XLA does."""
  begin = [0] * len(shape)
  for axis, start in starts.items():
    last = x.shape[axis] - shape[axis]
    if last and start.is_const:
      begin[axis] = int(np.clip(start.const, 0, last))
    elif last:
      # By places: what a slice's size depends on must be known before it runs.
      place = graph.cast(start, np.int32)
      place = graph.each('MINIMUM', [place, constant(np.int32(last))], (), np.int32)
      place = graph.each('MAXIMUM', [place, constant(np.int32(0))], (), np.int32)
      size = shape[axis]
      steps = constant(np.arange(size, dtype=np.int32))
      x = taken(graph, x, graph.each('ADD', [steps, place], (size,), np.int32), axis)
  return graph.cut(x, shape, begin, (1,) * len(shape))


def taken(graph: Graph, x: Value, places: Value, axis: int) -> Value:
  """Return what stands at places `[n]`, all of them inside, along an axis."""
  x = graph.whole(x)
  before, behind = x.shape[:axis], x.shape[axis + 1 :]
  small = graph.reshaped(x, (int(np.prod(before)), x.shape[axis], int(np.prod(behind))))
  shape = (small.shape[0], *places.shape, small.shape[2])
  found = graph.node('GATHER', [small.name, graph.whole(places).name], shape, x.dtype, axis=1)
  return graph.reshaped(found, (*before, *places.shape, *behind))


def _rev(graph: Graph, values: list, outs: list, dimensions) -> Value:
  del outs
  x = graph.stored(values[0])
  for axis in dimensions:
    if x.stored[axis] != 1:
      found = graph.node('REVERSE_V2', [x.name, graph.ints([axis])], x.stored, x.dtype)
      x = graph.value(found.name, x.shape)
  return x


def _pad(graph: Graph, values: list, outs: list, padding_config) -> Value:
  del outs
  x, fill = values
  if not fill.is_const:
    raise graph.no_rule("'pad' by what it computes")
  config = [tuple(int(n) for n in widths) for widths in padding_config]
  return padded(graph, x, fill.const.item(), config)


def padded(graph: Graph, x: Value, fill: float, config: Sequence[tuple[int, int, int]]) -> Value:
  """Return the value with `fill` before, behind and between its elements; below 0 cuts off."""
  x = graph.whole(x)
  for axis, (_, _, inside) in enumerate(config):
    if inside:
      x = _interleaved(graph, x, fill, axis, inside)
  ends = {axis: (max(low, 0), max(high, 0)) for axis, (low, high, _) in enumerate(config)}
  if any(any(pair) for pair in ends.values()):
    x = graph.padded(x, fill, ends)
  starts = [max(-low, 0) for low, _, _ in config]
  shape = tuple(
    size - start - max(-high, 0)
    for size, start, (_, high, _) in zip(x.shape, starts, config, strict=True)
  )
  return graph.cut(x, shape, starts, (1,) * len(shape))


def _interleaved(graph: Graph, x: Value, fill: float, axis: int, inside: int) -> Value:
  """Return the value with `inside` elements of `fill` between those of an axis."""
  size, shape = x.shape[axis], list(x.shape)
  apart = graph.reshaped(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
  apart = graph.padded(apart, fill, {axis + 1: (0, inside)})
  shape[axis] = size * (inside + 1)
  found = graph.reshaped(apart, shape)
  shape[axis] -= inside
  return graph.cut(found, tuple(shape), (0,) * len(shape), (1,) * len(shape))


def _concatenate(graph: Graph, values: list, outs: list, dimension) -> Value:
  names = [graph.whole(value).name for value in values]
  shape = normalized_shape(outs[0].shape)
  return graph.node('CONCATENATION', names, shape, outs[0].dtype, axis=dimension)


def _stack(graph: Graph, values: list, outs: list, axis) -> Value:
  names = [graph.whole(value).name for value in values]
  options = {'axis': axis, 'valuesCount': len(names)}
  return graph.node('PACK', names, normalized_shape(outs[0].shape), outs[0].dtype, **options)


def _split(graph: Graph, values: list, outs: list, sizes, axis) -> list[Value]:
  (x,), parts, first = values, [], 0
  for out, size in zip(outs, sizes, strict=True):
    starts = [first if a == axis else 0 for a in range(len(x.shape))]
    parts.append(graph.cut(x, normalized_shape(out.shape), starts, (1,) * len(starts)))
    first += size
  return parts


RULES: dict[str, Rule] = {
  'broadcast_in_dim': _broadcast,
  'concatenate': _concatenate,
  'dynamic_slice': _dynamic_slice,
  'pad': _pad,
  'reshape': _reshape,
  'rev': _rev,
  'slice': _slice,
  'split': _split,
  'squeeze': _squeeze,
  'stack': _stack,
  'transpose': _transpose,
}
