"""The model's formulas against values computed by hand, and what holds of all of them."""

import math

from hypothesis import given
from hypothesis import strategies as st
import pytest

from posejax.errors import PosejaxError
from posejax.plan import chips, model
from posejax.plan.chips import Chip, Slices
from posejax.plan.collectives import Collective

# 100 Tflop/s, 1 TB/s, links 100 GB/s, network 1 GB/s.
ROUND = Chip(100e12, 16e9, 1e12, 100e9, 1e9)
FOUR_BY_FOUR = Slices(ROUND, (4, 4), 1, 4)


def reduction(size, devices=16, is_async=False, kind='all-reduce'):
  return Collective(kind, size, devices, is_async)


def test_one_slice_by_hand():
  # 2 x 160 MB x 15/16 at 100 GB/s, and 8 hops of a microsecond.
  assert model.seconds(reduction(160_000_000), FOUR_BY_FOUR) == pytest.approx(3.0e-3 + 8e-6)
  # Once for a gather or a scatter; whole for a permutation.
  for kind, expected in (
    ('all-gather', 1.5e-3),
    ('reduce-scatter', 1.5e-3),
    ('collective-permute', 1.6e-3),
  ):
    one = reduction(160_000_000, kind=kind)
    assert model.seconds(one, FOUR_BY_FOUR) == pytest.approx(expected + 8e-6)
  # Between neighbours: 2 x 160 MB x 1/2, two hops.
  assert model.seconds(reduction(160_000_000, 2), FOUR_BY_FOUR) == pytest.approx(1.6e-3 + 2e-6)
  assert model.seconds(reduction(160_000_000, 1), FOUR_BY_FOUR) == 0


def test_two_slices_by_hand():
  slices = Slices(ROUND, (4, 4), 2, 8)
  # As above, and 2 x 10 MB x 1/2 at 1 GB/s with 100 us on the network.
  expected = 3.0e-3 + 8e-6 + 10e-3 + 100e-6
  assert model.seconds(reduction(160_000_000, 32), slices) == pytest.approx(expected)
  assert slices.chips_per_slice == 16
  # As the compiler of TPUs has it: its sum within the slice, and each chip's part between the two.
  part = Collective('all-reduce', 10_000_000, 2, False, between_slices=True)
  assert model.seconds(part, slices) == pytest.approx(10e-3 + 100e-6)
  assert model.seconds(part._replace(is_joined=True), slices) == pytest.approx(10e-3)


def test_a_step_by_hand():
  # 1 Tflop at 50 Tflop/s is 20 ms; 8 GB at 800 GB/s 10 ms; the exchange 3.008 ms.
  cost = model.Cost(1e12, 8e9, [reduction(160_000_000)])
  found = model.estimate(cost, FOUR_BY_FOUR, 512)
  assert found.arithmetic == pytest.approx(20e-3)
  assert found.traffic == pytest.approx(10e-3)
  assert found.step == pytest.approx(23.008e-3)
  assert found.efficiency == pytest.approx(20 / 23.008)
  # 128 examples a host in 23.008 ms: 5,563 a second, 12 cores of 491.
  assert found.images_per_host == pytest.approx(5563.3, abs=0.1)
  assert found.cores_per_host == 12


def test_what_goes_on_beside_computing_costs_what_computing_does_not_hide():
  def exchange(size):
    return model.estimate(
      model.Cost(1e12, 0, [reduction(size, is_async=True)]), FOUR_BY_FOUR, 16
    ).exchange

  assert exchange(160_000_000) == 0
  assert exchange(1_600_000_000) == pytest.approx(30e-3 + 8e-6 - 20e-3)


@given(st.integers(1, 10**9), st.integers(2, 16), st.booleans())
def test_more_bytes_never_take_less_time(size, devices, is_async):
  less, more = (reduction(s, devices, is_async) for s in (size, 2 * size))
  assert model.seconds(less, FOUR_BY_FOUR) < model.seconds(more, FOUR_BY_FOUR)
  found = model.estimate(model.Cost(1e9, 1e9, [more]), FOUR_BY_FOUR, 16)
  assert 0 < found.efficiency <= 1
  assert math.isclose(found.computing + found.exchange, found.step)


def test_topologies_are_read():
  chip, sides = chips.parse('v5p:8x8x16')
  assert (chip.peak_flops, sides) == (459e12, (8, 8, 16))
  with pytest.raises(PosejaxError, match="'v5f' is no chip .* Did you mean 'v5"):
    chips.parse('v5f:4x4')
  for wrong in ('v5e', 'v5e:', 'v5e:4x', 'v5e:0x4', 'v5e:axb'):
    with pytest.raises(PosejaxError, match=r'such as v5e:4x4\.'):
      chips.parse(wrong)
