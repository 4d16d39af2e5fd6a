"""Read the weights of TensorFlow Lite models: the constant tensors, by name.

A model is a FlatBuffer: subgraphs of tensors, each with a type, a shape and the number of a buffer.
A tensor whose buffer is empty is computed when the model runs, and is no weight. What the model does
with its tensors is not looked at.

Source: tensorflow/tensorflow tensorflow/compiler/mlir/lite/schema/schema.fbs, the numbers of fields and
types; the meaning of `QuantizationParameters` as its comments say.
"""

import dataclasses
import math
import os
from typing import BinaryIO

import numpy as np

from posejax.errors import PosejaxError
from posejax.weights.readers import flatbuffers
from posejax.weights.readers.flatbuffers import Table

_IDENTIFIER = b'TFL3'
_MAX_DIMENSIONS = 32
_MAX_TIMES_FILE = 16
"""Bytes of arrays for each of the file; 8 bits in place of 32, shared by a few tensors, need less."""
_TYPES = {
  0: 'float32',
  1: 'float16',
  2: 'int32',
  3: 'uint8',
  4: 'int64',
  6: 'bool',
  7: 'int16',
  9: 'int8',
  10: 'float64',
  12: 'uint64',
  15: 'uint32',
  16: 'uint16',
}
_NAMES = {5: 'string', 8: 'complex64', 11: 'complex128', 17: 'int4', 18: 'bfloat16', 19: 'int2'}
_QUANTISED = ('int8', 'uint8', 'int16', 'int32')


def is_tflite(start: bytes) -> bool:
  """Return whether a file that begins with `start` (8 bytes or more) is in this format."""
  return start[4:8] == _IDENTIFIER


def read(file: BinaryIO) -> dict[str, np.ndarray]:
  """Return the model's weights by name, read-only.

  float16 is widened to float32, and what is quantised comes back as the float32 it stands for,
  `(q - zero_point) * scale`, with one scale or one for each place along an axis.

  Raises:
    PosejaxError: the file is cut off or damaged, a tensor does not fit its buffer, is of a type or
      quantisation that is not known here, or shares its name with another.
  """
  file.seek(0)
  content = file.read(os.fstat(file.fileno()).st_size)
  model = flatbuffers.root(content)
  buffers = model.tables(4)
  if model.numbers(11, 'u4').size:
    raise PosejaxError('it keeps weights in other files, which are not read')
  tensors: dict[str, np.ndarray] = {}
  left = _MAX_TIMES_FILE * len(content)
  for subgraph in model.tables(2):
    for table in subgraph.tables(0):
      number = table.number(2, 'I')
      name = table.text(3)
      if number >= len(buffers):
        raise PosejaxError(f'tensor {name!r} is in buffer {number}; there are {len(buffers)}')
      data = _data(buffers[number], content, name)
      if not data.size:
        continue
      if name in tensors:
        raise PosejaxError(f'it has two weights called {name!r}')
      values = _Tensor.of(table, name).decode(data, left)
      left -= values.nbytes
      values.flags.writeable = False
      tensors[name] = values
  return tensors


def _data(buffer: Table, content: bytes, name: str) -> np.ndarray:
  """Return a buffer's bytes, which models above 2 GB keep behind the FlatBuffer."""
  offset, size = buffer.number(1, 'Q'), buffer.number(2, 'Q')
  if offset <= 1:  # 0 and 1 stand for none
    return buffer.numbers(0, 'u1')
  if offset + size > len(content):
    raise PosejaxError(
      f'it is cut off: tensor {name!r} ends at byte {offset + size}, the file at {len(content)}'
    )
  return np.frombuffer(content, np.uint8, size, offset)


