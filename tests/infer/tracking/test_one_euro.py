import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer.tracking.one_euro import OneEuro, Smoothing

SMOOTHING = Smoothing(min_cutoff=0.7, beta=3.0, derivative_cutoff=1.3)


def scalar(values, times, size, smoothing):
  """One coordinate of one point, by the formulas of the paper."""
  out, speed, last, last_time, smooth = [], 0.0, None, None, None

  def alpha(cutoff, seconds):
    tau = 1 / (2 * math.pi * cutoff)
    return 1 / (1 + tau / seconds)

  for value, time in zip(values, times, strict=True):
    if last is None:
      smooth = value
    else:
      seconds = time - last_time
      a = alpha(smoothing.derivative_cutoff, seconds)
      speed = a * (value - last) / seconds / size + (1 - a) * speed
      a = alpha(smoothing.min_cutoff + smoothing.beta * abs(speed), seconds)
      smooth = a * value + (1 - a) * smooth
    last, last_time = value, time
    out.append(smooth)
  return out


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(2, 900))
def test_every_point_and_axis_is_the_paper_s_filter(seed, size):
  rng = np.random.default_rng(seed)
  times = 100 + np.cumsum(rng.uniform(0.001, 0.4, 12))
  points = rng.normal(0, 60, (12, 5, 2)).cumsum(axis=0)
  filter_ = OneEuro(SMOOTHING)
  smooth = np.stack([filter_(p, t, size) for p, t in zip(points, times, strict=True)])
  for k in range(5):
    for axis in range(2):
      expected = scalar(points[:, k, axis], times, size, SMOOTHING)
      np.testing.assert_allclose(smooth[:, k, axis], expected, rtol=1e-9, atol=1e-9)


def test_size_and_picture_scale_together():
  rng = np.random.default_rng(0)
  points, times = rng.normal(0, 5, (20, 3, 2)).cumsum(axis=0), np.arange(20) / 30
  small, large = OneEuro(SMOOTHING), OneEuro(SMOOTHING)
  for p, t in zip(points, times, strict=True):
    np.testing.assert_allclose(large(7 * p, t, 7 * 40.0), 7 * small(p, t, 40.0), rtol=1e-9)


def _walk(times):
  """A point that swings, and one that goes straight on, of a person of 100 pixels."""
  return np.stack(
    [
      np.stack([30 * np.sin(3 * times), 12 * np.cos(5 * times)], axis=-1),
      np.stack([80 * times, 200 - 15 * times], axis=-1),
    ],
    axis=1,
  )


@pytest.mark.parametrize('rate', [15, 60, 240])
def test_the_frame_rate_does_not_matter(rate):
  # Against 30 frames a second, at the times that both have, past the first half second. A filter
  # that counts frames has twice the lag at half the rate: it is off by several pixels.
  def smooth(rate):
    times = np.arange(4 * rate + 1) / rate
    filter_ = OneEuro(Smoothing(min_cutoff=1.0, beta=1.0))
    return np.stack([filter_(p, t, 100.0) for p, t in zip(_walk(times), times, strict=True)])

  step = max(1, rate // 30), max(1, 30 // rate)
  actual, expected = smooth(rate)[:: step[0]], smooth(30)[:: step[1]]
  lag = np.abs(expected - _walk(np.arange(len(expected)) * step[1] / 30)).max()
  assert lag > 5
  half = len(expected) // 8
  assert np.abs(actual[half:] - expected[half:]).max() < 0.2 * lag


def test_irregular_times_smooth_a_straight_line_as_regular_ones_do():
  rng = np.random.default_rng(2)
  ends = []
  for times in (np.arange(0, 6, 1 / 30), np.cumsum(rng.uniform(1 / 60, 1 / 15, 150))):
    filter_ = OneEuro(Smoothing(min_cutoff=0.5, beta=0.5))
    behind = [(p - filter_(p, t, 100.0))[1, 0] for p, t in zip(_walk(times), times, strict=True)]
    ends.append(np.mean(behind[-40:]))
  np.testing.assert_allclose(ends[0], ends[1], rtol=0.15)
  assert ends[0] > 5


def test_an_unseen_point_starts_anew_and_others_go_on():
  filter_, whole = OneEuro(SMOOTHING), OneEuro(SMOOTHING)
  points = np.array([[[10.0, 20], [50, 60]]]) + np.arange(8)[:, None, None] * [[[3.0, 1], [2, 5]]]
  for n, p in enumerate(points):
    seen = np.array([n != 4, True])
    smooth = filter_(p, n / 30, 50.0, seen)
    expected = whole(p, n / 30, 50.0)
    np.testing.assert_array_equal(smooth[1], expected[1])
    if n in (0, 4, 5):  # first, unseen, and first again
      np.testing.assert_array_equal(smooth[0], p[0])
    else:
      assert (smooth[0] < p[0]).all()


def test_nan_is_unseen():
  filter_ = OneEuro(SMOOTHING)
  filter_(np.array([[1.0, 1], [1, 1]]), 0.0, 10.0)
  smooth = filter_(np.array([[np.nan, 5], [2, 2]]), 0.1, 10.0)
  assert np.isnan(smooth[0, 0])
  assert smooth[0, 1] == 5
  assert 1 < smooth[1, 0] < 2
  np.testing.assert_array_equal(filter_(np.array([[7.0, 8], [2, 2]]), 0.2, 10.0)[0], [7, 8])


def test_at_the_same_time_the_earlier_points_stay():
  filter_ = OneEuro(SMOOTHING)
  filter_(np.array([[1.0, 2]]), 3.0, 10.0)
  np.testing.assert_array_equal(filter_(np.array([[9.0, 9]]), 3.0, 10.0), [[1, 2]])
  assert np.isfinite(filter_(np.array([[9.0, 9]]), 3.1, 10.0)).all()


def test_noise_of_a_point_at_rest_shrinks():
  rng = np.random.default_rng(1)
  noisy = rng.normal(0, 0.2, (300, 1, 2))
  filter_ = OneEuro(Smoothing())
  smooth = np.stack([filter_(p, n / 30, 100.0) for n, p in enumerate(noisy)])
  assert smooth[30:].std() < 0.5 * noisy[30:].std()


@pytest.mark.parametrize('wrong', [{'min_cutoff': 0}, {'beta': -1}, {'derivative_cutoff': 0}])
def test_impossible_settings_are_refused(wrong):
  with pytest.raises(PosejaxError, match='positive'):
    Smoothing(**wrong)
