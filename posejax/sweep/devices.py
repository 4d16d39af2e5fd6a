"""Where the processes of a sweep compute: a GPU each, or a share of the CPU's cores each."""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import shutil
import subprocess


@dataclasses.dataclass(frozen=True)
class Slot:
  """A place for one process.

  Attributes:
    environ: variables to set for it.
    cpus: cores it computes on; all where empty.
  """

  environ: Mapping[str, str] = dataclasses.field(default_factory=dict)
  cpus: tuple[int, ...] = ()


def slots(parallel: int, environ: Mapping[str, str] = os.environ) -> list[Slot]:
  """Return places for `parallel` processes at a time; a single one has everything.

  With GPUs, every process sees one; where there are more processes than GPUs, those on one GPU divide
  its memory. Without, the processes divide the cores: two processes that both compute on all cores
  hold each other up.
  """
  if parallel == 1:
    return [Slot()]
  gpus = visible_gpus(environ)
  if gpus:
    sharing = -(-parallel // len(gpus))
    memory = {} if sharing == 1 else {'XLA_PYTHON_CLIENT_MEM_FRACTION': f'{0.9 / sharing:.2f}'}
    return [Slot({'CUDA_VISIBLE_DEVICES': gpus[i % len(gpus)], **memory}) for i in range(parallel)]
  if not hasattr(os, 'sched_getaffinity'):
    return [Slot()] * parallel
  cpus = sorted(os.sched_getaffinity(0))
  return [Slot(cpus=share(cpus, i, parallel)) for i in range(parallel)]


def share(cpus: Sequence[int], number: int, parallel: int) -> tuple[int, ...]:
  """Return the cores of process `number` of `parallel`; at least one."""
  each = max(1, len(cpus) // parallel)
  first = number * each % len(cpus)
  return tuple(cpus[first : first + each])


def visible_gpus(environ: Mapping[str, str]) -> list[str]:
  """Return the names of the NVIDIA GPUs that JAX would compute on, as CUDA_VISIBLE_DEVICES has them."""
  if environ.get('JAX_PLATFORMS') == 'cpu':
    return []
  if 'CUDA_VISIBLE_DEVICES' in environ:
    return [gpu for gpu in environ['CUDA_VISIBLE_DEVICES'].split(',') if gpu.strip()]
  if not shutil.which('nvidia-smi'):
    return []
  listed = subprocess.run(
    ['nvidia-smi', '--query-gpu=index', '--format=csv,noheader'],
    capture_output=True,
    text=True,
    check=False,
  )
  return listed.stdout.split() if listed.returncode == 0 else []
