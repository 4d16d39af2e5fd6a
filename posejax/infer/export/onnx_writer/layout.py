"""Rules for what moves, cuts, joins and repeats arrays."""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from posejax.infer.export.onnx_writer.graph import Graph
from posejax.infer.export.program import shapes
from posejax.infer.export.program.values import Value, constant, normalized_shape, same_size

_END = np.iinfo(np.int64).max


def _broadcast(graph: Graph, values: list, outs: list, broadcast_dimensions, **params) -> Value:
  del params
  x, shape = values[0], normalized_shape(outs[0].shape)
  if x.is_const:
    array = x.const.reshape((1,) * (len(x.shape) - x.const.ndim) + x.const.shape)
    ones = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, array.shape, strict=True):
      ones[axis] = size
    return constant(array.reshape(ones), shape)
  new = [axis for axis in range(len(shape)) if axis not in broadcast_dimensions]
  order = (*(broadcast_dimensions[axis] for axis in x.order), *new)
  name = x.name
  if new:
    name = graph.node('Unsqueeze', [name, graph.ints(range(len(x.shape), len(shape)))])
  return graph.value(name, x, shape=shape, order=order, stored=(*x.stored, *([1] * len(new))))


def _transpose(graph: Graph, values: list, outs: list, permutation) -> Value:
  x, shape = graph.stored(values[0]), normalized_shape(outs[0].shape)
  order = tuple(permutation.index(axis) for axis in x.order)
  return graph.value(x.name, x, shape=shape, order=order)


def _squeeze(graph: Graph, values: list, outs: list, dimensions) -> Value:
  return squeezed(graph, values[0], dimensions)


def squeezed(graph: Graph, x: Value, dimensions: Sequence[int]) -> Value:
  """Return the value without axes of size 1."""
  x = graph.stored(x)
  if not dimensions:
    return x
  left = [axis for axis in range(len(x.shape)) if axis not in dimensions]
  name = graph.node('Squeeze', [x.name, graph.ints(x.axis(axis) for axis in dimensions)])
  return Value(
    tuple(x.shape[axis] for axis in left),
    x.dtype,
    None,
    name,
    tuple(left.index(axis) for axis in x.order if axis in left),
    tuple(size for axis, size in zip(x.order, x.stored, strict=True) if axis in left),
  )


def _reshape(graph: Graph, values: list, outs: list, **params) -> Value:
  del params
  x, shape = graph.stored(values[0]), normalized_shape(outs[0].shape)
  groups = shapes.groups(x.shape, shape)
  if groups is None:
    name = graph.node('Reshape', [graph.name_of(x), graph.shape(shape)])
    return graph.laid(name, shape, x.dtype)
  repeated = _repeat(graph, x, shape, groups)
  if repeated is not None:
    return repeated
  x = graph.whole(x)
  places = {group: [x.axis(axis) for axis in mine] for group, (mine, _) in enumerate(groups)}
  apart = any(p != list(range(p[0], p[0] + len(p))) for p in places.values())
  if apart:
    # What is merged must lie together. Maps that lie as convolutions want them stay so.
    order = list(range(len(groups)))
    if x.order != tuple(sorted(x.order)) and len(groups) > 2:
      order = [0, len(groups) - 1, *range(1, len(groups) - 1)]
    x = graph.whole(x, [axis for group in order for axis in groups[group][0]])
  else:
    order = sorted(places, key=lambda group: places[group][0])
  new_order = tuple(axis for group in order for axis in groups[group][1])
  stored = tuple(shape[axis] for axis in new_order)
  name = graph.node('Reshape', [x.name, graph.shape(stored)])
  return graph.value(name, x, shape=shape, order=new_order, stored=stored)


def _repeat(graph: Graph, x: Value, shape: tuple, groups: list) -> Value | None:
  """Return the value with elements repeated, where a merged axis is a repeated one: `Resize`."""
  factors = shapes.repeats(x, shape, groups)
  if factors is None or len(shape) != 4 or x.dtype != np.float32:
    return None
  lacking = [
    a for a, size in zip(x.order, x.stored, strict=True) if not same_size(size, x.shape[a])
  ]
  once = tuple(1 if axis in lacking else size for axis, size in enumerate(x.shape))
  x = squeezed(graph, dataclasses.replace(x, shape=once), sorted(lacking))
  return graph.resized(
    graph.whole(x, (0, 3, 1, 2)),
    factors,
    mode='nearest',
    nearest_mode='floor',
    coordinate_transformation_mode='asymmetric',
  )


def _slice(graph: Graph, values: list, outs: list, start_indices, limit_indices, strides) -> Value:
  x = values[0]
  strides = strides or (1,) * len(x.shape)
  shape = normalized_shape(outs[0].shape)
  return cut(graph, x, shape, start_indices, limit_indices, strides)


