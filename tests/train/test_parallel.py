import json
import os
import socket
import subprocess
import sys

import pytest

from posejax.errors import PosejaxError
from posejax.train import parallel

GATHER = """
import jax
from posejax import distributed
from posejax.train import parallel

distributed.initialize_from_environment()
mine = [{'process': jax.process_index(), 'points': [0.5] * n} for n in range(2 + jax.process_index())]
together = parallel.gather(mine)
print([(item['process'], len(item['points'])) for item in together])
"""


@pytest.fixture(scope='module')
def compared():
  """Return the relative differences that parallel_script.py prints, from 8 host devices."""
  environment = dict(os.environ, XLA_FLAGS='--xla_force_host_platform_device_count=8')
  result = subprocess.run(
    [sys.executable, '-m', 'tests.train.parallel_script'],
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert result.returncode == 0, result.stderr[-3000:]
  return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize('pair', ['jit 1 | jit 8', 'groups of 2 on 1 | pmap 8'])
def test_the_same_step_on_other_devices(compared, pair):
  assert compared[pair]['gradient'] < 1e-5
  assert compared[pair]['batch_stats'] < 1e-5
  assert compared[pair]['example_losses'] < 1e-5


def test_local_batch_norm_is_another_computation(compared):
  # Else the test above could not tell the two semantics apart.
  assert compared['jit 1 | pmap 8']['gradient'] > 1e-2


def test_a_batch_that_devices_do_not_divide_is_refused_with_a_proposal():
  with pytest.raises(PosejaxError, match=r'config\.batch_size=10 .* 4 devices; try 8 or 12'):
    parallel.check_batch_size('batch_size', 10, 4)
  with pytest.raises(PosejaxError, match=r'try 8\.'):
    parallel.check_batch_size('batch_size', 3, 8)
  parallel.check_batch_size('batch_size', 16, 8)


def test_lists_of_different_lengths_are_gathered_from_all_processes():
  assert parallel.gather([3, 4]) == [3, 4]
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', GATHER],
      env={
        **os.environ,
        'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{port}',
        'POSEJAX_NUM_PROCESSES': '2',
        'POSEJAX_PROCESS_ID': str(i),
      },
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  try:
    outputs = [process.communicate(timeout=120) for process in processes]
  finally:
    for process in processes:
      process.kill()
  assert [process.returncode for process in processes] == [0, 0], outputs
  expected = '[(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]'
  assert [out.splitlines()[-1] for out, _ in outputs] == [expected] * 2
