"""Write arrays as `.safetensors`, which `posejax.weights.load` and many other programs read."""

from collections.abc import Mapping
import json

import numpy as np

from posejax import files

_DTYPES = {'float16': 'F16', 'float32': 'F32'}


def save(
  path: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
  """Write a file, whole or not at all.

  Args:
    path: of the file; one that is there is replaced.
    arrays: by name; float16 or float32.
    metadata: texts by name, for whoever reads the file.

  Source: https://github.com/huggingface/safetensors#format.
  """
  header, parts, offset = {}, [], 0
  if metadata:
    header['__metadata__'] = dict(metadata)
  for name in sorted(arrays):
    array = np.ascontiguousarray(arrays[name])
    data = array.astype(array.dtype.newbyteorder('<')).tobytes()
    end = offset + len(data)
    header[name] = {
      'dtype': _DTYPES[array.dtype.name],
      'shape': list(array.shape),
      'data_offsets': [offset, end],
    }
    parts.append(data)
    offset = end
  text = json.dumps(header).encode()
  text += b' ' * (-len(text) % 8)  # so that the arrays' bytes are aligned
  files.replace(path, b''.join([len(text).to_bytes(8, 'little'), text, *parts]))