def cut(graph: Graph, x: Value, shape: tuple, starts, limits, strides) -> Value:
  """Return a slice by known bounds; a bound of an axis that stays whole may depend on the batch."""
  x = graph.stored(x)
  axes = [axis for axis, size in enumerate(shape) if not same_size(size, x.shape[axis])]
  if not axes:
    return x
  x = _with_whole(graph, x, axes)
  bounds = [[int(of[axis]) for axis in axes] for of in (starts, limits, strides)]
  places = [x.axis(axis) for axis in axes]
  name = graph.node(
    'Slice',
    [
      x.name,
      graph.ints(bounds[0]),
      graph.ints(bounds[1]),
      graph.ints(places),
      graph.ints(bounds[2]),
    ],
  )
  return _resized(graph, name, x, shape, axes)


def _with_whole(graph: Graph, x: Value, axes: Sequence[int]) -> Value:
  """Return the value with the axes not repeated any more."""
  repeated = any(not same_size(x.stored[x.axis(axis)], x.shape[axis]) for axis in axes)
  return graph.whole(x) if repeated else x


def _resized(graph: Graph, name: str, x: Value, shape: tuple, axes: Sequence[int]) -> Value:
  stored = tuple(shape[axis] if axis in axes else x.stored[i] for i, axis in enumerate(x.order))
  return graph.value(name, x, shape=tuple(shape), stored=stored)


def _dynamic_slice(graph: Graph, values: list, outs: list, slice_sizes, **params) -> Value:
  del params
  x, *starts = values
  return moving_slice(graph, x, dict(enumerate(starts)), normalized_shape(outs[0].shape))


def moving_slice(graph: Graph, x: Value, starts: dict[int, Value], shape: tuple) -> Value:
  """Return a slice from positions that may be known only when it runs, moved inside as XLA does."""
  axes = [axis for axis in starts if not same_size(shape[axis], x.shape[axis])]
  x = graph.stored(x)
  if not axes:
    return x
  x = _with_whole(graph, x, axes)
  last = [x.shape[axis] - shape[axis] for axis in axes]
  if all(starts[axis].is_const for axis in axes):
    first = [int(np.clip(starts[axis].const, 0, end)) for axis, end in zip(axes, last, strict=True)]
    low = graph.ints(first)
    high = graph.ints(start + shape[axis] for start, axis in zip(first, axes, strict=True))
  else:
    parts = [graph.cast(graph.stored(starts[axis]), np.int64).name for axis in axes]
    parts = [graph.node('Reshape', [part, graph.ints([1])]) for part in parts]
    low = graph.node('Concat', parts, axis=0)
    low = graph.node('Max', [graph.node('Min', [low, graph.ints(last)]), graph.ints([0])])
    high = graph.node('Add', [low, graph.ints(shape[axis] for axis in axes)])
  name = graph.node('Slice', [x.name, low, high, graph.ints(x.axis(axis) for axis in axes)])
  return _resized(graph, name, x, shape, axes)


def _rev(graph: Graph, values: list, outs: list, dimensions) -> Value:
  x = graph.stored(values[0])
  stored = [x.stored[x.axis(axis)] for axis in dimensions]
  axes = [axis for axis, size in zip(dimensions, stored, strict=True) if size != 1]
  if not axes:
    return x
  bounds = ([-1] * len(axes), [-_END] * len(axes), (x.axis(a) for a in axes), [-1] * len(axes))
  return graph.value(graph.node('Slice', [x.name, *map(graph.ints, bounds)]), x)


def _pad(graph: Graph, values: list, outs: list, padding_config) -> Value:
  x, fill = values
  shape = normalized_shape(outs[0].shape)
  config = [tuple(int(n) for n in widths) for widths in padding_config]
  found = padded(graph, x, fill, config)
  return graph.value(found.name, found, shape=shape)


def padded(graph: Graph, x: Value, fill: Value, config: Sequence[tuple[int, int, int]]) -> Value:
  """Return the value with `fill` before, behind and between its elements; below 0 cuts off."""
  x = _with_whole(graph, graph.stored(x), [a for a, widths in enumerate(config) if any(widths)])
  for axis, (_, _, inside) in enumerate(config):
    if inside:
      x = _spread(graph, x, fill, axis, inside)
  shape = list(x.shape)
  for axis, (low, high, _) in enumerate(config):
    if low or high:
      shape[axis] = shape[axis] + max(low, 0) + max(high, 0)
  if any(max(low, high) > 0 for low, high, _ in config):
    ends = [[max(config[axis][side], 0) for axis in x.order] for side in (0, 1)]
    name = graph.node('Pad', [x.name, graph.ints(ends[0] + ends[1]), graph.stored(fill).name])
    x = _resized(
      graph,
      name,
      x,
      tuple(shape),
      range(len(shape))
      if not _lazy(x)
      else [axis for axis, widths in enumerate(config) if any(widths)],
    )
  starts = [max(-low, 0) for low, _, _ in config]
  limits = [
    size - max(-high, 0) if high < 0 else size
    for size, (_, high, _) in zip(x.shape, config, strict=True)
  ]
  final = tuple(
    limit - start if start or high < 0 else size
    for size, start, limit, (_, high, _) in zip(x.shape, starts, limits, config, strict=True)
  )
  return cut(graph, x, final, starts, limits, [1] * len(final))


