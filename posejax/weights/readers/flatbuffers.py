"""FlatBuffers, read with every offset checked: a file may be cut off, damaged or made to mislead.

Source: https://flatbuffers.dev/internals/. A table begins with the distance back to its vtable, which
lists for each field how far from the table's begin it lies, 0 for a field that has its default.
"""

import dataclasses
import struct

import numpy as np

from posejax.errors import PosejaxError


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of a buffer.

  Attributes:
    content: the whole buffer.
    at: where in it the table begins.
  """

  content: bytes
  at: int

  def number(self, field: int, code: str, default: int = 0) -> int:
    """Return a scalar field.

    Args:
      field: its number in the schema, from 0.
      code: of `struct`, such as 'i' for int32.
      default: of the schema.
    """
    place = self._place(field)
    return default if place is None else _number(self.content, place, code)

  def text(self, field: int) -> str:
    """Return a string; empty where it is absent."""
    try:
      return self.numbers(field, 'u1').tobytes().decode()
    except UnicodeDecodeError as error:
      raise PosejaxError(f'it is damaged: a name in it is no text ({error})') from error

  def numbers(self, field: int, dtype: str) -> np.ndarray:
    """Return a vector of scalars, a read-only view; empty where it is absent."""
    kind = np.dtype(dtype).newbyteorder('<')
    begin, length = self._vector(field, kind.itemsize)
    return np.frombuffer(self.content, kind, length, begin)

  def table(self, field: int) -> 'Table | None':
    """Return a table within this one, or None where it is absent."""
    place = self._place(field)
    return None if place is None else _table(self.content, place)

  def tables(self, field: int) -> list['Table']:
    """Return a vector of tables; empty where it is absent."""
    begin, length = self._vector(field, 4)
    return [_table(self.content, begin + 4 * i) for i in range(length)]

  def _place(self, field: int) -> int | None:
    vtable = self.at - _number(self.content, self.at, 'i')
    entry = 4 + 2 * field
    if entry + 2 > _number(self.content, vtable, 'H'):
      return None
    offset = _number(self.content, vtable + entry, 'H')
    return self.at + offset if offset else None

  def _vector(self, field: int, itemsize: int) -> tuple[int, int]:
    """Return where the elements begin and how many there are."""
    place = self._place(field)
    if place is None:
      return 0, 0
    at = place + _number(self.content, place, 'I')
    length = _number(self.content, at, 'I')
    if at + 4 + length * itemsize > len(self.content):
      raise PosejaxError(
        f'it is cut off or damaged: {length} elements of {itemsize} bytes from byte {at + 4} on do not '
        f'lie in its {len(self.content)}'
      )
    return at + 4, length


def root(content: bytes) -> Table:
  """Return the outermost table."""
  return _table(content, 0)


def _table(content: bytes, place: int) -> Table:
  return Table(content, place + _number(content, place, 'I'))


def _number(content: bytes, at: int, code: str) -> int:
  # struct counts a negative place from the end.
  if at < 0 or at + struct.calcsize(f'<{code}') > len(content):
    raise PosejaxError(f'it is cut off or damaged: it points to byte {at}, and has {len(content)}')
  return struct.unpack_from(f'<{code}', content, at)[0]