@dataclasses.dataclass(frozen=True)
class _Tensor:
  """One weight as the model describes it.

  Attributes:
    scales, zero_points: of `(q - zero_point) * scale`, one or one for each place along `axis`; empty
      where q itself is meant.
  """

  name: str
  shape: tuple[int, ...]
  stored: np.dtype
  scales: np.ndarray
  zero_points: np.ndarray
  axis: int

  @classmethod
  def of(cls, table: Table, name: str) -> '_Tensor':
    """Return the weight that a table describes, or refuse what describes none."""
    number = table.number(1, 'b')
    if number not in _TYPES:
      what = _NAMES.get(number, f'type {number}')
      raise PosejaxError(f'tensor {name!r} is of {what}; readable are {", ".join(_TYPES.values())}')
    if table.table(6) is not None:
      raise PosejaxError(f'tensor {name!r} is sparse, which is not read; save the model densely')
    if table.number(10, 'I'):
      raise PosejaxError(f'tensor {name!r} is in another file, which is not read')
    shape = tuple(table.numbers(0, 'i4').tolist())
    if len(shape) > _MAX_DIMENSIONS or any(n < 0 for n in shape):
      raise PosejaxError(f'tensor {name!r} has no possible shape: {list(shape)!r:.200}')
    kind = _TYPES[number]
    scales, zero_points, axis = np.zeros(0, 'f4'), np.zeros(0, 'i8'), 0
    quantization = table.table(4)
    if quantization is not None:
      if quantization.number(4, 'B'):
        raise PosejaxError(f'tensor {name!r} is quantised in a way of its own, which is not read')
      scales, zero_points = quantization.numbers(2, 'f4'), quantization.numbers(3, 'i8')
      axis = quantization.number(6, 'i')
    if scales.size and kind in _QUANTISED:
      _check_quantisation(name, shape, scales, zero_points, axis)
    else:
      scales = scales[:0]
    return cls(name, shape, np.dtype(kind).newbyteorder('<'), scales, zero_points, axis)

  def decode(self, data: np.ndarray, most: int) -> np.ndarray:
    """Return the tensor of its bytes, uint8; refuse to make more than `most` bytes of them."""
    count = math.prod(self.shape)
    if count * self.stored.itemsize != data.size:
      raise PosejaxError(
        f'tensor {self.name!r}: {self.stored.name} {list(self.shape)} takes '
        f'{count * self.stored.itemsize} bytes, its buffer has {data.size}'
      )
    widened = self.scales.size or self.stored == np.float16
    if count * (4 if widened else self.stored.itemsize) > most:
      raise PosejaxError(
        f'its tensors would take more than {_MAX_TIMES_FILE} times the memory of the file, as no '
        'model does; it was made to mislead'
      )
    values = data.view(self.stored).reshape(self.shape)
    if self.scales.size:
      along = [1] * values.ndim
      if self.scales.size > 1:
        along[self.axis] = self.scales.size
      scales, zeros = (
        part.reshape(along if part.size > 1 else [1] * values.ndim)
        for part in (self.scales, self.zero_points if self.zero_points.size else np.zeros(1))
      )
      # Exact in float64, so that the result is the float32 nearest to the product.
      return ((values - zeros.astype('f8')) * scales).astype(np.float32).reshape(self.shape)
    if self.stored == np.float16:
      return values.astype(np.float32)
    return values.astype(self.stored.newbyteorder('='))


def _check_quantisation(
  name: str, shape: tuple[int, ...], scales: np.ndarray, zero_points: np.ndarray, axis: int
) -> None:
  """Refuse scales that are no numbers, or not one for each place along an axis of the tensor."""
  per_axis = shape[axis] if 0 <= axis < len(shape) else None
  fit = all(part.size in (1, per_axis) for part in (scales, zero_points) if part.size)
  if not fit or not (np.isfinite(scales) & (scales >= 0)).all():
    raise PosejaxError(
      f'tensor {name!r} of shape {list(shape)} has {scales.size} scales and {zero_points.size} zero '
      f'points along axis {axis}; one is expected, or as many as the axis is long, from 0 up'
    )