def _lazy(x: Value) -> bool:
  return any(
    not same_size(size, x.shape[axis]) for axis, size in zip(x.order, x.stored, strict=True)
  )


def _spread(graph: Graph, x: Value, fill: Value, axis: int, inside: int) -> Value:
  """Return the value with `inside` elements of `fill` between those of an axis."""
  place, rank, size = x.axis(axis), len(x.shape), x.shape[axis]
  name = graph.node('Unsqueeze', [x.name, graph.ints([place + 1])])
  ends = [0] * (2 * (rank + 1))
  ends[rank + 1 + place + 1] = inside
  name = graph.node('Pad', [name, graph.ints(ends), graph.stored(fill).name])
  spread = size * (inside + 1)
  stored = tuple(spread if i == place else s for i, s in enumerate(x.stored))
  name = graph.node('Reshape', [name, graph.shape(stored)])
  shape = tuple(spread if a == axis else s for a, s in enumerate(x.shape))
  x = graph.value(name, x, shape=shape, stored=stored)
  shape = tuple(spread - inside if a == axis else s for a, s in enumerate(x.shape))
  return cut(graph, x, shape, [0] * rank, shape, [1] * rank)


def _concatenate(graph: Graph, values: list, outs: list, dimension) -> Value:
  leading = next((value for value in values if not value.is_const), None)
  order = leading.order if leading else range(len(outs[0].shape))
  parts = [graph.whole(value, order) for value in values]
  place = parts[0].axis(dimension)
  name = graph.node('Concat', [part.name for part in parts], axis=place)
  shape = normalized_shape(outs[0].shape)
  return graph.laid(name, shape, outs[0].dtype, parts[0].order)


def _stack(graph: Graph, values: list, outs: list, axis) -> Value:
  shape = normalized_shape(outs[0].shape)
  kept = tuple(i for i in range(len(shape)) if i != axis)
  one = [type(outs[0])(tuple(1 if i == axis else n for i, n in enumerate(shape)), outs[0].dtype)]
  parts = [_broadcast(graph, [value], one, kept) for value in values]
  return _concatenate(graph, parts, outs, axis)


def _split(graph: Graph, values: list, outs: list, sizes, axis) -> list[Value]:
  (x,), parts, first = values, [], 0
  for out, size in zip(outs, sizes, strict=True):
    starts = [first if a == axis else 0 for a in range(len(x.shape))]
    limits = [first + size if a == axis else n for a, n in enumerate(x.shape)]
    parts.append(cut(graph, x, normalized_shape(out.shape), starts, limits, [1] * len(starts)))
    first += size
  return parts


def _iota(graph: Graph, values: list, outs: list, dtype, shape, dimension, **params) -> Value:
  del values, params
  shape = normalized_shape(outs[0].shape)
  size = shape[dimension]
  if isinstance(size, int):
    array = np.arange(size, dtype=dtype)
    return constant(array.reshape([-1 if a == dimension else 1 for a in range(len(shape))]), shape)
  ends = [graph.node('Squeeze', [graph.size(size)])]
  name = graph.node(
    'Range', [graph.initializer(np.int64(0)), *ends, graph.initializer(np.int64(1))]
  )
  numbers = graph.cast(graph.laid(name, (size,), np.int64), dtype)
  return _broadcast(graph, [numbers], outs, (dimension,))


def _dim_as_value(graph: Graph, values: list, outs: list, dim) -> Value:
  del values
  name = graph.node('Squeeze', [graph.size(dim)])
  return graph.cast(graph.laid(name, (), np.int64), outs[0].dtype)


RULES: dict[str, Callable] = {
  'broadcast_in_dim': _broadcast,
  'concatenate': _concatenate,
  'dim_as_value': _dim_as_value,
  'dynamic_slice': _dynamic_slice,
  'iota': _iota,
  'pad': _pad,
  'reshape': _reshape,
  'rev': _rev,
  'slice': _slice,
  'split': _split,
  'squeeze': _squeeze,
  'stack': _stack,
  'transpose': _transpose,
}
