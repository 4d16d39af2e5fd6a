"""An ONNX graph in the making, whose arrays need not lie as JAX has them.

JAX's images are `[B, h, w, C]`, ONNX's convolutions want `[B, C, h, w]`. A `Value` says how its tensor
lies, so that transposing costs nothing until something needs another order, and a net's maps stay as the
convolutions want them from the first to the last. In the same way an array that is only repeated along
an axis is stored once.
"""

from collections.abc import Iterable, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np
import onnx
from onnx import helper, numpy_helper

from posejax.errors import PosejaxError

OPSET = 18
_IR_VERSION = 8  # the one that came with this opset: older readers take the file


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
    made: how it was made, for what is recognised by that; see posejax.infer.export.onnx_writer.pooling.
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


def constant(array: Any, shape: tuple | None = None) -> Value:
  """Return a known array, repeated to `shape` where that is given."""
  array = np.asarray(array)
  return Value(array.shape if shape is None else tuple(shape), array.dtype, const=array)


def full_const(value: Value) -> np.ndarray:
  """Return a known array of known sizes in its whole size (a view)."""
  return np.broadcast_to(value.const, value.shape)


class Graph:
  """Nodes and initialisers, added one after the other."""

  def __init__(self):
    self._nodes: list[onnx.NodeProto] = []
    self._initializers: dict[tuple, onnx.TensorProto] = {}
    self._inputs: list[tuple[onnx.ValueInfoProto, Value]] = []
    self._count = 0

  def add_input(self, name: str, shape: tuple, dtype: np.dtype) -> Value:
    """Declare an input of the graph."""
    dims = [size if isinstance(size, int) else str(size) for size in shape]
    info = helper.make_tensor_value_info(name, onnx_type(dtype), dims)
    value = Value(shape, np.dtype(dtype), None, name, tuple(range(len(shape))), tuple(shape))
    self._inputs.append((info, value))
    return value

  def node(self, op: str, inputs: Sequence[str], num_outputs: int = 1, **attributes) -> Any:
    """Add a node; return the name of its output, or their names."""
    self._count += 1
    names = [f'{op}_{self._count}' + (f'_{i}' if i else '') for i in range(num_outputs)]
    self._nodes.append(helper.make_node(op, list(inputs), names, names[0], **attributes))
    return names[0] if num_outputs == 1 else names

  def initializer(self, array: np.ndarray) -> str:
    """Return the name of a tensor with what `array` holds; equal ones are kept once."""
    array = np.asarray(array, order='C')
    check_dtype(array.dtype)
    key = (array.dtype.str, array.shape, array.tobytes())
    if key not in self._initializers:
      name = f'constant_{len(self._initializers)}'
      self._initializers[key] = numpy_helper.from_array(array, name)
    return self._initializers[key].name

  def ints(self, numbers: Iterable[int]) -> str:
    """Return the name of a constant int64 tensor."""
    return self.initializer(np.asarray(list(numbers), np.int64))

  def value(self, name: str, like: Value, **changes) -> Value:
    """Return the Value of a new tensor that lies as that of `like`, but for `changes`."""
    fields = {'name': name, 'const': None, 'made': None, **changes}
    return dataclasses.replace(like, **fields)

  def laid(self, name: str, shape: tuple, dtype: Any, order: Sequence[int] | None = None) -> Value:
    """Return the Value of a tensor of an array's whole size."""
    order = tuple(range(len(shape)) if order is None else order)
    return Value(
      tuple(shape), np.dtype(dtype), None, name, order, tuple(shape[axis] for axis in order)
    )

  def stored(self, value: Value) -> Value:
    """Return the value with a tensor in the graph, where it is known: as it lies, repeated axes as 1."""
    if not value.is_const:
      return value
    array = value.const
    if array.ndim < len(value.shape):
      array = array.reshape((1,) * (len(value.shape) - array.ndim) + array.shape)
    # What NumPy repeats by a stride of 0 is kept once.
    array = array[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)]
    order = tuple(range(array.ndim))
    return Value(value.shape, value.dtype, None, self.initializer(array), order, array.shape)

  def ordered(self, value: Value, order: Sequence[int]) -> Value:
    """Return the value with a tensor that lies in `order`; repeated axes stay 1."""
    order = tuple(order)
    if value.is_const:
      value = self.stored(dataclasses.replace(value, const=self._transposed_const(value, order)))
      return dataclasses.replace(value, order=order)
    if value.order == order:
      return value
    stored = tuple(value.stored[value.axis(axis)] for axis in order)
    many = [a for a, size in zip(value.order, value.stored, strict=True) if not _is_one(size)]
    if many == [a for a, size in zip(order, stored, strict=True) if not _is_one(size)]:
      name = self.node('Reshape', [value.name, self.shape(stored)])  # only axes of size 1 move
    else:
      name = self.node('Transpose', [value.name], perm=[value.axis(axis) for axis in order])
    return self.value(name, value, order=order, stored=stored, made=value.made)

  def _transposed_const(self, value: Value, order: tuple[int, ...]) -> np.ndarray:
    array = value.const
    array = array.reshape((1,) * (len(value.shape) - array.ndim) + array.shape)
    return array.transpose(order)

  def whole(self, value: Value, order: Sequence[int] | None = None) -> Value:
    """Return the value with a tensor of its whole size, in `order` where that is given."""
    if order is not None or value.is_const:
      value = self.ordered(value, range(len(value.shape)) if order is None else order)
    target = tuple(value.shape[axis] for axis in value.order)
    missing = [not same_size(a, b) for a, b in zip(value.stored, target, strict=True)]
    if not any(missing):
      return value
    if all(isinstance(size, int) or not m for size, m in zip(target, missing, strict=True)):
      sizes = self.ints(size if m else 1 for size, m in zip(target, missing, strict=True))
    else:
      parts = [
        self.size(size) if m else self.ints([1]) for size, m in zip(target, missing, strict=True)
      ]
      sizes = self.node('Concat', parts, axis=0)
    return self.value(self.node('Expand', [value.name, sizes]), value, stored=target)

  def name_of(self, value: Value) -> str:
    """Return the name of a tensor of the value's whole size that lies as JAX has it."""
    return self.whole(value, range(len(value.shape))).name

  def shape(self, sizes: Sequence) -> str:
    """Return the name of a constant that `Reshape` takes for `sizes`.

    Raises:
      PosejaxError: more than one of them depends on the batch.
    """
    if sum(not isinstance(size, int) for size in sizes) > 1:
      raise PosejaxError(
        f'An array of shape {tuple(sizes)} cannot be written to ONNX: only one of its sizes may depend '
        'on the batch.'
      )
    return self.ints(size if isinstance(size, int) else -1 for size in sizes)

  def size(self, size: Any) -> str:
    """Return the name of an int64 tensor `[1]` that holds a size.

    Raises:
      PosejaxError: it depends on the batch, and no input has it.
    """
    if isinstance(size, int):
      return self.ints([size])
    for info, value in self._inputs:
      for axis, known in enumerate(value.shape):
        if not isinstance(known, int) and same_size(known, size):
          return self.node('Shape', [info.name], start=axis, end=axis + 1)
    raise PosejaxError(f'The size {size} cannot be written to ONNX: no input has just that size.')

  def cast(self, value: Value, dtype: Any) -> Value:
    """Return the value in another type."""
    dtype = np.dtype(dtype)
    if value.dtype == dtype:
      return value
    if value.is_const:
      return dataclasses.replace(value, const=value.const.astype(dtype), dtype=dtype, made=None)
    name = self.node('Cast', [value.name], to=onnx_type(dtype))
    return self.value(name, value, dtype=dtype)

  def each(self, op: str, values: Sequence[Value], shape: tuple, dtype: Any, **attributes) -> Value:
    """Add an operator that takes arrays element by element, sizes of 1 repeated.

    Args:
      op: of ONNX.
      values: of the result's rank, or scalars.
      shape: of the result, as JAX has it.
      dtype: of the result.
      **attributes: of the operator.
    """
    leading = max(values, key=lambda v: (not v.is_const and bool(v.shape), _extent(v)))
    order = tuple(range(len(shape))) if leading.is_const or not leading.shape else leading.order
    names, sizes = [], []
    for value in values:
      if not value.shape:
        names.append(self.stored(value).name)
        continue
      value = self.ordered(value, order)
      names.append(value.name)
      sizes.append(value.stored)
    stored = tuple(
      next((s for s in axis if not _is_one(s)), 1) for axis in zip(*sizes, strict=True)
    )
    if not sizes:
      order = ()
    name = self.node(op, names, **attributes)
    return Value(tuple(shape), np.dtype(dtype), None, name, order, stored)

  def finish(self, outputs: dict[str, Value]) -> onnx.ModelProto:
    """Return the model, without what no output needs."""
    infos = []
    for name, value in outputs.items():
      self._nodes.append(helper.make_node('Identity', [self.name_of(value)], [name], name))
      dims = [size if isinstance(size, int) else str(size) for size in value.shape]
      infos.append(helper.make_tensor_value_info(name, onnx_type(value.dtype), dims))
    needed, kept = set(outputs), []
    for node in reversed(self._nodes):
      if needed.intersection(node.output):
        kept.append(node)
        needed.update(node.input)
    graph = helper.make_graph(
      kept[::-1],
      'posejax',
      [info for info, _ in self._inputs],
      infos,
      [tensor for tensor in self._initializers.values() if tensor.name in needed],
    )
    opset = helper.make_opsetid('', OPSET)
    return helper.make_model(
      graph, producer_name='posejax', opset_imports=[opset], ir_version=_IR_VERSION
    )


