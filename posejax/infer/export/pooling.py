"""Pooling, recognised in the forms that the layers give it for their gradients' sake.

`posejax.models.layers` computes the maximum over windows from maps that were cut into pairs, by `where`;
ONNX has one operator for it, several times as fast. What was cut, padded and compared is kept in
`Value.made`, so that the last maximum can be written as the pool of what was there before. The steps in
between have no use then and are left out of the model.
"""

from collections.abc import Callable, Mapping
import dataclasses

import numpy as np

from posejax.infer.export.graph import Graph, Value


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
  """The maximum of `count` windows along an axis of `source`: those of elements `start + i * step + tap`.

  `ndim` is the rank of the array that is meant by it.
  """

  source: Value
  axis: int
  taps: tuple[int, ...]
  step: int
  count: int
  ndim: int


@dataclasses.dataclass(frozen=True)
class Windows:
  """The maxima of windows of `source`: by axis the window, the step and the padding on both sides."""

  source: Value
  axes: Mapping[int, tuple[int, int, int, int]]


def sliced(value: Value, start: list[int], count: list, stride: list[int]) -> Taps | None:
  """Return what a slice of a map cut into pairs, or of such a slice, is of the map."""
  parts = [
    axis
    for axis, (first, size, of) in enumerate(zip(start, count, value.shape))
    if first or not (isinstance(size, int) == isinstance(of, int) and size == of)
  ]
  made = value.made
  if any(step != 1 for step in stride) or len(parts) > 1:
    return None
  if isinstance(made, Cut) and len(made.factors) == 1:
    ((axis, factor),) = made.factors.items()
    if parts == [axis + 1] and count[axis + 1] == 1:
      tap = (start[axis + 1],)
      return Taps(made.source, axis, tap, factor, value.shape[axis], len(value.shape) - 1)
  if isinstance(made, Taps) and made.ndim == len(value.shape):
    if not parts:
      return made
    if parts == [made.axis]:
      first = start[made.axis] * made.step
      taps = tuple(tap + first for tap in made.taps)
      return dataclasses.replace(made, taps=taps, count=count[made.axis])
  return None


def maximum(graph: Graph, which: Value, otherwise: Value, chosen: Value) -> Value | None:
  """Return the pool that `where(which, chosen, otherwise)` is, if it is one."""
  compared = which.made
  if not isinstance(compared, Compared) or not (compared.x is chosen and compared.y is otherwise):
    return None
  a, b = chosen.made, otherwise.made
  if not isinstance(a, Taps) or not isinstance(b, Taps) or a.source is not b.source:
    return None
  if (a.axis, a.step, a.count, a.ndim) != (b.axis, b.step, b.count, b.ndim):
    return None
  taps = tuple(sorted({*a.taps, *b.taps}))
  if taps != tuple(range(taps[0], taps[-1] + 1)) or chosen.dtype != np.float32:
    return None
  source, before = a.source, 0
  made = source.made
  if isinstance(made, Padded) and made.fill == -np.inf and set(made.widths) == {a.axis}:
    source, before = made.source, made.widths[a.axis][0]
  size, window = source.shape[a.axis], len(taps)
  before -= taps[0]
  behind = max(0, (a.count - 1) * a.step + window - size - before)
  if not 0 <= before < window or behind >= window or not isinstance(size, int):
    return None
  if (size + before + behind - window) // a.step + 1 != a.count:
    return None
  axes = {a.axis: (window, a.step, before, behind)}
  if isinstance(source.made, Windows) and a.axis not in source.made.axes:
    axes, source = {**source.made.axes, **axes}, source.made.source
  found = pool(graph, 'MaxPool', source, axes)
  return found and graph.value(found.name, found, made=_Both(Windows(source, axes), taps, a).pick())


@dataclasses.dataclass(frozen=True)
class _Both:
  """A maximum that is a pool already and may still get another tap."""

  windows: Windows
  taps: tuple[int, ...]
  of: Taps

  def pick(self) -> Taps | Windows:
    if len(self.taps) < 3:
      return dataclasses.replace(self.of, taps=self.taps)
    return self.windows


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
  window, step, before, behind = zip(*(axes.get(axis, (1, 1, 0, 0)) for axis in spatial))
  pads = [*before, *behind]
  name = graph.node(op, [x.name], kernel_shape=window, strides=step, pads=pads)
  shape = list(source.shape)
  for axis, (size, stride, low, high) in axes.items():
    shape[axis] = (shape[axis] + low + high - size) // stride + 1
  return graph.laid(name, tuple(shape), source.dtype, x.order)


def _max_pool2(graph: Graph, x: Value) -> Value:
  return pool(graph, 'MaxPool', x, {axis: (2, 2, 0, 0) for axis in (1, 2)})


CALLS: dict[str, Callable[[Graph, Value], Value]] = {'_max_pool2': _max_pool2}
"""Functions of posejax.models.layers, by the name that they have in a jaxpr."""
