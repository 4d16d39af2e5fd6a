"""Pooling, recognised in the forms that the layers give it for their gradients' sake.

`posejax.models.layers` computes the maximum over windows from maps that were cut into pairs, by `where`;
ONNX has one operator for it, several times as fast. What was cut, padded and compared is kept in
`Value.made`, so that the last maximum can be written as the pool of what was there before. The steps in
between have no use then and are left out of the model.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math

import numpy as np

from posejax.infer.export.onnx_writer.graph import Graph, Value, same_size


@dataclasses.dataclass(frozen=True)
class Cut:
  """`source` with the axes in `factors` cut in two, the second as long as the factor says."""

  source: Value
  factors: Mapping[int, int]


@dataclasses.dataclass(frozen=True)
class Padded:
  """`source` with `fill` before and behind, by axis."""

  source: Value
  fill: float
  widths: Mapping[int, tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Compared:
  """Whether `x >= y`."""

  x: Value
  y: Value


@dataclasses.dataclass(frozen=True)
class Taps:
  """The maximum of elements of `source`, at the same places in windows that step over some of its axes.

  Attributes:
    source: a map.
    axes: the axes of it that windows step over.
    places: in a window, one number for each of the axes.
    step: from window to window, by axis.
    count: of windows, by axis.
    ndim: the rank of the array that this is said of.
    windows: what `source` was made from and how, if the array is a pool already.
  """

  source: Value
  axes: tuple[int, ...]
  places: frozenset[tuple[int, ...]]
  step: tuple[int, ...]
  count: tuple[int, ...]
  ndim: int
  windows: tuple[Value, Mapping[int, tuple[int, int, int, int]]] | None = None


def sliced(
  value: Value, start: Sequence[int], count: Sequence, stride: Sequence[int]
) -> Taps | None:
  """Return what a slice of a map cut into windows, or of such a slice, is of the map."""
  made, rank = value.made, len(value.shape)
  parts = [a for a in range(rank) if start[a] or not same_size(count[a], value.shape[a])]
  if any(step != 1 for step in stride):
    return None
  if isinstance(made, Cut):
    inner = inner_axes(made)
    if set(parts) <= set(inner) and all(count[axis] == 1 for axis in inner):
      axes = tuple(inner.values())
      place = tuple(start[axis] for axis in inner)
      counts = tuple(value.shape[axis - 1] for axis in inner)
      steps = tuple(made.factors[axis] for axis in axes)
      return Taps(made.source, axes, frozenset([place]), steps, counts, rank - len(inner))
  if isinstance(made, Taps) and made.ndim == rank and set(parts) <= set(made.axes):
    moved = [start[axis] * step for axis, step in zip(made.axes, made.step, strict=True)]
    places = frozenset(
      tuple(p + m for p, m in zip(place, moved, strict=True)) for place in made.places
    )
    counts = tuple(count[axis] for axis in made.axes)
    windows = None if parts else made.windows
    return dataclasses.replace(made, places=places, count=counts, windows=windows)
  return None


def inner_axes(made: Cut) -> dict[int, int]:
  """Return the axes inside the windows that a map was cut into, and the axis of the map of each."""
  ordered = sorted(made.factors)
  return {axis + i + 1: axis for i, axis in enumerate(ordered)}


def maximum(which: Value, otherwise: Value, chosen: Value) -> Taps | None:
  """Return what `where(which, chosen, otherwise)` is of a map, if it is the larger of two such."""
  compared = which.made
  if not isinstance(compared, Compared) or not (compared.x is chosen and compared.y is otherwise):
    return None
  a, b = chosen.made, otherwise.made
  if not isinstance(a, Taps) or not isinstance(b, Taps) or a.source is not b.source:
    return None
  if (a.axes, a.step, a.count, a.ndim) != (b.axes, b.step, b.count, b.ndim):
    return None
  return dataclasses.replace(a, places=a.places | b.places, windows=None)


def pooled(graph: Graph, taps: Taps) -> Value | None:
  """Return the maxima as a pool, if the places fill a window."""
  lines = [sorted(set(line)) for line in zip(*taps.places, strict=True)]
  if len(taps.places) != math.prod(line[-1] - line[0] + 1 for line in lines):
    return None
  source, padding = taps.source, {}
  if isinstance(source.made, Padded) and source.made.fill == -np.inf:
    padding, source = source.made.widths, source.made.source
  if not set(padding) <= set(taps.axes):
    return None
  windows = {}
  for axis, line, step, count in zip(taps.axes, lines, taps.step, taps.count, strict=True):
    size, window = source.shape[axis], len(line)
    before = padding.get(axis, (0, 0))[0] - line[0]
    behind = max(0, (count - 1) * step + window - size - before)
    whole = (size + before + behind - window) // step + 1 == count
    if not whole or not 0 <= before < window or behind >= window:
      return None
    windows[axis] = (window, step, before, behind)
  if isinstance(source.made, Taps) and source.made.windows:
    first, others = source.made.windows
    if not set(others) & set(windows):
      windows, source = {**others, **windows}, first
  found = pool(graph, 'MaxPool', source, windows)
  made = dataclasses.replace(taps, windows=(source, windows))
  return found and graph.value(found.name, found, made=made)


def pool(
  graph: Graph, op: str, source: Value, axes: Mapping[int, tuple[int, int, int, int]]
) -> Value | None:
  """Add a pooling operator over axes of `[B, h, w, C]`; None where they are not of the middle.

  Args:
    graph: to add to.
    op: of ONNX.
    source: what to pool.
    axes: by axis the window, the step and the padding on both sides.
  """
  rank = len(source.shape)
  spatial = range(1, rank - 1)
  if rank < 3 or not set(axes) <= set(spatial) or source.dtype != np.float32:
    return None
  x = graph.whole(source, (0, rank - 1, *spatial))
  window, step, before, behind = zip(
    *(axes.get(axis, (1, 1, 0, 0)) for axis in spatial), strict=True
  )
  pads = [*before, *behind]
  name = graph.node(op, [x.name], kernel_shape=window, strides=step, pads=pads)
  shape = list(source.shape)
  for axis, (size, stride, low, high) in axes.items():
    shape[axis] = (shape[axis] + low + high - size) // stride + 1
  return graph.laid(name, tuple(shape), source.dtype, x.order)
