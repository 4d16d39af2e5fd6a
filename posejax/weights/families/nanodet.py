"""NanoDet-g's published weights in TensorFlow.js form, where they went through ONNX and lost their names.

Kernels are `PartitionedCall/split_<i>` in the order of the net, height, width, input, output, batch norms
folded in; biases are `unknown_<k>`.
"""

from collections.abc import Mapping

from flax import traverse_util
import numpy as np

from posejax.errors import PosejaxError
from posejax.models.backbones.nanodet_g import STAGES
from posejax.models.net import Net
from posejax.types import Variables
from posejax.weights.families import strict

_KERNEL, _BIAS = 'PartitionedCall/split', 'unknown_'
_LATE_BIASES = (60, 62, 66, 68, 70, 72)
"""Numbers of the head's biases; those before are twice their convolution's."""


def layers() -> list[str]:
  """Return the path of every convolution in the order of the file."""
  paths = ['backbone/stem/conv']
  for stage, (inner, _) in enumerate(STAGES):
    names = ['in_conv', *(f'inner{i}_{part}' for i in range(inner) for part in ('in', 'mid'))]
    paths += [f'backbone/stage{stage}/{name}/conv' for name in (*names, 'out_conv')]
  paths += [f'neck/lateral_c{level}' for level in (3, 4, 5)]
  for level in (3, 4, 5):
    paths += [f'head/hidden_p{level}/conv', f'head/final_p{level}']
  return paths


def peer_names() -> dict[str, str]:
  """Return 'module/.../variable' of the net's params -> the graph's name."""
  paths = layers()
  early = len(paths) - len(_LATE_BIASES)
  names = {}
  for i, path in enumerate(paths):
    bias = 2 * i if i < early else _LATE_BIASES[i - early]
    names[f'{path}/kernel'] = f'{_KERNEL}_{i}' if i else _KERNEL
    names[f'{path}/bias'] = f'{_BIAS}{bias}'
  return names


def to_variables(tensors: Mapping[str, np.ndarray], model: Net) -> Variables:
  """Return the net's variables: `{'params': ...}`, float32.

  Args:
    tensors: as `posejax.weights.readers.tfjs.read` gives them.
    model: for 80 classes.

  Raises:
    PosejaxError: the tensors are of another net, or lack a weight, or have one too many, of another
      shape, or one that is not finite; the first differences are listed.
  """
  shapes = strict.param_shapes(model)
  names = peer_names()
  differences, flat = [], {}
  for path, name in names.items():
    value = tensors.get(name)
    if fault := strict.fault(name, value, shapes[path]):
      differences.append(fault)
    else:
      flat[path] = np.array(value, order='C')
  used = set(names.values())
  differences += [
    strict.unknown(name, value)
    for name, value in tensors.items()
    if name not in used and value.dtype == np.float32 and value.size > 1
  ]
  if differences:
    head = 'The file does not hold NanoDet-g for 80 classes; it differs in:'
    raise PosejaxError(strict.message(head, differences))
  return {'params': traverse_util.unflatten_dict(flat, sep='/')}
