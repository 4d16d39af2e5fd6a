import pytest

from posejax import devices
from posejax.errors import PosejaxError
from tests import processes

GATHER = """
import jax
from posejax import devices
from posejax.process import distributed

distributed.initialize_from_environment()
mine = [{'process': jax.process_index(), 'points': [0.5] * n} for n in range(2 + jax.process_index())]
together = devices.gather(mine)
print([(item['process'], len(item['points'])) for item in together])
"""

# What is exchanged by evaluations whose records differ a little in size, and what comes of it.
SIZES = """
import jax
from posejax import devices
from posejax.process import distributed

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
def steps():
  """Return what parallel_script.py prints, from 8 host devices: differences, collectives by kind."""
  return processes.on_host_devices(
    'from tests.train.step import parallel_script; parallel_script.main()', 8
  )


@pytest.mark.parametrize(
  'pair',
  [
    'one | eight',
    'one, groups of 4 | eight, groups of 4',
    'one, groups of 2 | eight, device',
    'detector | detector on two, in two',
  ],
)
def test_the_same_step_on_other_devices(steps, pair):
  assert all(value < 1e-5 for value in steps['differences'][pair].values())


def test_local_batch_norm_is_another_computation(steps):
  # Else the test above could not tell what batch norm sees apart.
  assert steps['differences']['one | eight, device']['gradient'] > 1e-2


def test_gradients_are_averaged_in_bfloat16_on_request_and_nothing_else_is(steps):
  found = steps['differences']['one, groups of 2 | eight, pmap, bfloat16']
  assert 1e-4 < found['gradient'] < 1e-2
  assert found['batch_stats'] < 1e-5
  assert found['example_losses'] < 1e-5


def test_devices_exchange_once_but_for_batch_norms_that_span_them(steps):
  found = steps['collectives']
  assert found['one'] == {}
  assert found['eight, device'] == found['eight, pmap, bfloat16'] == {'all-reduce': 1}
  norms = 4  # of this net
  spanning = {'all-reduce': 1 + 2 * norms}
  assert found['eight'] == found['eight, groups of 4'] == spanning
  # And what a detector's loss is divided by.
  assert found['detector on two, in two'] == {'all-reduce': 2}


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
