"""Maps made larger, recognised whatever was used to compute them.

Bilinear doubling, as `posejax.models.necks.movenet_fpn` computes it, is a sum of shifted copies, two of
which are interleaved. Along one axis each of these steps is a matrix: what an array is of another is kept
in `Value.made`, and a matrix that is that of a resize is written as one. The steps in between have no
use then and are left out.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import numpy as np

from posejax.infer.export.program.values import Graph, Value

_LARGEST = 2**16
"""Elements of a matrix that are looked at; maps are a few hundred pixels long."""


@dataclasses.dataclass(frozen=True)
class Along:
  """A matrix times `source` along one of its axes.

  Attributes:
    source: float32.
    axis: None where all of it is multiplied by a number.
    matrix: `[rows, length of the axis]`, or `[rows, k, length]` where axis + 1 of the array was put in;
      or the number.
  """

  source: Value
  axis: int | None
  matrix: np.ndarray


@dataclasses.dataclass(frozen=True)
class Resized:
  """`source` made larger by a factor, by axis."""

  source: Value
  factors: Mapping[int, int]


def made(name: str, values: list[Value], shapes: list[tuple], params: Mapping[str, Any]) -> Any:
  """Return what the result of a primitive is of another map, or None."""
  if name not in _MADE or len(shapes[0]) < 3 or values[-1].dtype != np.float32:
    return None
  return _MADE[name](values, shapes[0], **params)


def as_one(graph: Graph, found: Any) -> Value | None:
  """Add what was found as one resize, if it is one."""
  if not isinstance(found, Along) or found.axis is None or found.matrix.ndim != 2:
    return None
  rows, length = found.matrix.shape
  factor, left = divmod(rows, length)
  if left or factor < 2 or not np.allclose(found.matrix, _bilinear(length, factor), atol=1e-6):
    return None
  source, factors = found.source, {found.axis: factor}
  if isinstance(source.made, Resized) and found.axis not in source.made.factors:
    source, factors = source.made.source, {**source.made.factors, **factors}
  resized = graph.resize(source, factors)
  return resized and dataclasses.replace(resized, made=Resized(source, factors))


def _bilinear(length: int, factor: int) -> np.ndarray:
  """Return `[factor * length, length]`: linear between centres of pixels, the nearest beyond them."""
  places = np.clip((np.arange(factor * length) + 0.5) / factor - 0.5, 0, length - 1)
  return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(length))).astype(np.float32)


def _of(value: Value) -> Along:
  """Return what an array is of a map: at least, it is itself."""
  return value.made if isinstance(value.made, Along) else Along(value, None, np.float32(1))


def _along(value: Value) -> Along:
  """Return what an array is of a map along an axis, or that it is itself.

  A map may be any other one times a number, and is to be itself for all that is made of it.
  """
  found = _of(value)
  return Along(value, None, np.float32(1)) if found.axis is None else found


def _rows(found: Along, axis: int, length: Any) -> np.ndarray | None:
  """Return the matrix along an axis of the array, of that length; None where there is none to look at."""
  if found.axis == axis and found.matrix.ndim == 2:
    return found.matrix
  if found.axis is not None or not isinstance(length, int) or length**2 > _LARGEST:
    return None
  return found.matrix * np.eye(length, dtype=np.float32)


def _slice(values, shape, start_indices, limit_indices, strides) -> Along | None:
  del shape
  (x,) = values
  strides = strides or (1,) * len(x.shape)
  triples = list(zip(start_indices, limit_indices, strides, strict=True))
  cut = [axis for axis, size in enumerate(x.shape) if triples[axis] != (0, size, 1)]
  if len(cut) != 1:
    return None
  found, (axis,) = _along(x), cut
  rows = _rows(found, axis, x.shape[axis])
  return None if rows is None else Along(found.source, axis, rows[slice(*triples[axis])])


def _concatenate(values, shape, dimension) -> Along | None:
  del shape
  return _joined(values, dimension, np.concatenate)


def _stack(values, shape, axis) -> Along | None:
  del shape
  return _joined(values, axis - 1, lambda parts: np.stack(parts, 1))


def _joined(values, axis: int, join: Callable) -> Along | None:
  found = [_of(value) for value in values]
  if any(one.source is not found[0].source for one in found) or axis < 0:
    return None
  parts = [_rows(one, axis, value.shape[axis]) for one, value in zip(found, values, strict=True)]
  if any(part is None for part in parts):
    return None
  matrix = join(parts)
  return Along(found[0].source, axis, matrix) if matrix.size <= _LARGEST else None


def _mul(values, shape, **params) -> Along | None:
  del params
  x, y = values
  if x.is_const:
    x, y = y, x
  if not y.is_const or y.const.size != 1 or x.shape != tuple(shape):
    return None
  found = _along(x)
  return dataclasses.replace(found, matrix=found.matrix * y.const.reshape(()))


def _add(values, shape, **params) -> Along | None:
  del shape, params
  a, b = map(_of, values)
  if a.source is not b.source or values[0].shape != values[1].shape:
    return None
  axis = a.axis if b.axis is None else b.axis
  if axis is None:
    return Along(a.source, None, a.matrix + b.matrix)
  parts = [_rows(one, axis, values[0].shape[axis]) for one in (a, b)]
  return None if any(part is None for part in parts) else Along(a.source, axis, sum(parts))


def _reshape(values, shape, **params) -> Along | None:
  """Return what interleaved rows are, where the axis put in is merged with that before it."""
  del params
  found = values[0].made
  if not isinstance(found, Along) or found.matrix.ndim != 3:
    return None
  axis, old = found.axis, values[0].shape
  if tuple(shape) != (*old[:axis], old[axis] * old[axis + 1], *old[axis + 2 :]):
    return None
  return dataclasses.replace(found, matrix=found.matrix.reshape(-1, found.matrix.shape[-1]))


_MADE: dict[str, Callable] = {
  'add': _add,
  'concatenate': _concatenate,
  'mul': _mul,
  'reshape': _reshape,
  'slice': _slice,
  'stack': _stack,
}
