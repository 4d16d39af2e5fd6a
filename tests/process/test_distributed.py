import socket

import pytest

from posejax.errors import PosejaxError
from posejax.process import distributed
from tests import processes

EXPLICIT = {
  'JAX_COORDINATOR_ADDRESS': 'node0:1234',
  'POSEJAX_NUM_PROCESSES': '4',
  'POSEJAX_PROCESS_ID': '3',
}
SLURM = {
  'SLURM_JOB_ID': '77',
  'SLURM_STEP_NODELIST': 'node[01-02]',
  'SLURM_NTASKS': '8',
  'SLURM_PROCID': '5',
  'SLURM_LOCALID': '1',
  'SLURM_STEP_NUM_NODES': '2',
  'SLURM_GPUS_ON_NODE': '4',
}
SUM_OVER_PROCESSES = """
import jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from posejax.process import distributed

distributed.initialize_from_environment()
assert jax.process_count() == 2, jax.process_count()
mesh = jax.make_mesh((jax.device_count(),), ('batch',))
mine = jnp.array([10.0 ** jax.process_index()])
sharding = NamedSharding(mesh, PartitionSpec('batch'))
whole = jax.make_array_from_process_local_data(sharding, mine)
total = jax.jit(jnp.sum, out_shardings=NamedSharding(mesh, PartitionSpec()))(whole)
print('total', float(total))
"""

JOIN = """
from posejax.process import distributed
from posejax.errors import PosejaxError

try:
  distributed.initialize_from_environment()
except PosejaxError as error:
  print(error)
"""


def test_one_process_without_any_sign():
  assert distributed.plan({}) is None
  assert distributed.plan({'SLURM_JOB_ID': '77', 'SLURM_NTASKS': '8'}) is None  # a shell in salloc
  assert distributed.plan({**SLURM, 'SLURM_NTASKS': '1'}) is None


def test_the_environment_names_the_processes():
  assert distributed.plan(EXPLICIT) == {
    'coordinator_address': 'node0:1234',
    'num_processes': 4,
    'process_id': 3,
  }
  assert distributed.plan({'POSEJAX_DISTRIBUTED': 'auto'}) == {}


def test_slurm_gives_a_task_its_own_gpu_and_the_only_task_of_a_node_all():
  assert distributed.plan(SLURM) == {}
  one_per_node = {**SLURM, 'SLURM_NTASKS': '2', 'SLURM_PROCID': '1', 'SLURM_LOCALID': '0'}
  assert distributed.plan(one_per_node) == {'local_device_ids': [0, 1, 2, 3]}
  without_gpus = {k: v for k, v in one_per_node.items() if k != 'SLURM_GPUS_ON_NODE'}
  assert distributed.plan(without_gpus) == {}


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'POSEJAX_PROCESS_ID': None}, 'POSEJAX_PROCESS_ID is not set'),
    ({'JAX_COORDINATOR_ADDRESS': None}, 'JAX_COORDINATOR_ADDRESS is not set'),
    ({'JAX_COORDINATOR_ADDRESS': 'node0'}, "'node0' .* must be host:port"),
    ({'POSEJAX_PROCESS_ID': '4'}, 'POSEJAX_PROCESS_ID=4 .* 0 to POSEJAX_NUM_PROCESSES - 1 = 3'),
    ({'POSEJAX_NUM_PROCESSES': 'four'}, "POSEJAX_NUM_PROCESSES='four' .* whole number"),
    ({'POSEJAX_DISTRIBUTED': 'yes'}, "POSEJAX_DISTRIBUTED='yes'"),
  ],
)
def test_contradictions_are_named(change, message):
  environment = {k: v for k, v in {**EXPLICIT, **change}.items() if v is not None}
  with pytest.raises(PosejaxError, match=message):
    distributed.plan(environment)


def test_two_processes_add_up():
  assert processes.last_lines(SUM_OVER_PROCESSES) == ['total 11.0'] * 2


def test_how_long_to_wait_is_set_by_the_environment():
  assert distributed.seconds({}) == {
    'initialization_timeout': 300,
    'heartbeat_timeout_seconds': 40,
  }
  given = distributed.seconds({'POSEJAX_JOIN_SECONDS': '30', 'POSEJAX_HEARTBEAT_SECONDS': '7'})
  assert given == {'initialization_timeout': 30, 'heartbeat_timeout_seconds': 7}
  with pytest.raises(PosejaxError, match="POSEJAX_JOIN_SECONDS='soon' .* whole number"):
    distributed.seconds({'POSEJAX_JOIN_SECONDS': 'soon'})
  with pytest.raises(PosejaxError, match='POSEJAX_HEARTBEAT_SECONDS=0 .* at least 1 second'):
    distributed.seconds({'POSEJAX_HEARTBEAT_SECONDS': '0'})


def test_who_waits_in_vain_says_for_whom():
  port = processes.free_port()
  ((code, _, err),) = processes.run(JOIN, [1], port, POSEJAX_JOIN_SECONDS='2')
  assert code == 1
  assert 'Error: Process 1 of 2 waited 2 s (POSEJAX_JOIN_SECONDS)' in err
  assert f'Nobody answers at 127.0.0.1:{port}, where process 0 should be' in err
  ((code, _, err),) = processes.run(JOIN, [0], port, POSEJAX_JOIN_SECONDS='2')
  assert code == 1
  assert f'Process 0 answers at 127.0.0.1:{port}, but not all processes came' in err


def test_a_port_that_another_program_has_is_named():
  with socket.create_server(('', 0)) as other:
    port = other.getsockname()[1]
    ((_, out, _),) = processes.run(JOIN, [0], port)
  assert f'Process 0 cannot listen at port {port}' in out
