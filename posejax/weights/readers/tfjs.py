"""Read the weights of TensorFlow.js models: a JSON file that describes, and shards that hold them.

The JSON's `weightsManifest` is a list of groups. A group names its shards, files beside the JSON, and
its tensors, which lie in the joined shards one behind the other, little endian and without gaps. The
graph itself (`modelTopology`) is not looked at.

Source: tensorflow/tfjs tfjs-core/src/io/types.ts (the manifest) and io_utils.ts (`decodeWeights`).
"""

from collections.abc import Mapping
import dataclasses
import json
import math
import os
from typing import Any

import numpy as np

from posejax.errors import PosejaxError

_MAX_JSON_BYTES = 256 * 2**20
_MAX_DIMENSIONS = 32
_MAX_SIDE = 2**63
_MAX_EMPTY = 2**48
_DTYPES = {
  'float32': np.dtype('<f4'),
  'float16': np.dtype('<f2'),
  'int32': np.dtype('<i4'),
  'uint8': np.dtype('u1'),
  'uint16': np.dtype('<u2'),
  'bool': np.dtype('u1'),
}
_STORED = {'float16': np.dtype('<f2'), 'uint8': np.dtype('u1'), 'uint16': np.dtype('<u2')}
"""What quantised weights are stored as."""
_QUANTISED = ('float32', 'int32')
"""What can be quantised."""


def is_tfjs(start: bytes) -> bool:
  """Return whether a file that begins with `start` may be the JSON of a TensorFlow.js model."""
  return start.removeprefix(b'\xef\xbb\xbf').lstrip()[:1] == b'{'


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Return the model's weights by name, read-only.

  Quantised weights come back as the numbers they stand for: float16 widened, uint8 and uint16 times
  the scale plus the minimum, rounded where the weight is of int32.

  Args:
    path: the JSON; its shards lie in the same folder or below it.

  Raises:
    PosejaxError: the JSON is none or describes no weights; a shard is missing or named by a path that
      leads out of the folder; or the shards hold more or fewer bytes than the JSON says. Nothing is
      read from a group, and no memory taken for it, before its sizes agree.
  """
  groups = _manifest(_json(path))
  folder = os.path.dirname(os.fspath(path)) or '.'
  tensors: dict[str, np.ndarray] = {}
  for number, group in enumerate(groups):
    shards, weights = _group(group, number)
    content = _join(folder, shards, sum(w.num_bytes for w in weights))
    at = 0
    for weight in weights:
      if weight.name in tensors:
        raise PosejaxError(f'its weightsManifest has {weight.name!r} twice')
      tensors[weight.name] = weight.decode(content[at : at + weight.num_bytes])
      at += weight.num_bytes
  return tensors


@dataclasses.dataclass(frozen=True)
class _Weight:
  """One tensor as the manifest describes it.

  Attributes:
    stored: what its numbers are on disk.
    scale, minimum: of a number q, `q * scale + minimum` is meant; None where q itself is.
  """

  name: str
  shape: tuple[int, ...]
  dtype: str
  stored: np.dtype
  scale: float | None = None
  minimum: float = 0.0

  @property
  def num_bytes(self) -> int:
    return math.prod(self.shape) * self.stored.itemsize

  def decode(self, content: np.ndarray) -> np.ndarray:
    """Return the tensor of its bytes, uint8 `[num_bytes]`."""
    values = content.view(self.stored)
    if self.scale is not None:
      values = values * np.float64(self.scale) + self.minimum
      if self.dtype == 'int32':
        # JavaScript's Math.round: halves go up.
        values = np.floor(values + 0.5)
    dtype = np.dtype(bool) if self.dtype == 'bool' else _DTYPES[self.dtype]
    values = values.astype(dtype.newbyteorder('=')).reshape(self.shape)
    values.flags.writeable = False
    return values


def _json(path: str | os.PathLike) -> Any:
  size = os.path.getsize(path)
  if size > _MAX_JSON_BYTES:
    raise PosejaxError(f'its JSON has {size} bytes, more than the {_MAX_JSON_BYTES} that are read')
  with open(path, 'rb') as file:
    content = file.read(_MAX_JSON_BYTES)
  try:
    return json.loads(content)
  except (ValueError, RecursionError) as error:
    raise PosejaxError(f'it is not valid JSON, or cut off ({error})') from error


def _manifest(model: Any) -> list[Any]:
  if not isinstance(model, dict) or 'weightsManifest' not in model:
    what = f'begins {model!r:.60}' if not isinstance(model, dict) else f'has {list(model)!r:.200}'
    raise PosejaxError(
      f'it is JSON, but no TensorFlow.js model: a weightsManifest is expected, and it {what}'
    )
  groups = model['weightsManifest']
  if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
    raise PosejaxError(f'its weightsManifest is no list of groups: {groups!r:.200}')
  if not any(group.get('weights') for group in groups):
    raise PosejaxError('its weightsManifest names no weights')
  return groups


def _group(group: Mapping[str, Any], number: int) -> tuple[list[str], list[_Weight]]:
  """Return a group's shards and weights, each checked by itself."""
  shards, weights = group.get('paths'), group.get('weights')
  if not isinstance(shards, list) or not isinstance(weights, list):
    raise PosejaxError(
      f'group {number} of its weightsManifest has no lists of paths and weights, but '
      f'{list(group)!r:.200}'
    )
  for shard in shards:
    _check_inside(shard)
  return shards, [_weight(entry) for entry in weights]


