"""A TensorFlow Lite graph in the making: operators on tensors of known sizes, which lie as JAX has them.

An array that is only repeated along an axis is stored once. Operators take four axes at the most, few of
them more: arrays with more axes go through them with neighbouring axes merged.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from posejax.infer.export.program import values
from posejax.infer.export.program.values import Value, Windows, constant

MAX_RANK = 4
"""Axes that all operators take, whatever the version of the runtime."""
_MOST = 5
"""Axes that slices and pads take."""
SIDES = {1: 'H', 2: 'W'}
"""Axes of maps `[1, h, w, C]`, as options of operators call them."""


@dataclasses.dataclass(frozen=True)
class Tensor:
  """What a name stands for; `array` where it is known."""

  shape: tuple[int, ...]
  dtype: np.dtype
  array: np.ndarray | None = None


@dataclasses.dataclass
class Node:
  """An operator.

  Attributes:
    op: its name in the schema's `BuiltinOperator`.
    inputs: names of tensors.
    outputs: the same.
    options: fields of its table of options, as the schema's Python calls them.
  """

  op: str
  inputs: list[str]
  outputs: list[str]
  options: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Model:
  """A whole graph: operators in the order in which they run, and what names stand for."""

  nodes: list[Node]
  tensors: dict[str, Tensor]
  inputs: list[str]
  outputs: list[str]


class Graph(values.Graph):
  """Operators and tensors, added one after the other."""

  format = 'TensorFlow Lite'
  dtypes = frozenset(np.dtype(t) for t in ('float32', 'bool', 'int8', 'uint8', 'int32', 'int64'))

  def __init__(self):
    self._nodes: list[Node] = []
    self._tensors: dict[str, Tensor] = {}
    self._makers: dict[str, Node] = {}
    self._constants: dict[tuple, str] = {}
    self._inputs: list[str] = []

  def add_input(self, name: str, shape: tuple, dtype: np.dtype) -> Value:
    """Declare an input of the graph."""
    self.check_dtype(dtype)
    self._inputs.append(name)
    self._tensors[name] = Tensor(tuple(shape), np.dtype(dtype))
    return self.value(name)

  def nodes(self, op: str, inputs: Sequence[str], outputs: Sequence[tuple], **options) -> list[str]:
    """Add an operator; return the names of its outputs, given as `(shape, dtype)`."""
    number = len(self._nodes)
    names = [f'{op.lower()}_{number}' + (f'_{i}' if i else '') for i in range(len(outputs))]
    node = Node(op, list(inputs), names, options)
    self._nodes.append(node)
    for name, (shape, dtype) in zip(names, outputs, strict=True):
      self._tensors[name] = Tensor(tuple(int(size) for size in shape), np.dtype(dtype))
      self._makers[name] = node
    return names

  def node(self, op: str, inputs: Sequence[str], shape: Iterable, dtype: Any, **options) -> Value:
    """Add an operator; return its output, of its whole size."""
    (name,) = self.nodes(op, inputs, [(shape, dtype)], **options)
    return self.value(name)

  def maker(self, value: Value) -> Node | None:
    """Return the operator that a value comes from, or None."""
    return self._makers.get(value.name)

  def value(self, name: str, shape: tuple | None = None) -> Value:
    """Return the Value of a tensor, repeated to `shape` where that is given."""
    tensor = self._tensors[name]
    shape = tensor.shape if shape is None else tuple(shape)
    return Value(shape, tensor.dtype, None, name, tuple(range(len(shape))), tensor.shape)

  def initializer(self, array: np.ndarray) -> str:
    """Return the name of a tensor with what `array` holds; equal ones are kept once."""
    array = np.asarray(array, order='C')
    self.check_dtype(array.dtype)
    key = (array.dtype.str, array.shape, array.tobytes())
    if key not in self._constants:
      self._constants[key] = name = f'constant_{len(self._constants)}'
      self._tensors[name] = Tensor(array.shape, array.dtype, array)
    return self._constants[key]

  def ints(self, numbers: Iterable[int]) -> str:
    """Return the name of a constant int32 tensor `[n]`."""
    return self.initializer(np.asarray(list(numbers), np.int32))

  def stored(self, value: Value) -> Value:
    """Return the value with a tensor in the graph, where it is known; repeated axes are 1."""
    if not value.is_const:
      return value
    array = value.const
    array = array.reshape((1,) * (len(value.shape) - array.ndim) + array.shape)
    # What NumPy repeats by a stride of 0 is kept once.
    array = array[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)]
    return self.value(self.initializer(array), value.shape)

  def whole(self, value: Value) -> Value:
    """Return the value with a tensor of its whole size."""
    value = self.stored(value)
    if value.stored == value.shape:
      return value
    sizes = self.ints(value.shape)
    return self.node('BROADCAST_TO', [value.name, sizes], value.shape, value.dtype)

  def reshaped(self, value: Value, shape: Iterable[int]) -> Value:
    """Return what a value has stored in another shape."""
    value, shape = self.stored(value), tuple(int(size) for size in shape)
    maker = self.maker(value)
    if maker is not None and maker.op == 'RESHAPE':
      value = self.value(maker.inputs[0])
    if value.stored == shape:
      return self.value(value.name)
    return self.node('RESHAPE', [value.name, self.ints(shape)], shape, value.dtype, newShape=shape)

  def cast(self, value: Value, dtype: Any) -> Value:
    """Return the value in another type."""
    dtype = np.dtype(dtype)
    if value.dtype == dtype:
      return value
    if value.is_const:
      return dataclasses.replace(value, const=value.const.astype(dtype), dtype=dtype, made=None)
    types = {'inDataType': value.dtype, 'outDataType': dtype}
    found = self.node('CAST', [value.name], value.stored, dtype, **types)
    return self.value(found.name, value.shape)

  def each(self, op: str, operands: Sequence[Value], shape: tuple, dtype: Any, **options) -> Value:
    """Add an operator that takes arrays element by element, sizes of 1 repeated.

    Args:
      op: of the schema.
      operands: of the result's rank, or scalars.
      shape: of the result.
      dtype: of the result.
      **options: of the operator.
    """
    operands = [self.stored(value) for value in operands]
    sizes = [value.stored for value in operands if value.shape]
    stored = np.broadcast_shapes(*sizes)
    if len(stored) <= MAX_RANK:
      found = self.node(op, [value.name for value in operands], stored, dtype, **options)
      return self.value(found.name, shape)
    groups = _alike(sizes)
    if len(groups) > MAX_RANK:  # then no two neighbours are repeated alike
      operands = [
        self.whole(self.value(value.name, shape)) if value.shape else value for value in operands
      ]
      return self.each(op, operands, shape, dtype, **options)
    names = [
      self.reshaped(value, _merged(value.stored, groups) if value.shape else ()).name
      for value in operands
    ]
    found = self.node(op, names, _merged(stored, groups), dtype, **options)
    return self.value(self.reshaped(found, stored).name, shape)

  def pool(self, kind: str, source: Value, windows: Windows) -> Value | None:
    """Add a pool over the height and width of `[1, h, w, C]`; None where axes are others."""
    if len(source.shape) != 4 or not set(windows) <= set(SIDES) or source.dtype != np.float32:
      return None
    x, options, pads, shape = self.whole(source), {}, {}, list(source.shape)
    for axis, side in SIDES.items():
      window, step, *ends = windows.get(axis, (1, 1, 0, 0))
      options |= {f'stride{side}': step, {'H': 'filterHeight', 'W': 'filterWidth'}[side]: window}
      pads[axis] = tuple(ends)
      shape[axis] = (source.shape[axis] + sum(ends) - window) // step + 1
    extents = {axis: (windows.get(axis, (1, 1))[:2]) for axis in SIDES}
    padding = padding_name(source.shape, extents, pads)
    if padding is None:
      maker = self.maker(x)
      positive = maker is not None and maker.op in ('RELU', 'RELU6')
      x = self.padded(x, 0.0 if positive else -np.inf, pads)
      padding = 'VALID'
    op = {'max': 'MAX_POOL_2D', 'sum': 'AVERAGE_POOL_2D'}[kind]
    found = self.node(op, [x.name], shape, x.dtype, padding=padding, **options)
    if kind == 'max':
      return found
    count = math.prod(window for window, _ in extents.values())
    return self.each('MUL', [found, constant(np.float32(count))], found.shape, found.dtype)

  def resize(self, source: Value, factors: Mapping[int, int]) -> Value | None:
    """Add a bilinear resize of height and width of `[1, h, w, C]`; None where axes are others."""
    if len(source.shape) != 4 or not set(factors) <= set(SIDES):
      return None
    return self.resized('RESIZE_BILINEAR', self.whole(source), factors, halfPixelCenters=True)

  def resized(self, op: str, x: Value, factors: Mapping[int, int], **options) -> Value:
    """Add an operator that makes the height and width of maps `[1, h, w, C]` as many times as large."""
    shape = tuple(size * factors.get(axis, 1) for axis, size in enumerate(x.shape))
    return self.node(op, [x.name, self.ints(shape[1:3])], shape, x.dtype, **options)

  def padded(self, x: Value, fill: Any, ends: Mapping[int, tuple[int, int]]) -> Value:
    """Return a whole array with `fill` before and behind, by axis."""
    pairs = [ends.get(axis, (0, 0)) for axis in range(len(x.shape))]
    shape = [size + sum(pair) for size, pair in zip(x.shape, pairs, strict=True)]
    groups = groups_around(x.shape, [axis for axis, pair in enumerate(pairs) if any(pair)])
    self.check_rank('a pad', groups)
    small = self.reshaped(x, _merged(x.shape, groups))
    widths = np.array([pairs[group[0]] for group in groups], np.int32)
    names, op = [small.name, self.initializer(widths)], 'PAD'
    if fill != 0:
      names, op = [*names, self.initializer(np.asarray(fill, x.dtype))], 'PADV2'
    found = self.node(op, names, _merged(shape, groups), x.dtype)
    return self.reshaped(found, shape)

  def cut(self, x: Value, shape: tuple, starts: Sequence[int], strides: Sequence[int]) -> Value:
    """Return every `stride`-th element from `start` on, along each axis, of the shape that is given."""
    x = self.stored(x)
    # Of what is repeated every part is the same.
    axes = [a for a, size in enumerate(x.stored) if size != 1 and shape[a] != size]
    if not axes:
      return self.value(x.name, shape)
    stored = [1 if size == 1 else shape[a] for a, size in enumerate(x.stored)]
    groups = groups_around(x.stored, axes)
    self.check_rank('a slice', groups)
    small = self.reshaped(x, _merged(x.stored, groups))
    sizes = _merged(stored, groups)
    begin = [starts[group[0]] if group[0] in axes else 0 for group in groups]
    step = [strides[group[0]] if group[0] in axes else 1 for group in groups]
    if max(step) == 1:
      found = self.node('SLICE', [small.name, self.ints(begin), self.ints(sizes)], sizes, x.dtype)
    else:
      end = [b + (n - 1) * s + 1 for b, n, s in zip(begin, sizes, step, strict=True)]
      names = [small.name, *map(self.ints, (begin, end, step))]
      found = self.node('STRIDED_SLICE', names, sizes, x.dtype)
    return self.value(self.reshaped(found, stored).name, shape)

  def transposed(self, x: Value, permutation: Sequence[int]) -> Value:
    """Return the value with axis i being axis `permutation[i]` of it."""
    x = self.stored(x)
    stored = tuple(x.stored[axis] for axis in permutation)
    shape = tuple(x.shape[axis] for axis in permutation)
    many = [axis for axis in permutation if x.stored[axis] != 1]
    if many == sorted(many):  # only axes of size 1 move
      return self.value(self.reshaped(x, stored).name, shape)
    kept = sorted(many)
    small = self.reshaped(x, [x.stored[axis] for axis in kept])
    order = self.ints(kept.index(axis) for axis in many)
    found = self.node('TRANSPOSE', [small.name, order], [x.stored[a] for a in many], x.dtype)
    return self.value(self.reshaped(found, stored).name, shape)

  def check_rank(self, what: str, groups: Sequence) -> None:
    """Refuse an operator on more axes than it takes.

    Raises:
      CannotWriteError: there are more.
    """
    if len(groups) > _MOST:
      raise self.no_rule(f'{what} along {len(groups)} axes')

  def finish(self, outputs: Mapping[str, Value]) -> Model:
    """Return the model, without what no output needs."""
    renamed: dict[str, str] = {}
    for name, value in outputs.items():
      found = self.whole(value)
      if found.name not in self._makers or found.name in renamed:
        # A tensor of its own for what is an input, known, or another output too.
        shape = self.ints(found.shape)
        found = self.node(
          'RESHAPE', [found.name, shape], found.shape, found.dtype, newShape=found.shape
        )
      renamed[found.name] = name
    tensors = {renamed.get(name, name): tensor for name, tensor in self._tensors.items()}
    for node in self._nodes:
      node.inputs, node.outputs = (
        [renamed.get(name, name) for name in names] for names in (node.inputs, node.outputs)
      )
    return Model(needed_nodes(self._nodes, outputs), tensors, list(self._inputs), list(outputs))


def needed_nodes(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
  """Return the operators that something of the outputs depends on."""
  needed, kept = set(outputs), []
  for node in reversed(nodes):
    if needed.intersection(node.outputs):
      kept.append(node)
      needed.update(node.inputs)
  return kept[::-1]


def padding_name(
  shape: Sequence[int],
  windows: Mapping[int, tuple[int, int]],
  ends: Mapping[int, tuple[int, int]],
) -> str | None:
  """Return what operators call a padding, 'VALID' or 'SAME', or None where it is neither.

  Args:
    shape: of the map `[1, h, w, C]`.
    windows: (extent, step) by axis.
    ends: pixels before and behind, by axis.

  Source: tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
  """
  if not any(any(pair) for pair in ends.values()):
    return 'VALID'
  for axis, (extent, step) in windows.items():
    size = shape[axis]
    missing = max((-(-size // step) - 1) * step + extent - size, 0)
    before, behind = ends[axis]
    # What lies behind the last window is seen by none.
    seen = max(((size + before + behind - extent) // step) * step + extent - size - before, 0)
    if (before, seen) != (missing // 2, missing - missing // 2):
      return None
    if (size + before + behind - extent) // step + 1 != -(-size // step):
      return None
  return 'SAME'


def groups_around(shape: Sequence[int], axes: Sequence[int]) -> list[list[int]]:
  """Return neighbouring axes in groups, such that each of `axes` stands alone, and few others do."""
  groups: list[list[int]] = []
  for axis in range(len(shape)):
    if len(shape) <= MAX_RANK or axis in axes:
      groups.append([axis])
    elif groups and groups[-1][0] not in axes:
      groups[-1].append(axis)
    elif shape[axis] != 1:
      groups.append([axis])
  return groups


def _alike(shapes: Sequence[tuple]) -> list[list[int]]:
  """Return neighbouring axes in groups, along which each of the arrays is repeated or none is."""
  groups, last = [], None
  for axis in range(len(shapes[0])):
    repeated = [shape[axis] == 1 for shape in shapes]
    if all(repeated):
      continue
    if repeated == last:
      groups[-1].append(axis)
    else:
      groups.append([axis])
    last = repeated
  return groups


def _merged(shape: Sequence[int], groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
  return tuple(math.prod(shape[axis] for axis in group) for group in groups)
