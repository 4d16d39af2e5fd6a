"""Read what `torch.save` wrote, without PyTorch: the zip form and the one before version 1.6.

Both hold a pickle in which a tensor is a call of a PyTorch function on a storage, named by key, and
the storages' bytes apart from it. The pickle is read by `readers.pickles`; a storage is read
when one of its tensors is, so an optimiser's state beside the weights costs nothing.

Source: torch/serialization.py and torch/_utils.py of PyTorch 2.13 (`_save`, `_legacy_save`,
`_rebuild_tensor_v2`).
"""

from collections.abc import Callable
import contextlib
import dataclasses
import functools
import io
import os
import struct
from typing import Any, BinaryIO
import zipfile

import ml_dtypes
import numpy as np

from posejax.errors import PosejaxError
from posejax.weights.readers import pickles

ZIP_MAGIC = b'PK\x03\x04'
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LENGTH_BYTES = 8

_STORAGES = {
  f'torch.{name}Storage': np.dtype(dtype)
  for name, dtype in {
    'Bool': np.bool_,
    'Byte': np.uint8,
    'Char': np.int8,
    'Short': np.int16,
    'Int': np.int32,
    'Long': np.int64,
    'Half': np.float16,
    'BFloat16': ml_dtypes.bfloat16,
    'Float': np.float32,
    'Double': np.float64,
  }.items()
}


@dataclasses.dataclass(frozen=True)
class Storage:
  """A run of numbers in the file.

  Attributes:
    key: its name there.
    dtype: of each.
    size: how many.
    start: where a view begins in the storage called `key`.
  """

  key: str
  dtype: np.dtype
  size: int
  start: int = 0


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor that was not read yet: `shape` and `strides` count elements from `offset`."""

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


class Parameter(pickles.Stateful):
  """A parameter as PyTorch pickled it before version 0.4, around its tensor.

  Source: `Variable.__getstate__` of PyTorch 0.1 to 0.3, still read by `Tensor.__setstate__` of 2.13.
  """

  def __init__(self, tensor: Any = None, *_: Any):
    self.tensor = tensor

  def set_state(self, state: Any) -> None:
    """Take (tensor, gradient, hooks, ...); what versions between put there has no tensor."""
    if isinstance(state, tuple) and len(state) == 5:
      self.tensor = state[0]


@dataclasses.dataclass(frozen=True)
class TorchFile:
  """The content of an open file.

  Attributes:
    value: what was saved, with `Tensor` for tensors, `Parameter` for some of them, and
      `pickles.Opaque` for what is not needed.
    read_storage: storage -> its bytes.
  """

  value: Any
  read_storage: Callable[[Storage], bytes]

  def read(self, tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Return read-only arrays; tensors that share a storage share memory.

    Raises:
      PosejaxError: a storage is damaged or does not hold what a tensor asks for.
    """
    read_storage = functools.cache(self.read_storage)
    return {name: _read_tensor(name, tensor, read_storage) for name, tensor in tensors.items()}


def _read_tensor(name: str, tensor: Tensor, read_storage: Callable[[Storage], bytes]) -> np.ndarray:
  storage = tensor.storage
  item = storage.dtype.itemsize
  numbers = (storage.start, tensor.offset, *tensor.shape, *tensor.strides)
  if any(type(n) is not int or n < 0 for n in numbers):
    raise PosejaxError(f'tensor {name!r} has the impossible layout {tensor}')
  data = read_storage(storage)
  try:
    # NumPy checks that shape, offset and strides stay within the bytes.
    return np.ndarray(
      tensor.shape,
      storage.dtype,
      data,
      (storage.start + tensor.offset) * item,
      tuple(stride * item for stride in tensor.strides),
    )
  except (OverflowError, TypeError, ValueError) as error:
    raise PosejaxError(
      f'tensor {name!r}, {list(tensor.shape)} numbers at strides {list(tensor.strides)} from number '
      f'{tensor.offset} on, does not fit its storage of {storage.size} ({error})'
    ) from error


def read_zip(file: BinaryIO) -> TorchFile:
  """Return the content of a file in the zip form.

  Raises:
    PosejaxError: it is damaged, not from PyTorch, or asks for what weights have no need of.
  """
  with _zip_errors():
    archive = zipfile.ZipFile(file)
  names = set(archive.namelist())
  pickled = [n for n in names if n.count('/') == 1 and n.endswith('/data.pkl')]
  if len(pickled) != 1:
    raise PosejaxError(
      'it is a zip file without the one data.pkl that torch.save writes '
      f'(it holds {", ".join(sorted(names)[:5]) or "nothing"})'
    )
  folder = pickled[0].removesuffix('data.pkl')

  def member(name: str) -> bytes:
    if folder + name not in names:
      raise PosejaxError(f'its part {name!r} is missing')
    with _zip_errors():
      # Compressed, a small file could ask for any amount of memory.
      if archive.getinfo(folder + name).compress_type != zipfile.ZIP_STORED:
        raise PosejaxError(f'its part {name!r} is compressed, which torch.save does not do')
      return archive.read(folder + name)

  def read_storage(storage: Storage) -> bytes:
    data = member(f'data/{storage.key}')
    _check_size(storage, len(data))
    return data

  if folder + 'byteorder' in names:
    _check_byte_order(member('byteorder') == b'little')
  value = pickles.load(io.BytesIO(member('data.pkl')), _KNOWN, _storage)
  return TorchFile(value, read_storage)


