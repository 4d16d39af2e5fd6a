"""NVIDIA's GPUs, to compile for where there is none: what XLA is told, which would ask the driver."""

from collections.abc import Sequence
import importlib.util

import jax
from jax.experimental import topologies

from posejax.errors import PosejaxError

# Source: xla/backends/gpu/target_config/specs/h100_sxm.txtpb of openxla/xla (Apache-2.0), its numbers.
_DESCRIPTIONS = {
  'h100': """
    gpu_device_info {
      name: "NVIDIA H100 80GB HBM3"
      device_vendor: "NVIDIA Corporation"
      cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
      core_count: 132
      fpus_per_core: 128
      clock_rate_ghz: 1.98
      threads_per_warp: 32
      threads_per_block_limit: 1024
      threads_per_core_limit: 2048
      thread_dim_limit_x: 1024
      thread_dim_limit_y: 1024
      thread_dim_limit_z: 64
      block_dim_limit_x: 2147483647
      block_dim_limit_y: 65535
      block_dim_limit_z: 65535
      registers_per_core_limit: 65536
      registers_per_block_limit: 65536
      shared_memory_per_core: 233472
      shared_memory_per_block: 49152
      shared_memory_per_block_optin: 232448
      device_memory_size: 84942979072
      memory_bandwidth: 3352320000000
      l2_cache_size: 52428800
      device_address_bits: 64
      ecc_enabled: true
      driver_version: "13.0.0"
      runtime_version: "12.8.0"
      compile_time_toolkit_version: "12.8.0"
    }
    platform_name: "CUDA"
    dnn_version_info { major: 9 minor: 10 patch: 0 }
    device_description_str: "NVIDIA H100 80GB HBM3"
  """
}
_COMPILERS = ('jax_cuda13_plugin', 'jax_cuda12_plugin')


def described(gpu: str, nodes: int, per_node: int) -> Sequence[jax.Device]:
  """Return the GPUs of nodes that are not there, to compile for.

  Call it before JAX has asked for any device.

  Args:
    gpu: of `chips.GPUS`.
    nodes: how many.
    per_node: GPUs of each.

  Raises:
    PosejaxError: there is no compiler for them.
  """
  if not any(importlib.util.find_spec(name) for name in _COMPILERS):
    raise PosejaxError(
      "To compile for NVIDIA's GPUs, install their compiler: pip install 'posejax[cuda]', or without the "
      'libraries that only a GPU needs, pip install --no-deps jax-cuda13-plugin jax-cuda13-pjrt, both of '
      f"jaxlib's version, {jax.lib.__version__}."
    )
  jax.config.update('jax_platforms', 'cpu')
  return topologies.get_topology_desc(
    platform='cuda',
    topology_name='',
    topology=f'1x{nodes}x{per_node}',
    target_config=_DESCRIPTIONS[gpu],
  ).devices
