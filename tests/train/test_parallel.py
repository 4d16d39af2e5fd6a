import json
import os
import subprocess
import sys

import pytest

from posejax import devices
from posejax.errors import PosejaxError
from tests import processes

GATHER = """
import jax
from posejax import devices, distributed

distributed.initialize_from_environment()
mine = [{'process': jax.process_index(), 'points': [0.5] * n} for n in range(2 + jax.process_index())]
together = devices.gather(mine)
print([(item['process'], len(item['points'])) for item in together])
"""

# What is exchanged by evaluations whose records differ a little in size, and what comes of it.
SIZES = """
import jax
from posejax import devices, distributed

distributed.initialize_from_environment()
shapes, allgather = [], devices.multihost_utils.process_allgather

def recorded(array):
  shapes.append(array.shape)
  return allgather(array)

devices.multihost_utils.process_allgather = recorded
for n in (1, 600, 700, 701):
  mine = [(jax.process_index(), 'x' * n)]
  assert devices.gather(mine) == [(0, 'x' * n), (1, 'x' * n)]
print(shapes[1::2])
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
    devices.check_batch_size('batch_size', 10, 4)
  with pytest.raises(PosejaxError, match=r'try 8\.'):
    devices.check_batch_size('batch_size', 3, 8)
  devices.check_batch_size('batch_size', 16, 8)


def test_lists_of_different_lengths_are_gathered_from_all_processes():
  assert devices.gather([3, 4]) == [3, 4]
  expected = '[(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]'
  assert processes.last_lines(GATHER) == [expected] * 2


def test_what_is_gathered_has_few_sizes():
  assert processes.last_lines(SIZES) == ['[(32,), (1024,), (1024,), (1024,)]'] * 2
