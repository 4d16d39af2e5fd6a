"""Joining the processes of one run, decided by the environment that started them.

`launch/` sets these variables, never a config:

| variable | meaning |
|---|---|
| `JAX_COORDINATOR_ADDRESS` | `host:port` of process 0, reachable from all |
| `POSEJAX_NUM_PROCESSES` | how many processes the run has |
| `POSEJAX_PROCESS_ID` | which one this is, from 0 |
| `POSEJAX_DISTRIBUTED=auto` | let JAX find all of that out itself: Cloud TPU, Open MPI |
| `POSEJAX_JOIN_SECONDS` | how long to wait for the others to come (300) |
| `POSEJAX_HEARTBEAT_SECONDS` | how long one that is silent is taken for alive (40) |

Tasks that Slurm's `srun` started need none of them. Without any of these a run is one process.
"""

from collections.abc import Mapping
import os
import socket
import sys
import threading
from typing import Any, NoReturn

from posejax.errors import PosejaxError

_ADDRESS = 'JAX_COORDINATOR_ADDRESS'
_NUM_PROCESSES = 'POSEJAX_NUM_PROCESSES'
_PROCESS_ID = 'POSEJAX_PROCESS_ID'
_AUTO = 'POSEJAX_DISTRIBUTED'
# Names of jax.distributed.initialize, our variables, and their defaults.
_SECONDS = {
  'initialization_timeout': ('POSEJAX_JOIN_SECONDS', '300'),
  'heartbeat_timeout_seconds': ('POSEJAX_HEARTBEAT_SECONDS', '40'),
}
# What it does when its own time is over is print its stack; this process gives up before.
_JAX_WAITS_LONGER = 60
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

  Must come before anything asks JAX for its devices. Ends the process where the others do not come.

  Raises:
    PosejaxError: the variables make no sense, another program has the coordinator's port, or JAX refuses.
  """
  arguments = plan(os.environ)
  if arguments is None:
    return
  waiting = seconds(os.environ)
  limit = waiting['initialization_timeout']
  waiting['initialization_timeout'] += _JAX_WAITS_LONGER
  if arguments.get('process_id') == 0:
    _check_port(arguments['coordinator_address'])
  import jax

  too_long = threading.Timer(limit, _give_up, (arguments, limit))
  too_long.daemon = True
  too_long.start()
  try:
    jax.distributed.initialize(**arguments, **waiting)
  except (RuntimeError, ValueError) as error:
    where = arguments.get('coordinator_address', 'found by JAX in the environment')
    raise PosejaxError(
      f'This process could not join the others of its run (coordinator: {where}): {error}\n'
      'Check that process 0 runs, that its host and port are reachable from here and that every '
      'process was given a number of its own.'
    ) from error
  finally:
    too_long.cancel()


def _check_port(address: str) -> None:
  """Refuse a port that another program listens at: JAX would crash."""
  port = int(address.rpartition(':')[2])
  with socket.socket() as trial:
    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      trial.bind(('', port))
    except OSError as error:
      raise PosejaxError(
        f'Process 0 cannot listen at port {port} of {_ADDRESS}={address} ({error.strerror}). Choose '
        'another port, the same for all processes.'
      ) from error


def _give_up(arguments: Mapping[str, Any], limit: int) -> None:
  """End this process, which has waited too long, with what it can find out about why."""
  address = arguments.get('coordinator_address')
  who = 'This process'
  if 'process_id' in arguments:
    who = f'Process {arguments["process_id"]} of {arguments["num_processes"]}'
  if address is None:
    why = 'Check that all were started and that their hosts can reach one another.'
  elif _is_answering(address):
    why = (
      f'Process 0 answers at {address}, but not all processes came: check that each was started, with '
      f'a {_PROCESS_ID} of its own and the same {_NUM_PROCESSES}.'
    )
  else:
    why = (
      f'Nobody answers at {address}, where process 0 should be: check that it runs and that its host '
      'and port can be reached from here.'
    )
  join = _SECONDS['initialization_timeout'][0]
  end(f'Error: {who} waited {limit} s ({join}) for the others of its run. {why}')


def _is_answering(address: str) -> bool:
  host, _, port = address.rpartition(':')
  try:
    socket.create_connection((host.strip('[]'), int(port)), timeout=5).close()
  except OSError:
    return False
  return True


def end(message: str) -> NoReturn:
  """End this process at once with a message, as failed: others may wait for it, and it for them."""
  print(message, file=sys.stderr)
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(1)
