"""Arrays of a program while it is written, and what every graph that is written offers to the walk.

A `Value` says how its tensor lies in the graph, which need not be as JAX has it: transposing then costs
nothing until something needs another order, and what is only repeated along an axis is stored once.
"""

import abc
from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any, ClassVar

import jax
import numpy as np

from posejax.errors import PosejaxError

Windows = Mapping[int, tuple[int, int, int, int]]
"""By axis of a map: the window, the step, and the padding before and behind."""


class CannotWriteError(PosejaxError):
  """A program computes what a format has no form for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
  """An array of the program.

  Attributes:
    shape: as JAX has it; sizes are ints, or symbols where they depend on the batch.
    dtype: as JAX has it.
    const: the array where it is known now; its sizes may be 1 where it is repeated.
    name: of its tensor in the graph, where it is not known.
    order: axis i of the tensor is axis `order[i]` of the array.
    stored: sizes of the tensor's axes: those of the array, or 1 where it is repeated.
    made: how it was made, for what is recognised by that; of `windows` and `resizing`.
  """

  shape: tuple
  dtype: np.dtype
  const: np.ndarray | None = None
  name: str = ''
  order: tuple[int, ...] = ()
  stored: tuple = ()
  made: Any = None

  @property
  def is_const(self) -> bool:
    """Return whether the array is known."""
    return self.const is not None

  @property
  def is_static(self) -> bool:
    """Return whether no size depends on the batch."""
    return all(isinstance(size, int) for size in self.shape)

  def axis(self, axis: int) -> int:
    """Return where the tensor has an axis of the array."""
    return self.order.index(axis)


class Graph(abc.ABC):
  """What is written to: the walk adds inputs, rules add the rest.

  Attributes:
    format: its name, for messages.
    dtypes: types of arrays that it can hold.
  """

  format: ClassVar[str]
  dtypes: ClassVar[frozenset[np.dtype]]

  @abc.abstractmethod
  def add_input(self, name: str, shape: tuple, dtype: np.dtype) -> Value:
    """Declare an input of the graph."""

  @abc.abstractmethod
  def pool(self, kind: str, source: Value, windows: Windows) -> Value | None:
    """Add the 'max' or the 'sum' over windows of a map; None where there is no operator for these."""

  @abc.abstractmethod
  def resize(self, source: Value, factors: Mapping[int, int]) -> Value | None:
    """Add a map made larger, by axis, bilinear between pixels' centres; None where it cannot be.

    Beyond the border lies the nearest pixel.
    """

  def no_rule(self, what: str) -> CannotWriteError:
    """Return the error of a computation that there is no rule for."""
    return CannotWriteError(
      f'The net computes {what}, which cannot be written to {self.format} yet; export it as StableHLO '
      'instead.'
    )

  def check_dtype(self, dtype: Any) -> None:
    """Refuse a type that the format's runtimes do not compute in on CPUs.

    Raises:
      CannotWriteError: it is such a type.
    """
    if np.dtype(dtype) not in self.dtypes:
      raise CannotWriteError(
        f'An array of {np.dtype(dtype)} cannot be written to {self.format}, whose runtimes compute in '
        "float32; build the net with dtype='float32' to export it (its parameters are float32 anyway)."
      )


def constant(array: Any, shape: tuple | None = None) -> Value:
  """Return a known array, repeated to `shape` where that is given."""
  array = np.asarray(array)
  return Value(array.shape if shape is None else tuple(shape), array.dtype, const=array)


def full_const(value: Value) -> np.ndarray:
  """Return a known array of known sizes in its whole size (a view)."""
  return np.broadcast_to(value.const, value.shape)


def is_one(size: Any) -> bool:
  """Return whether a size is 1, whatever the batch."""
  return isinstance(size, int) and size == 1


def same_size(a: Any, b: Any) -> bool:
  """Return whether two sizes are equal, whatever the batch."""
  return isinstance(a, int) == isinstance(b, int) and bool(a == b)


def normalized_shape(shape: Iterable) -> tuple:
  """Return a shape with Python's ints for all sizes that are known."""
  return tuple(size if jax.export.is_symbolic_dim(size) else int(size) for size in shape)
