"""An ONNX graph in the making, whose arrays need not lie as JAX has them.

JAX's images are `[B, h, w, C]`, ONNX's convolutions want `[B, C, h, w]`. A `Value` says how its tensor
lies, so that transposing costs nothing until something needs another order, and a net's maps stay as the
convolutions want them from the first to the last. In the same way an array that is only repeated along
an axis is stored once.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from posejax.infer.export.program import values
from posejax.infer.export.program.values import (
  CannotWriteError,
  Value,
  Windows,
  constant,
  is_one,
  same_size,
)

OPSET = 18
_IR_VERSION = 8  # the one that came with this opset: older readers take the file


class Graph(values.Graph):
  """Nodes and initialisers, added one after the other."""

  format = 'ONNX'
  dtypes = frozenset(
    np.dtype(t) for t in ('float32', 'bool', 'int8', 'uint8', 'int16', 'int32', 'int64', 'uint32')
  )

  def __init__(self):
    self._nodes: list[onnx.NodeProto] = []
    self._initializers: dict[tuple, onnx.TensorProto] = {}
    self._inputs: list[tuple[onnx.ValueInfoProto, Value]] = []
    self._count = 0

  def add_input(self, name: str, shape: tuple, dtype: np.dtype) -> Value:
    """Declare an input of the graph."""
    self.check_dtype(dtype)
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
    self.check_dtype(array.dtype)
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
    many = [a for a, size in zip(value.order, value.stored, strict=True) if not is_one(size)]
    if many == [a for a, size in zip(order, stored, strict=True) if not is_one(size)]:
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
      CannotWriteError: more than one of them depends on the batch.
    """
    if sum(not isinstance(size, int) for size in sizes) > 1:
      raise CannotWriteError(
        f'An array of shape {tuple(sizes)} cannot be written to ONNX: only one of its sizes may depend '
        'on the batch.'
      )
    return self.ints(size if isinstance(size, int) else -1 for size in sizes)

  def size(self, size: Any) -> str:
    """Return the name of an int64 tensor `[1]` that holds a size.

    Raises:
      CannotWriteError: it depends on the batch, and no input has it.
    """
    if isinstance(size, int):
      return self.ints([size])
    for info, value in self._inputs:
      for axis, known in enumerate(value.shape):
        if not isinstance(known, int) and same_size(known, size):
          return self.node('Shape', [info.name], start=axis, end=axis + 1)
    raise CannotWriteError(
      f'The size {size} cannot be written to ONNX: no input has just that size.'
    )

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
    stored = tuple(next((s for s in axis if not is_one(s)), 1) for axis in zip(*sizes, strict=True))
    if not sizes:
      order = ()
    name = self.node(op, names, **attributes)
    return Value(tuple(shape), np.dtype(dtype), None, name, order, stored)

  def pool(self, kind: str, source: Value, windows: Windows) -> Value | None:
    """Add a pool over axes of the middle of `[B, h, w, C]`; None where they are others."""
    rank = len(source.shape)
    spatial = range(1, rank - 1)
    if rank < 3 or not set(windows) <= set(spatial) or source.dtype != np.float32:
      return None
    x = self.whole(source, (0, rank - 1, *spatial))
    window, step, before, behind = zip(
      *(windows.get(axis, (1, 1, 0, 0)) for axis in spatial), strict=True
    )
    op = {'max': 'MaxPool', 'sum': 'AveragePool'}[kind]
    pads = [*before, *behind]
    name = self.node(op, [x.name], kernel_shape=window, strides=step, pads=pads)
    shape = list(source.shape)
    for axis, (size, stride, low, high) in windows.items():
      shape[axis] = (shape[axis] + low + high - size) // stride + 1
    found = self.laid(name, tuple(shape), source.dtype, x.order)
    if kind == 'max':
      return found
    count = constant(np.asarray(np.prod(window), x.dtype))
    return self.each('Mul', [found, count], found.shape, found.dtype)

  def resize(self, source: Value, factors: Mapping[int, int]) -> Value | None:
    """Add a `Resize` of axes of the middle of `[B, h, w, C]`; None where they are others."""
    if len(source.shape) != 4 or not set(factors) <= {1, 2}:
      return None
    x = self.whole(source, (0, 3, 1, 2))
    return self.resized(x, factors, mode='linear', coordinate_transformation_mode='half_pixel')

  def resized(self, x: Value, factors: Mapping[int, int], **attributes) -> Value:
    """Add a `Resize` that makes axes of a whole array as many times as large."""
    scales = np.asarray([factors.get(axis, 1) for axis in x.order], np.float32)
    name = self.node('Resize', [x.name, '', self.initializer(scales)], **attributes)
    shape = tuple(size * factors.get(axis, 1) for axis, size in enumerate(x.shape))
    return self.laid(name, shape, x.dtype, x.order)

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


def onnx_type(dtype: Any) -> int:
  """Return ONNX's number for a type of arrays."""
  return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _extent(value: Value) -> int:
  """Return how many elements there are to move, a size that depends on the batch as if it were 1."""
  sizes = value.const.shape if value.is_const else value.stored
  return int(np.prod([size if isinstance(size, int) else 1 for size in sizes]))