def read_legacy(file: BinaryIO) -> TorchFile:
  """Return the content of a file in the older form.

  It is five pickles (a magic number, a version, the machine, the value, the storages' keys), then
  every storage's length in numbers (8 bytes) and its bytes, in the order of the keys.

  Raises:
    PosejaxError: it is damaged, not from PyTorch, or asks for what weights have no need of.
  """
  storages: dict[str, Storage] = {}

  def persistent_load(identifier: Any) -> Storage:
    storage = _storage(identifier)
    storages.setdefault(storage.key, storage)
    return storage

  file.seek(0)
  if pickles.load(file, {}) != LEGACY_MAGIC:
    raise PosejaxError('it is a pickle, but not one that torch.save wrote')
  pickles.load(file, {})
  machine = pickles.load(file, {})
  _check_byte_order(not isinstance(machine, dict) or machine.get('little_endian', True))
  value = pickles.load(file, _KNOWN, persistent_load)
  keys = pickles.load(file, {})
  if not isinstance(keys, list) or not all(key in storages for key in keys):
    raise PosejaxError('its list of storages does not fit its tensors')

  size = os.fstat(file.fileno()).st_size
  places: dict[str, tuple[int, int]] = {}
  for key in keys:
    count = int.from_bytes(file.read(_LENGTH_BYTES), 'little')
    begin = file.tell()
    end = begin + count * storages[key].dtype.itemsize
    if end > size or begin == size:
      raise PosejaxError(
        f'it is cut off: its storage {key!r} ends at byte {end}, the file at {size}'
      )
    places[key] = (begin, end)
    file.seek(end)

  def read_storage(storage: Storage) -> bytes:
    if storage.key not in places:
      raise PosejaxError(f'its storage {storage.key!r} is missing')
    begin, end = places[storage.key]
    _check_size(storage, end - begin)
    file.seek(begin)
    return file.read(end - begin)

  return TorchFile(value, read_storage)


def _check_size(storage: Storage, found: int) -> None:
  if found != storage.size * storage.dtype.itemsize:
    raise PosejaxError(
      f'its storage {storage.key!r} has {found} bytes and should hold {storage.size} numbers of '
      f'{storage.dtype.itemsize} bytes'
    )


def _check_byte_order(little: bool) -> None:
  if not little:
    raise PosejaxError('it was written on a big-endian machine; save it again on another')


@contextlib.contextmanager
def _zip_errors():
  try:
    yield
  except (
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
  ) as error:
    raise PosejaxError(f'its zip archive is cut off or damaged ({error})') from error


def _storage(identifier: Any) -> Storage:
  """Return what a pickle's persistent id stands for."""
  if not (isinstance(identifier, tuple) and len(identifier) in (5, 6)):
    raise PosejaxError('its pickle names a storage in no known way')
  kind, dtype, key, _, size, *view = identifier
  if kind != 'storage' or not isinstance(dtype, np.dtype) or not isinstance(key, str):
    raise PosejaxError(f'its pickle holds a {kind!r:.40} of {dtype!r:.60}, which is not readable')
  if type(size) is not int:
    raise PosejaxError(f'its storage {key!r} has no size')
  # The older form once stored views of storages: their key, start and size.
  start = view[0][1] if view and view[0] is not None else 0
  return Storage(key, dtype, size, start)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
  if not isinstance(storage, Storage):
    raise TypeError('a tensor without a storage')
  return Tensor(storage, offset, tuple(shape), tuple(strides))


def _opaque(kind: str) -> pickles.Constructor:
  return pickles.Constructor(lambda *_: pickles.Opaque(kind))


def _first(value: Any, *_: Any) -> Any:
  return value


# What published checkpoints hold beside tensors: key order, and notes in the form of NumPy arrays,
# numbers and sets. Of the notes only that they are there is kept.
_KNOWN = {
  **_STORAGES,
  'torch._utils._rebuild_tensor': pickles.Constructor(_tensor),
  'torch._utils._rebuild_tensor_v2': pickles.Constructor(_tensor),
  'torch.nn.parameter.Parameter': pickles.Constructor(Parameter),
  'torch._utils._rebuild_parameter': pickles.Constructor(_first),
  'torch._utils._rebuild_parameter_with_state': pickles.Constructor(_first),
  'torch.Size': pickles.Constructor(_first),
  'torch.device': _opaque('torch.device'),
  'collections.OrderedDict': pickles.Constructor(lambda items=(): pickles.dict_of_pairs(items)),
  **{
    f'{module}.{name}': _opaque(name)
    for module in ('builtins', '__builtin__')
    for name in ('set', 'frozenset', 'bytes', 'bytearray', 'complex')
  },
  '_codecs.encode': _opaque('bytes'),
  'numpy.ndarray': pickles.Opaque('numpy.ndarray'),
  'numpy.dtype': _opaque('numpy.dtype'),
  **{
    f'numpy.{package}.multiarray.{name}': _opaque(f'NumPy {kind}')
    for package in ('core', '_core')
    for name, kind in (('_reconstruct', 'array'), ('scalar', 'number'))
  },
}