def no_rule(what: str) -> PosejaxError:
  """Return the error of a computation that there is no rule for."""
  return PosejaxError(
    f'The net computes {what}, which cannot be written to ONNX yet; export it as StableHLO instead.'
  )


def check_dtype(dtype: Any) -> None:
  """Refuse a type that ONNX's runtimes do not compute in on CPUs.

  Raises:
    PosejaxError: it is such a type.
  """
  if np.dtype(dtype) not in _TYPES:
    raise PosejaxError(
      f'An array of {np.dtype(dtype)} cannot be written to ONNX, whose runtimes compute in float32; '
      "build the net with dtype='float32' to export it (its parameters are float32 anyway)."
    )


def onnx_type(dtype: Any) -> int:
  """Return ONNX's number for a type of arrays."""
  check_dtype(dtype)
  return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


_TYPES = {
  np.dtype(t) for t in ('float32', 'bool', 'int8', 'uint8', 'int16', 'int32', 'int64', 'uint32')
}


def _is_one(size: Any) -> bool:
  return isinstance(size, int) and size == 1


def same_size(a: Any, b: Any) -> bool:
  """Return whether two sizes are equal, whatever the batch."""
  return isinstance(a, int) == isinstance(b, int) and bool(a == b)


def _extent(value: Value) -> int:
  """Return how many elements there are to move, a size that depends on the batch as if it were 1."""
  sizes = value.const.shape if value.is_const else value.stored
  return int(np.prod([size if isinstance(size, int) else 1 for size in sizes]))


def normalized_shape(shape: Iterable) -> tuple:
  """Return a shape with Python's ints for all sizes that are known."""
  return tuple(size if jax.export.is_symbolic_dim(size) else int(size) for size in shape)
