import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from posejax.config import OptimizerConfig
from posejax.errors import PosejaxError
from posejax.train.optim import schedules


def make(**changes):
  return dataclasses.replace(OptimizerConfig(schedule_steps=100), **changes)


def rates(config, steps, batch_size=32):
  rate = schedules.create(config, batch_size)
  return [float(rate(jnp.int32(step))) for step in steps]


def test_cosine_with_warm_up():
  config = make(learning_rate=2.0, warmup_steps=10, final_fraction=0.1)
  got = rates(config, [0, 4, 9, 10, 55, 100, 500])
  # Half-way between the warm-up's end and the schedule's, the cosine is at the mean of its ends.
  np.testing.assert_allclose(got, [0.2, 1.0, 2.0, 2.0, 1.1, 0.2, 0.2], rtol=1e-5)


def test_step_schedule_falls_at_90_and_120_of_140():
  config = make(schedule='step', learning_rate=1.0, schedule_steps=140)
  np.testing.assert_allclose(
    rates(config, [0, 89, 90, 119, 120, 1000]), [1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6
  )


def test_step_schedule_falls_where_it_says_in_a_warm_up_and_twice_at_once():
  config = make(
    schedule='step', learning_rate=1.0, warmup_steps=50, step_boundaries=(0.2, 0.8, 0.801)
  )
  np.testing.assert_allclose(
    rates(config, [0, 19, 20, 49, 79, 80]), [0.02, 0.4, 0.042, 0.1, 0.1, 0.001], rtol=1e-6
  )
  plain = make(schedule='step', learning_rate=1.0, step_boundaries=())
  np.testing.assert_allclose(rates(plain, [0, 99]), [1, 1])


def test_learning_rate_scales_with_the_batch_where_asked():
  assert schedules.peak_learning_rate(make(learning_rate=0.1), 1024) == 0.1
  scaled = make(learning_rate=0.1, reference_batch_size=256)
  assert schedules.peak_learning_rate(scaled, 1024) == pytest.approx(0.4)
  assert '0.1 x batch 1024 / 256' in schedules.describe(scaled, 1024)
  root = make(learning_rate=0.1, reference_batch_size=256, batch_scaling='sqrt')
  assert schedules.peak_learning_rate(root, 1024) == pytest.approx(0.2)
  assert schedules.peak_learning_rate(root, 64) == pytest.approx(0.05)
  assert '0.1 x sqrt(batch 1024 / 256))' in schedules.describe(root, 1024)
  capped = make(learning_rate=0.1, reference_batch_size=256, max_learning_rate=0.15)
  assert schedules.peak_learning_rate(capped, 1024) == 0.15
  assert schedules.peak_learning_rate(capped, 256) == 0.1
  assert 'learning rate 0.15 (= 0.1 x batch 1024 / 256), at most 0.15' in schedules.describe(
    capped, 1024
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'schedule': 'cosin'}, "Did you mean 'cosine'"),
    ({'warmup_steps': 100}, 'warmup_steps=100 must be less than schedule_steps=100'),
  ],
)
def test_bad_settings_are_named(changes, message):
  with pytest.raises(PosejaxError, match=message):
    schedules.create(make(**changes), 32)
