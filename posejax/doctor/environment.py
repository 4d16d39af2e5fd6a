"""What the user's environment is: versions, devices, and flags that can change results."""

from importlib import metadata
import os
import platform

import jax

import posejax
from posejax.errors import PosejaxError

_PACKAGES = (
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'orbax-checkpoint',
  'numpy',
  'opencv-python-headless',
  'tensorflow-cpu',
  'tensorflow',
)
# They say how many devices a CPU pretends to be and what is written to disk, not what is computed.
_HARMLESS = ('--xla_force_host_platform_device_count', '--xla_dump_')
_SHOWN = ('JAX_', 'XLA_', 'LIBTPU_', 'CUDA_VISIBLE_DEVICES')
_NVIDIA_DRIVER = '/proc/driver/nvidia/version'


def flags() -> list[str]:
  """Return the flags in XLA_FLAGS."""
  return os.environ.get('XLA_FLAGS', '').split()


def suspicious_flags() -> list[str]:
  """Return the flags in XLA_FLAGS that can change results."""
  return [flag for flag in flags() if not flag.startswith(_HARMLESS)]


def _devices() -> str:
  try:
    devices = jax.local_devices()
  except RuntimeError as error:
    raise PosejaxError(
      f'JAX found no device: {error}\nJAX_PLATFORMS={os.environ.get("JAX_PLATFORMS", "")!r}; '
      'unset it to take what there is, or set it to cpu.'
    ) from error
  kinds = [f'{device.platform} ({device.device_kind})' for device in devices]
  lines = [f'{kinds.count(kind)} x {kind}' for kind in dict.fromkeys(kinds)]
  if jax.default_backend() == 'cpu' and os.path.exists(_NVIDIA_DRIVER):
    lines.append("(there is an NVIDIA driver; JAX uses it after pip install -e '.[cuda]')")
  return ', '.join(lines)


def describe() -> str:
  """Return versions, devices and the environment variables that JAX obeys, one per line.

  Raises:
    PosejaxError: JAX finds no device.
  """
  versions = []
  for package in _PACKAGES:
    try:
      versions.append(f'{package} {metadata.version(package)}')
    except metadata.PackageNotFoundError:
      continue
  lines = [
    f'posejax {posejax.__version__}, Python {platform.python_version()}, {platform.system()} '
    f'{platform.machine()}, {os.cpu_count()} cores',
    ', '.join(versions),
    f'Devices: {_devices()}',
  ]
  variables = [f'{k}={v}' for k, v in sorted(os.environ.items()) if k.startswith(_SHOWN)]
  lines.append(f'Environment: {" ".join(variables) or "no variable that JAX obeys is set"}')
  return '\n'.join(lines)
