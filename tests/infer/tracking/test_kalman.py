from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np

from posejax.infer.tracking.kalman import BoxKalman

BOX = np.array([10.0, 20, 50, 140])  # centre (30, 80), sides 40 and 120, size 80


class Textbook:
  """All eight states in one, with full matrices in pixels, as in any book on the filter."""

  def __init__(self, box, size):
    self.x = np.concatenate([_measure(box), np.zeros(4)])
    position, velocity = 2 * size / 20, 10 * size / 160 * 30
    self.P = np.diag([position**2] * 4 + [velocity**2] * 4)
    self.size = size
    self.H = np.hstack([np.eye(4), np.zeros((4, 4))])
    self.R = np.eye(4) * (size / 20) ** 2

  def predict(self, dt):
    F = np.eye(8)
    F[:4, 4:] = dt * np.eye(4)
    q = (self.size / 160 * 30) ** 2 * 30
    wander = (self.size / 20) ** 2 * 30
    Q = np.block(
      [
        [(q * dt**3 / 3 + wander * dt) * np.eye(4), q * dt**2 / 2 * np.eye(4)],
        [q * dt**2 / 2 * np.eye(4), q * dt * np.eye(4)],
      ]
    )
    self.x, self.P = F @ self.x, F @ self.P @ F.T + Q

  def update(self, box):
    S = self.H @ self.P @ self.H.T + self.R
    K = self.P @ self.H.T @ np.linalg.inv(S)
    self.x = self.x + K @ (_measure(box) - self.H @ self.x)
    self.P = (np.eye(8) - K @ self.H) @ self.P


def _measure(box):
  x1, y1, x2, y2 = box
  return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_it_is_the_textbook_s_filter(seed):
  rng = np.random.default_rng(seed)
  kalman, textbook, time = BoxKalman(BOX, 5.0), Textbook(BOX, 80.0), 5.0
  for _ in range(10):
    dt = rng.uniform(0, 0.3)
    box = BOX + rng.normal(0, 30, 4)
    time += dt
    textbook.predict(dt)
    x, y, w, h = textbook.x[:4]
    expected = [x - max(w, 0) / 2, y - max(h, 0) / 2, x + max(w, 0) / 2, y + max(h, 0) / 2]
    np.testing.assert_allclose(kalman.predict(time), expected, rtol=1e-9, atol=1e-7)
    textbook.update(box)
    kalman.update(box, time)
    np.testing.assert_allclose(kalman.mean.ravel(), textbook.x, rtol=1e-9, atol=1e-7)
    own = textbook.P[np.ix_([0, 4], [0, 4])] / 80**2
    np.testing.assert_allclose(kalman.covariance, own, rtol=1e-9)


def test_a_steady_walk_is_learnt_at_any_frame_rate():
  for rate in (10, 30, 120):
    kalman = BoxKalman(BOX, 0.0)
    for n in range(1, 4 * rate):
      kalman.update(BOX + n / rate * np.array([60, -10, 60, -10]), n / rate)
    last = (4 * rate - 1) / rate
    np.testing.assert_allclose(kalman.travel(last + 0.5), [30, -5], atol=0.5)
    expected = BOX + (last + 0.5) * np.array([60, -10, 60, -10])
    np.testing.assert_allclose(kalman.predict(last + 0.5), expected, atol=1.5)


def test_an_update_at_the_same_time_moves_the_box_only_towards_it():
  kalman = BoxKalman(BOX, 1.0)
  kalman.update(BOX + 10, 1.0)
  moved = kalman.predict(1.0) - BOX
  assert (moved > 5).all()
  assert (moved < 10).all()
  np.testing.assert_array_equal(kalman.travel(2.0), [0, 0])


def test_sides_that_shrink_never_turn_inside_out():
  kalman = BoxKalman(BOX, 0.0)
  for n in range(1, 10):
    kalman.update(BOX + np.array([2, 3, -2, -3]) * n, n / 30)
  far = kalman.predict(5.0)
  assert (far[:2] <= far[2:]).all()
  kept = kalman.mean[0, 2:].copy()
  kalman.keep_size()
  far = kalman.predict(5.0)
  np.testing.assert_allclose(far[2:] - far[:2], kept)
