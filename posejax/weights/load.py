"""Read a checkpoint of another project into NumPy arrays, whatever form it has."""

import os
from typing import Any, BinaryIO

import numpy as np

from posejax.errors import PosejaxError
from posejax.weights.readers import safetensors, tfjs, tflite, torch_files

_SECTIONS = ('state_dict', 'model_state_dict', 'model')
_PREFIXES = ('module.', 'model.', 'state_dict.')
_START_BYTES = 512


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Return the tensors of a checkpoint by name, without PyTorch and without running its pickle.

  Read are `.pth`, `.pt`, `.pth.tar` and the like in the zip form and in the one before PyTorch 1.6,
  `.safetensors`, `.tflite`, and the JSON of TensorFlow.js with its shards beside it; the content decides,
  not the ending. Of a training checkpoint these are the tensors of its `state_dict`, `model_state_dict`
  or `model` section; a prefix `module.`, `model.` or `state_dict.` that all names share is taken off.

  Args:
    path: the file.

  Returns:
    Read-only arrays; bfloat16 as `ml_dtypes.bfloat16`. What is not a tensor is left out.

  Raises:
    PosejaxError: the file is missing, is no checkpoint, is cut off or damaged, or its pickle asks
      for anything but tensors and containers: the name is given and nothing is run.
  """
  try:
    with open(path, 'rb') as file:
      tensors = _read(file)
  except OSError as error:
    raise PosejaxError(f'Cannot open {path}: {error.strerror}.') from error
  except PosejaxError as error:
    raise PosejaxError(f'Cannot read weights from {path}: {error}.') from error
  return strip_prefixes(tensors)


def strip_prefixes(tensors: dict[str, Any]) -> dict[str, Any]:
  """Take off the prefixes of wrappers, as often as every name has one."""
  for prefix in _PREFIXES:
    if tensors and all(name.startswith(prefix) for name in tensors):
      return strip_prefixes({n.removeprefix(prefix): t for n, t in tensors.items()})
  return tensors


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
  start = file.read(_START_BYTES)
  if tflite.is_tflite(start):
    return _not_empty(tflite.read(file))
  if start.startswith(torch_files.ZIP_MAGIC):
    content = torch_files.read_zip(file)
  elif start[:1] == b'\x80':
    content = torch_files.read_legacy(file)
  elif safetensors.is_safetensors(start):
    return _not_empty(safetensors.read(file))
  elif tfjs.is_tfjs(start):
    return _not_empty(tfjs.read(file.name))
  elif start[257:262] == b'ustar':
    raise PosejaxError(
      'it is a tar archive; if PyTorch 0.1 wrote it, load and save it with a newer one'
    )
  else:
    kind = 'empty' if not start else f'something that begins with {start[:24]!r}'
    raise PosejaxError(
      'it is not a checkpoint: neither what torch.save writes nor safetensors, TFLite or TensorFlow.js, '
      f'but {kind}'
    )
  return content.read(_not_empty(_state_dict(content.value)))


def _state_dict(value: Any, depth: int = 3) -> dict[str, torch_files.Tensor]:
  """Return the named tensors of what was saved, looking into the sections of a training run."""
  if not isinstance(value, dict) or depth == 0:  # a pickle can put a section into itself
    return {}
  items = {
    name: item.tensor if isinstance(item, torch_files.Parameter) else item
    for name, item in value.items()
    if isinstance(name, str)
  }
  tensors = {n: item for n, item in items.items() if isinstance(item, torch_files.Tensor)}
  if tensors:
    return tensors
  for section in _SECTIONS:
    if found := _state_dict(value.get(section), depth - 1):
      return found
  return {}


def _not_empty(tensors: dict[str, Any]) -> dict[str, Any]:
  if not tensors:
    raise PosejaxError(
      'it holds no named tensors, neither at the top nor under ' + ', '.join(_SECTIONS)
    )
  return tensors
