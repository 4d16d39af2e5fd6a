"""What the parity goldens start from: the same weights and pictures with and without PyTorch.

Needs NumPy only. Numbers come from `PCG64.random_raw`, whose stream NumPy keeps; arrays of random
numbers are not promised to stay the same between its versions.
"""

from collections.abc import Mapping
import re
import zlib

import numpy as np

IMAGE_SHAPE = (96, 64)
_BRANCH_END = 0.15
_NOT_USED = re.compile(r'.*num_batches_tracked|(head\.)?fc\..*|classifier\..*')


def uniform(seed: str, shape: tuple[int, ...]) -> np.ndarray:
  """Return float32 numbers in [0, 1)."""
  count = int(np.prod(shape))
  bits = np.random.PCG64(zlib.crc32(seed.encode())).random_raw((count + 1) // 2)
  numbers = bits.view(np.uint32)[:count] >> np.uint32(8)
  return (numbers.astype(np.float32) * np.float32(2**-24)).reshape(shape)


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
  """Return values for a PyTorch state dict under which every layer matters and none explodes.

  Convolutions keep the variance of their input; batch norm's four vectors are spread enough that
  exchanging two, or two entries of one, shows. What ends a residual branch or an exchange between
  branches is scaled down, or sums would outgrow everything added later.

  Args:
    shapes: name -> shape, as in a state dict.
  """
  values = {}
  for name, shape in shapes.items():
    module, _, leaf = name.rpartition('.')
    if _NOT_USED.fullmatch(name):
      values[name] = np.zeros(shape, np.int64 if leaf == 'num_batches_tracked' else np.float32)
      continue
    u = uniform(name, tuple(shape))
    if len(shape) == 4:
      transposed = 'deconv' in name
      fan_in = shape[0] * 4 if transposed else int(np.prod(shape[1:]))
      values[name] = (u - np.float32(0.5)) * np.float32(np.sqrt(12 * 2 / fan_in))
    elif leaf == 'running_var' or (leaf == 'weight' and _ends_a_branch(module, shapes) is None):
      values[name] = u + np.float32(0.5)
    elif leaf == 'weight':
      values[name] = (u + np.float32(0.5)) * np.float32(_ends_a_branch(module, shapes))
    else:
      values[name] = u - np.float32(0.5)
  return values


def _ends_a_branch(module: str, shapes: Mapping[str, tuple[int, ...]]) -> float | None:
  if 'fuse_layers' in module:
    return _BRANCH_END
  if match := re.fullmatch(r'(.*\.\d+\.bn)(\d)', module):
    return None if f'{match[1]}{int(match[2]) + 1}.weight' in shapes else _BRANCH_END
  return None


def image() -> np.ndarray:
  """Return a textured uint8 RGB picture of `IMAGE_SHAPE`: waves, disks and noise, not symmetric."""
  h, w = IMAGE_SHAPE
  y, x = np.mgrid[:h, :w].astype(np.float64)
  colors = []
  for channel in range(3):
    waves = np.sin(x / (5 + 2 * channel) + y / 11) + np.cos(y / (7 - channel) - x / 17)
    disk = (x - 20 - 9 * channel) ** 2 + (y - 55 + 13 * channel) ** 2 < (11 + 3 * channel) ** 2
    noise = uniform(f'noise {channel}', (h, w))
    colors.append(110 + 35 * waves + 60 * disk + 40 * (noise - 0.5))
  return np.clip(np.stack(colors, -1), 0, 255).astype(np.uint8)


def center(picture: np.ndarray) -> np.ndarray:
  """Return the middle of a uint8 picture in `IMAGE_SHAPE`, black where it is smaller."""
  h, w = IMAGE_SHAPE
  top, left = max(0, (picture.shape[0] - h) // 2), max(0, (picture.shape[1] - w) // 2)
  part = picture[top : top + h, left : left + w]
  return np.pad(part, ((0, h - part.shape[0]), (0, w - part.shape[1]), (0, 0)))


def sample(values: np.ndarray, count: int = 600) -> np.ndarray:
  """Return some entries of one example's feature map `[h, w, C]`, spread evenly over all."""
  flat = np.ascontiguousarray(values, np.float32).reshape(-1)
  return flat[:: max(1, flat.size // count)][:count]
