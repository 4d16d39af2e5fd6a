"""Joining the processes of one run, decided by the environment that started them.

`launch/` sets these variables, never a config:

| variable | meaning |
|---|---|
| `JAX_COORDINATOR_ADDRESS` | `host:port` of process 0, reachable from all |
| `POSEJAX_NUM_PROCESSES` | how many processes the run has |
| `POSEJAX_PROCESS_ID` | which one this is, from 0 |
| `POSEJAX_DISTRIBUTED=auto` | let JAX find all of that out itself: Cloud TPU, Open MPI |
| `POSEJAX_JOIN_SECONDS` | how long to wait for the others to come (300) |
| `POSEJAX_HEARTBEAT_SECONDS` | how long one that is silent is taken for alive (60) |

Tasks that Slurm's `srun` started need none of them. Without any of these a run is one process.
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
import sys
import traceback
from typing import Any

from posejax.errors import PosejaxError

_ADDRESS = 'JAX_COORDINATOR_ADDRESS'
_NUM_PROCESSES = 'POSEJAX_NUM_PROCESSES'
_PROCESS_ID = 'POSEJAX_PROCESS_ID'
_AUTO = 'POSEJAX_DISTRIBUTED'
# Names of jax.distributed.initialize, our variables, and their defaults.
_SECONDS = {
  'initialization_timeout': ('POSEJAX_JOIN_SECONDS', '300'),
  'heartbeat_timeout_seconds': ('POSEJAX_HEARTBEAT_SECONDS', '60'),
}
# What JAX itself takes for the sign of a Slurm task (jax/_src/clusters/slurm_cluster.py). A shell
# inside an allocation has some of them, but is no task of a step.
_SLURM = (
  'SLURM_JOB_ID',
  'SLURM_STEP_NODELIST',
  'SLURM_NTASKS',
  'SLURM_PROCID',
  'SLURM_LOCALID',
)


def _integer(environ: Mapping[str, str], name: str) -> int:
  try:
    return int(environ[name])
  except ValueError:
    raise PosejaxError(
      f'{name}={environ[name]!r} in the environment must be a whole number.'
    ) from None


def _explicit(environ: Mapping[str, str]) -> dict[str, Any]:
  names = (_ADDRESS, _NUM_PROCESSES, _PROCESS_ID)
  missing = [name for name in names if name not in environ]
  if missing:
    present = [name for name in names if name in environ]
    raise PosejaxError(
      f'{" and ".join(present)} in the environment ask for a run of several processes, but '
      f'{" and ".join(missing)} {"is" if len(missing) == 1 else "are"} not set. Set all three, or '
      'unset them for a run of one process.'
    )
  address = environ[_ADDRESS]
  host, _, port = address.rpartition(':')
  if not host or not port.isdigit():
    raise PosejaxError(
      f'{_ADDRESS}={address!r} in the environment must be host:port of process 0, such as '
      '10.0.0.1:1234.'
    )
  count, index = _integer(environ, _NUM_PROCESSES), _integer(environ, _PROCESS_ID)
  if not 0 <= index < count:
    raise PosejaxError(
      f'{_PROCESS_ID}={index} in the environment must be one of 0 to {_NUM_PROCESSES} - 1 = '
      f'{count - 1}.'
    )
  return {'coordinator_address': address, 'num_processes': count, 'process_id': index}


def plan(environ: Mapping[str, str]) -> dict[str, Any] | None:
  """Return the arguments for `jax.distributed.initialize`, or None for a run of one process.

  An empty result means that JAX finds everything out itself.

  Raises:
    PosejaxError: the variables contradict each other or are incomplete.
  """
  if environ.get(_AUTO, 'auto') != 'auto':
    raise PosejaxError(f"{_AUTO}={environ[_AUTO]!r} in the environment; it knows only 'auto'.")
  if any(name in environ for name in (_ADDRESS, _NUM_PROCESSES, _PROCESS_ID)):
    return _explicit(environ)
  if _AUTO in environ:
    return {}
  if all(name in environ for name in _SLURM) and _integer(environ, 'SLURM_NTASKS') > 1:
    gpus = environ.get('SLURM_GPUS_ON_NODE', '')
    # JAX gives each task one GPU, by its number on the node. The only task of a node takes them all.
    if environ.get('SLURM_STEP_NUM_NODES') == environ['SLURM_NTASKS'] and gpus.isdigit():
      return {'local_device_ids': list(range(int(gpus)))}
    return {}
  return None


def seconds(environ: Mapping[str, str]) -> dict[str, int]:
  """Return how long to wait for other processes, as arguments for `jax.distributed.initialize`.

  Raises:
    PosejaxError: a variable is not a whole number above 0.
  """
  found = {}
  for argument, (name, default) in _SECONDS.items():
    found[argument] = _integer({name: default, **environ}, name)
    if found[argument] < 1:
      raise PosejaxError(f'{name}={environ[name]} in the environment must be at least 1 second.')
  return found


def initialize_from_environment() -> None:
  """Join the other processes of this run where the environment says that there are any.

  Must come before anything asks JAX for its devices.

  Raises:
    PosejaxError: the variables make no sense, or the processes did not find each other.
  """
  arguments = plan(os.environ)
  if arguments is None:
    return
  import jax

  try:
    jax.distributed.initialize(**arguments, **seconds(os.environ))
  except (RuntimeError, ValueError) as error:
    where = arguments.get('coordinator_address', 'found by JAX in the environment')
    raise PosejaxError(
      f'This process could not join the others of its run (coordinator: {where}): {error}\n'
      'Check that process 0 runs, that its host and port are reachable from here and that every '
      'process was given a number of its own.'
    ) from error


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
  """End this process at once where what is inside fails, and others of its run would wait for it.

  A process that leaves Python as usual first waits for the others, which wait for it in a computation.
  One that is gone is missed by its heartbeat, and JAX ends the others.
  """
  if plan(os.environ) is None:
    yield
    return
  import jax

  try:
    yield
  except (Exception, KeyboardInterrupt) as error:
    which = f'Process {jax.process_index()} of {jax.process_count()}'
    if isinstance(error, PosejaxError):
      print(f'{which}: Error: {error}', file=sys.stderr)
    else:
      print(f'{which}: {traceback.format_exc()}', file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
