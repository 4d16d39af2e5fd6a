"""Read `.safetensors`: the length of a JSON header, the header, and the tensors' bytes.

Source: https://github.com/huggingface/safetensors#format.
"""

import json
import os
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from posejax.errors import PosejaxError

_LENGTH_BYTES = 8
_METADATA = '__metadata__'
_MAX_HEADER = 100_000_000  # the format's own limit
_DTYPES = {
  name: np.dtype(dtype).newbyteorder('<')
  for name, dtype in {
    'BOOL': np.bool_,
    'U8': np.uint8,
    'I8': np.int8,
    'U16': np.uint16,
    'I16': np.int16,
    'U32': np.uint32,
    'I32': np.int32,
    'U64': np.uint64,
    'I64': np.int64,
    'F16': np.float16,
    'BF16': ml_dtypes.bfloat16,
    'F32': np.float32,
    'F64': np.float64,
  }.items()
}


def is_safetensors(start: bytes) -> bool:
  """Return whether a file that begins with `start` (9 bytes or more) is in this format."""
  length = int.from_bytes(start[:_LENGTH_BYTES], 'little')
  return start[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b'{' and 2 <= length <= _MAX_HEADER


def read(file: BinaryIO) -> dict[str, np.ndarray]:
  """Return the file's tensors by name, read-only.

  Raises:
    PosejaxError: the header is damaged, or does not fit the rest of the file.
  """
  header, data_start, size = _header(file)
  header.pop(_METADATA, None)
  return {name: _read_tensor(file, name, entry, data_start, size) for name, entry in header.items()}


def read_metadata(file: BinaryIO) -> dict[str, str]:
  """Return the texts that the file says of itself.

  Raises:
    PosejaxError: the header is damaged.
  """
  metadata = _header(file)[0].get(_METADATA, {})
  if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
    raise PosejaxError(f'its metadata are not texts by name: {metadata!r:.200}')
  return metadata


def _header(file: BinaryIO) -> tuple[dict[str, Any], int, int]:
  """Return the header, where the tensors' bytes begin, and the file's size."""
  size = os.fstat(file.fileno()).st_size
  file.seek(0)
  length = int.from_bytes(file.read(_LENGTH_BYTES), 'little')
  data_start = _LENGTH_BYTES + length
  if data_start > size:
    raise PosejaxError(f'it is cut off: its header has {length} bytes, the file {size}')
  try:
    header = json.loads(file.read(length))
  except (ValueError, RecursionError) as error:
    raise PosejaxError(f'its header is not valid JSON ({error})') from error
  if not isinstance(header, dict):
    raise PosejaxError(f'its header is a {type(header).__name__}, not a JSON object')
  return header, data_start, size


def _read_tensor(file: BinaryIO, name: str, entry: Any, data_start: int, size: int) -> np.ndarray:
  try:
    dtype_name, shape = entry['dtype'], tuple(entry['shape'])
    begin, end = entry['data_offsets']
    whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
  except (KeyError, TypeError, ValueError):
    whole = False
  if not whole:
    raise PosejaxError(f'its header describes tensor {name!r} in no known way: {entry!r:.200}')
  if dtype_name not in _DTYPES:
    raise PosejaxError(
      f'tensor {name!r} is of type {dtype_name!r}; readable are {", ".join(_DTYPES)}'
    )
  dtype = _DTYPES[dtype_name]
  count = 1
  for n in shape:
    count *= n
  if end - begin != count * dtype.itemsize:
    raise PosejaxError(
      f'tensor {name!r}: {dtype_name} {list(shape)} takes {count * dtype.itemsize} bytes, its header '
      f'says {end - begin}'
    )
  if data_start + end > size:
    raise PosejaxError(
      f'it is cut off: tensor {name!r} ends at byte {data_start + end}, the file at {size}'
    )
  file.seek(data_start + begin)
  return np.frombuffer(file.read(end - begin), dtype).reshape(shape)
