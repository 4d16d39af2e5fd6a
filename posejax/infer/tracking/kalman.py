"""Where a box will be: a Kalman filter of constant velocity in seconds, not frames."""

import numpy as np

# Standard deviations in units of the box's size (mean of its sides): of a measured box, of how far
# one wanders off its course and of how much its velocity changes, over a frame at 30 frames/s.
# Source: nwojke/deep_sort deep_sort/kalman_filter.py, whose unit is the box's height; ByteTrack has the
# same. In its state is the aspect in place of the width, which jumps where somebody lies down.
_POSITION, _VELOCITY, _FRAME = 1 / 20, 1 / 160, 1 / 30
_MEASURED = _POSITION**2
_WANDER = _POSITION**2 / _FRAME  # size^2 / s
_JERK = (_VELOCITY / _FRAME) ** 2 / _FRAME  # size^2 / s^3
_FIRST = np.diag([(2 * _POSITION) ** 2, (10 * _VELOCITY / _FRAME) ** 2])


class BoxKalman:
  """Follows one box: its centre and sides and how fast they change.

  All four have one covariance, because their noise is the same in units of the box's size; so the
  gain depends on the time stamps alone, and neither on the picture's size nor the frame rate:
  predicting twice half as far is predicting once.

  Attributes:
    time: seconds, of the last measurement.
    mean: `[2, 4]`: centre x, y, width, height in pixels; the same per second.
    covariance: `[2, 2]` of a value and its velocity, in units of the box's size and seconds.
  """

  def __init__(self, box: np.ndarray, time: float):
    self.time = time
    self.mean = np.stack([_centre_sides(box), np.zeros(4)])
    self.covariance = _FIRST

  @property
  def size(self) -> float:
    """Mean of the sides in pixels, at least 1."""
    return max(float(self.mean[0, 2:].mean()), 1.0)

  def predict(self, time: float) -> np.ndarray:
    """Return the box `[4]`, xyxy, at a time not before the last measurement."""
    return _corners((_motion(time - self.time) @ self.mean)[0])

  def travel(self, time: float) -> np.ndarray:
    """Return how far `[2]` the centre moves from the last measurement until `time`."""
    return self.mean[1, :2] * (time - self.time)

  def update(self, box: np.ndarray, time: float) -> None:
    """Take in a measured box `[4]` (xyxy) at a time not before the last measurement."""
    elapsed = time - self.time
    motion = _motion(elapsed)
    mean = motion @ self.mean
    covariance = motion @ self.covariance @ motion.T + _drift(elapsed)
    gain = covariance[:, :1] / (covariance[0, 0] + _MEASURED)
    self.mean = mean + gain * (_centre_sides(box) - mean[0])
    self.covariance = covariance - gain @ covariance[:1]
    self.time = time

  def keep_size(self) -> None:
    """Let the sides stay as they are from now on: of somebody unseen, they would run away."""
    self.mean[1, 2:] = 0


def _motion(elapsed: float) -> np.ndarray:
  return np.array([[1, elapsed], [0, 1]])


def _drift(elapsed: float) -> np.ndarray:
  """Return what time adds to the covariance: white noise on the velocity, and on the value itself."""
  t = elapsed
  cross = _JERK * t**2 / 2
  return np.array([[_JERK * t**3 / 3 + _WANDER * t, cross], [cross, _JERK * t]])


def _centre_sides(box: np.ndarray) -> np.ndarray:
  low, high = np.asarray(box, np.float64).reshape(2, 2)
  return np.concatenate([(low + high) / 2, high - low])


def _corners(values: np.ndarray) -> np.ndarray:
  centre, half = values[:2], np.maximum(values[2:], 0) / 2
  return np.concatenate([centre - half, centre + half])