def _check_inside(shard: Any) -> None:
  """Refuse whatever is no plain path to a file beside the JSON, on any system."""
  parts = shard.split('/') if isinstance(shard, str) else ['']
  if any(part in ('', '.', '..') or set(part) & set('\\:\0') for part in parts):
    raise PosejaxError(
      f'its weightsManifest names the shard {shard!r:.200}; only files in the folder of the JSON are '
      'read'
    )


def _weight(entry: Any) -> _Weight:
  """Return a weight, or refuse what describes none."""
  try:
    name, shape, dtype = entry['name'], tuple(entry['shape']), entry['dtype']
    quantization = entry.get('quantization')
    known = isinstance(name, str) and len(shape) <= _MAX_DIMENSIONS
    known &= all(type(n) is int and 0 <= n < _MAX_SIDE for n in shape)
    # An empty array whose other sides are beyond all memory is no array either.
    known &= 0 not in shape or math.prod(max(n, 1) for n in shape) < _MAX_EMPTY
    known &= quantization is None or isinstance(quantization, dict)
  except (AttributeError, KeyError, TypeError):
    known = False
  if not known:
    raise PosejaxError(f'its weightsManifest describes a weight in no known way: {entry!r:.200}')
  if quantization is None:
    if not isinstance(dtype, str) or dtype not in _DTYPES:
      raise PosejaxError(f'weight {name!r} is of type {dtype!r}; readable are {", ".join(_DTYPES)}')
    return _Weight(name, shape, dtype, _DTYPES[dtype])
  stored = quantization.get('dtype')
  if not isinstance(stored, str) or stored not in _STORED or dtype not in _QUANTISED:
    raise PosejaxError(
      f'weight {name!r} is {dtype!r} quantised to {stored!r}; readable are {", ".join(_QUANTISED)} '
      f'quantised to {", ".join(_STORED)}'
    )
  if stored == 'float16':
    return _Weight(name, shape, 'float32', _STORED[stored])
  scale, minimum = quantization.get('scale'), quantization.get('min')
  limit = 1e30 if dtype == 'float32' else 2**15
  if not all(type(n) in (int, float) and abs(n) < limit for n in (scale, minimum)):
    raise PosejaxError(
      f'weight {name!r} is quantised with scale {scale!r:.50} and min {minimum!r:.50}; both must be '
      f'numbers below {limit:.0e}'
    )
  return _Weight(name, shape, dtype, _STORED[stored], float(scale), float(minimum))


def _join(folder: str, shards: list[str], expected: int) -> np.ndarray:
  """Return the shards' bytes one behind the other, uint8 `[expected]`, or say what they lack."""
  paths = [os.path.join(folder, *shard.split('/')) for shard in shards]
  for shard, path in zip(shards, paths, strict=True):
    if not os.path.isfile(path):
      raise PosejaxError(f'its shard {shard!r} is not there; put it beside the JSON')
  sizes = [os.path.getsize(path) for path in paths]
  if sum(sizes) != expected:
    held = ', '.join(f'{shard} {size}' for shard, size in zip(shards, sizes, strict=True))
    fault = 'cut off' if sum(sizes) < expected else 'of another model'
    raise PosejaxError(
      f'its weights take {expected} bytes and its shards hold {sum(sizes)} ({held:.300}); they are '
      f'{fault}: fetch them again'
    )
  content = np.empty(expected, np.uint8)
  at = 0
  for path, size in zip(paths, sizes, strict=True):
    with open(path, 'rb') as file:
      count = file.readinto(memoryview(content)[at : at + size])
    if count != size:
      raise PosejaxError(f'its shard {os.path.basename(path)!r} grew shorter while it was read')
    at += size
  return content
