"""Write checkpoints as PyTorch does, opcode by opcode, without PyTorch.

`make_checkpoints.py` in tests/goldens made the real ones; these are for everything that a real
`torch.save` cannot be made to write.
"""

import io
import pickle
import struct
import zipfile

import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {'float32': 'Float', 'float16': 'Half', 'float64': 'Double', 'int64': 'Long'}


def value(item) -> bytes:
  """Return the operations that push a plain value."""
  if isinstance(item, bytes):
    return item  # operations already
  if isinstance(item, dict):
    pairs = b''.join(value(k) + value(v) for k, v in item.items())
    return b'}(' + pairs + b'u'
  if isinstance(item, tuple):
    return b'(' + b''.join(map(value, item)) + b't'
  return pickle.dumps(item, 2)[2:-1]


def call(module: str, name: str, *arguments) -> bytes:
  """Return the operations that call `module.name`."""
  return f'c{module}\n{name}\n'.encode() + value(arguments) + b'R'


def tensor(
  key: str, array: np.ndarray, *, dtype=None, size=None, offset=0, strides=None, shape=None
):
  """Return the operations that build a tensor on storage `key`; keywords overrule what is true."""
  storage = f'ctorch\n{STORAGES[dtype or array.dtype.name]}Storage\n'.encode()
  size = array.size if size is None else size
  identifier = value(('storage', storage, key, 'cpu', size)) + b'Q'
  shape = array.shape if shape is None else shape
  if strides is None:
    strides = tuple(s // array.itemsize for s in array.strides)
  hooks = call('collections', 'OrderedDict')
  arguments = (identifier, offset, shape, strides, False, hooks)
  return call('torch._utils', '_rebuild_tensor_v2', *arguments)


def pickled(item) -> bytes:
  """Return a whole pickle."""
  return b'\x80\x02' + value(item) + b'.'


def zip_form(item, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
  """Return a file in the zip form."""
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w', compression) as archive:
    archive.writestr('archive/data.pkl', pickled(item))
    archive.writestr('archive/byteorder', 'little')
    for key, data in storages.items():
      archive.writestr(f'archive/data/{key}', data)
  return file.getvalue()


def legacy_form(item, storages: dict[str, np.ndarray]) -> bytes:
  """Return a file in the form before PyTorch 1.6."""
  machine = {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {'int': 4}}
  parts = [pickled(LEGACY_MAGIC), pickled(1001), pickled(machine), pickled(item)]
  parts.append(pickled(list(storages)))
  for array in storages.values():
    parts.append(struct.pack('<q', array.size) + array.tobytes())
  return b''.join(parts)


def state_dict(arrays: dict[str, np.ndarray]) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
  """Return the operations of every tensor by name, and its storages."""
  keys = {name: str(i) for i, name in enumerate(arrays)}
  item = {name: tensor(keys[name], array) for name, array in arrays.items()}
  return item, {keys[name]: array for name, array in arrays.items()}


def save(path, arrays: dict[str, np.ndarray]) -> None:
  """Write `arrays` as a state dict in the zip form."""
  item, storages = state_dict(arrays)
  path.write_bytes(zip_form(item, {k: a.tobytes() for k, a in storages.items()}))
