import os

import pytest

from posejax.sweep import devices


def test_a_single_process_has_everything():
  assert devices.slots(1, {'CUDA_VISIBLE_DEVICES': '0,1'}) == [devices.Slot()]


def test_gpus_are_dealt_out_and_shared_where_they_are_too_few():
  found = devices.slots(3, {'CUDA_VISIBLE_DEVICES': '4,7,9'})
  assert [slot.environ for slot in found] == [{'CUDA_VISIBLE_DEVICES': gpu} for gpu in '479']
  found = devices.slots(3, {'CUDA_VISIBLE_DEVICES': '4,7'})
  assert [slot.environ['CUDA_VISIBLE_DEVICES'] for slot in found] == ['4', '7', '4']
  # Two processes on one GPU must fit beside each other.
  assert 2 * float(found[0].environ['XLA_PYTHON_CLIENT_MEM_FRACTION']) < 1


def test_gpus_that_jax_was_told_to_leave_alone_are_left_alone():
  assert devices.visible_gpus({'JAX_PLATFORMS': 'cpu', 'CUDA_VISIBLE_DEVICES': '0'}) == []
  assert devices.visible_gpus({'CUDA_VISIBLE_DEVICES': ''}) == []


@pytest.mark.parametrize(('cores', 'parallel'), [(8, 2), (8, 3), (2, 2), (2, 3), (1, 4)])
def test_cores_are_divided(cores, parallel):
  cpus = range(10, 10 + cores)
  shares = [devices.share(cpus, i, parallel) for i in range(parallel)]
  assert len({len(share) for share in shares}) == 1
  if parallel <= cores:
    assert len(set().union(*shares)) == parallel * (cores // parallel)  # no core twice
  assert set().union(*shares) <= set(cpus)


def test_slots_without_gpus_are_cores_of_this_process():
  found = devices.slots(2, {'JAX_PLATFORMS': 'cpu'})
  assert set(found[0].cpus) | set(found[1].cpus) <= os.sched_getaffinity(0)
