"""Pooling, recognised in the forms that the layers give it for their gradients' sake.

`posejax.models.layers` computes the maximum over windows from maps that were cut into pairs, by `where`;
files have one operator for it, several times as fast. What was cut, padded and compared is kept in
`Value.made`, so that the last maximum can be written as the pool of what was there before. The steps in
between have no use then and are left out.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from posejax.infer.export.program.values import (
  Graph,
  Value,
  Windows,
  full_const,
  normalized_shape,
  same_size,
)


@dataclasses.dataclass(frozen=True)
class Cut:
  """`source` with the axes in `factors` cut in two, the second as long as the factor says."""

  source: Value
  factors: Mapping[int, int]

  @property
  def inner_axes(self) -> dict[int, int]:
    """Return the axes inside the windows, and the axis of the map of each."""
    return {axis + i + 1: axis for i, axis in enumerate(sorted(self.factors))}


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
class Reduced:
  """The 'max' or the 'sum' of what a map was cut into."""

  kind: str
  cut: Cut


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
  windows: tuple[Value, Windows] | None = None


def made(name: str, values: list[Value], shapes: list[tuple], params: Mapping[str, Any]) -> Any:
  """Return what the result of a primitive is of a map, or None."""
  return _MADE[name](values, shapes[0], **params) if name in _MADE else None


def as_one(graph: Graph, found: Any) -> Value | None:
  """Add what was found as one pool, if it is one."""
  if isinstance(found, Reduced):
    pairs = {axis: (factor, factor, 0, 0) for axis, factor in found.cut.factors.items()}
    return graph.pool(found.kind, found.cut.source, pairs)
  if not isinstance(found, Taps) or len(found.places) < 2:
    return None
  whole = _windows(found)
  pooled = whole and graph.pool('max', *whole)
  return pooled and dataclasses.replace(pooled, made=dataclasses.replace(found, windows=whole))


def _reshape(values, shape, **params) -> Cut | None:
  """Return where axes were cut in two, if nothing else happened."""
  del params
  (x,), i, factors = values, 0, {}
  for axis, size in enumerate(x.shape):
    if i < len(shape) and same_size(size, shape[i]):
      i += 1
    elif (
      isinstance(size, int)
      and i + 1 < len(shape)
      and all(isinstance(n, int) for n in shape[i : i + 2])
      and size == shape[i] * shape[i + 1]
    ):
      factors[axis] = shape[i + 1]
      i += 2
    else:
      return None
  return Cut(x, factors) if factors and i == len(shape) else None


def _slice(values, shape, start_indices, strides, **params) -> Taps | None:
  del params
  return _sliced(values[0], start_indices, shape, strides or (1,) * len(shape))


def _dynamic_slice(values, shape, **params) -> Taps | None:
  del params
  x, *starts = values
  if not all(start.is_const for start in starts):
    return None
  return _one_window(x, {axis: int(start.const) for axis, start in enumerate(starts)}, shape)


def _gather(values, shape, dimension_numbers, slice_sizes, **params) -> Taps | None:
  """Return what one window at a known place is, as indexing by numbers gives it."""
  del params
  x, indices = values
  if len(indices.shape) != 1 or not indices.is_const:
    return None
  starts = dict(zip(dimension_numbers.start_index_map, full_const(indices).tolist(), strict=True))
  found = _one_window(x, starts, normalized_shape(slice_sizes))
  return found if found and found.ndim == len(shape) else None


def _one_window(x: Value, starts: Mapping[int, int], shape: tuple) -> Taps | None:
  """Return what a slice from those starts is, moved inside as XLA does."""
  begin = [0] * len(shape)
  for axis, start in starts.items():
    if not same_size(shape[axis], x.shape[axis]):
      begin[axis] = int(np.clip(start, 0, x.shape[axis] - shape[axis]))
  return _sliced(x, begin, shape, (1,) * len(shape))


def _sliced(value: Value, start: Sequence[int], count: Sequence, stride: Sequence[int]):
  """Return what a slice of a map cut into windows, or of such a slice, is of the map."""
  source, rank = value.made, len(value.shape)
  parts = [a for a in range(rank) if start[a] or not same_size(count[a], value.shape[a])]
  if any(step != 1 for step in stride):
    return None
  if isinstance(source, Cut):
    inner = source.inner_axes
    if set(parts) <= set(inner) and all(count[axis] == 1 for axis in inner):
      axes = tuple(inner.values())
      place = tuple(start[axis] for axis in inner)
      counts = tuple(value.shape[axis - 1] for axis in inner)
      steps = tuple(source.factors[axis] for axis in axes)
      return Taps(source.source, axes, frozenset([place]), steps, counts, rank - len(inner))
  if isinstance(source, Taps) and source.ndim == rank and set(parts) <= set(source.axes):
    moved = [start[axis] * step for axis, step in zip(source.axes, source.step, strict=True)]
    places = frozenset(
      tuple(p + m for p, m in zip(place, moved, strict=True)) for place in source.places
    )
    counts = tuple(count[axis] for axis in source.axes)
    whole = None if parts else source.windows
    return dataclasses.replace(source, places=places, count=counts, windows=whole)
  return None


def _squeeze(values, shape, **params) -> Taps | None:
  del params
  found = values[0].made
  return found if isinstance(found, Taps) and found.ndim == len(shape) else None


def _pad(values, shape, padding_config) -> Padded | None:
  del shape
  x, fill = values
  if not fill.is_const or any(inside or low < 0 for low, _, inside in padding_config):
    return None
  pairs = {axis: (int(low), int(high)) for axis, (low, high, _) in enumerate(padding_config)}
  return Padded(x, float(fill.const), {axis: pair for axis, pair in pairs.items() if any(pair)})


def _greater_or_equal(values, shape, **params) -> Compared:
  del shape, params
  return Compared(*values)


def _maximum(values, shape, **params) -> Taps | None:
  """Return what `where(which, chosen, otherwise)` is of a map, if it is the larger of two such."""
  del shape, params
  which, otherwise, chosen = values if len(values) == 3 else (None,) * 3
  compared = which and which.made
  if not isinstance(compared, Compared) or not (compared.x is chosen and compared.y is otherwise):
    return None
  a, b = chosen.made, otherwise.made
  if not isinstance(a, Taps) or not isinstance(b, Taps) or a.source is not b.source:
    return None
  if (a.axes, a.step, a.count, a.ndim) != (b.axes, b.step, b.count, b.ndim):
    return None
  return dataclasses.replace(a, places=a.places | b.places, windows=None)


def _reduce(kind: str) -> Callable[..., Reduced | None]:
  def found(values, shape, axes, **params) -> Reduced | None:
    del shape, params
    cut = values[0].made
    if not isinstance(cut, Cut) or not axes or set(cut.inner_axes) != set(axes):
      return None
    return Reduced(kind, cut)

  return found


def _windows(taps: Taps) -> tuple[Value, Windows] | None:
  """Return the map and the windows whose maxima these are, if the places fill a window."""
  lines = [sorted(set(line)) for line in zip(*taps.places, strict=True)]
  if len(taps.places) != math.prod(line[-1] - line[0] + 1 for line in lines):
    return None
  source, padding = taps.source, {}
  if isinstance(source.made, Padded) and source.made.fill == -np.inf:
    padding, source = source.made.widths, source.made.source
  if not set(padding) <= set(taps.axes):
    return None
  found = {}
  for axis, line, step, count in zip(taps.axes, lines, taps.step, taps.count, strict=True):
    size, window = source.shape[axis], len(line)
    before = padding.get(axis, (0, 0))[0] - line[0]
    behind = max(0, (count - 1) * step + window - size - before)
    whole = (size + before + behind - window) // step + 1 == count
    if not whole or not 0 <= before < window or behind >= window:
      return None
    found[axis] = (window, step, before, behind)
  if isinstance(source.made, Taps) and source.made.windows:
    first, others = source.made.windows
    if not set(others) & set(found):
      return first, {**others, **found}
  return source, found


_MADE: dict[str, Callable] = {
  'dynamic_slice': _dynamic_slice,
  'gather': _gather,
  'ge': _greater_or_equal,
  'pad': _pad,
  'reduce_max': _reduce('max'),
  'reduce_sum': _reduce('sum'),
  'reshape': _reshape,
  'select_n': _maximum,
  'slice': _slice,
  'squeeze': _squeeze,
}
