"""The One-Euro filter: still points are smoothed much, fast ones little, so that they don't lag."""

import dataclasses

import numpy as np

from posejax.errors import PosejaxError


@dataclasses.dataclass(frozen=True)
class Smoothing:
  """How much is smoothed; speeds are in the figure's sizes a second, so that pixels don't matter.

  MediaPipe's beta is 80 where the size is the side of a square crop around the whole reach of a body,
  about twice the mean side of the box around keypoints, which it is here.

  Attributes:
    min_cutoff: hertz, at which a point at rest is low-passed; lower trembles less.
    beta: hertz of further cutoff per size a second; higher lags less.
    derivative_cutoff: hertz, at which the speed itself is low-passed.

  Source: google-ai-edge/mediapipe
  mediapipe/modules/pose_landmark/pose_landmark_filtering.pbtxt.
  """

  min_cutoff: float = 0.05
  beta: float = 40.0
  derivative_cutoff: float = 1.0

  def __post_init__(self):
    if not (self.min_cutoff > 0 and self.derivative_cutoff > 0 and self.beta >= 0):
      raise PosejaxError(f'Smoothing needs positive cutoffs and beta of at least 0, got {self}.')


class OneEuro:
  """Smooths the K points of one figure over time, every point and axis on its own.

  Source: Casiez, Roussel, Vogel, "1 Euro Filter", CHI 2012, with the speed taken between unfiltered
  values and divided by the figure's size, as google-ai-edge/mediapipe
  mediapipe/util/filtering/one_euro_filter.cc does.
  """

  def __init__(self, smoothing: Smoothing):
    self._smoothing = smoothing
    self._time = None  # of the last call
    self._known = None  # bool [K], whose past is known: seen at the last call
    self._raw = self._smooth = self._speed = None  # [K, 2]

  def __call__(
    self, points: np.ndarray, time: float, size: float, seen: np.ndarray | None = None
  ) -> np.ndarray:
    """Return smoothed points; those that are not seen come back as they are and are forgotten.

    Args:
      points: `[K, 2]`, in pixels; NaN is not seen.
      time: seconds, not before the last call's. At the same time the earlier points stay.
      size: of the figure in pixels, the mean of its box's sides.
      seen: bool `[K]`; all where None.

    Returns:
      float64 `[K, 2]`.
    """
    points = np.asarray(points, np.float64)
    finite = np.isfinite(points).all(axis=-1)
    seen = finite if seen is None else finite & np.asarray(seen, bool)
    if self._time is None:
      self._known = np.zeros(len(points), bool)
      self._raw, self._smooth, self._speed = np.zeros((3, *points.shape))
      self._time = time
    elapsed = time - self._time
    both = (self._known & seen)[:, None]
    fresh = (seen & ~self._known)[:, None]
    if elapsed > 0:
      step = np.where(both, points - self._raw, 0) / (elapsed * size)
      weight = _weight(self._smoothing.derivative_cutoff, elapsed)
      self._speed = np.where(both, self._speed + weight * (step - self._speed), 0)
      cutoff = self._smoothing.min_cutoff + self._smoothing.beta * np.abs(self._speed)
      change = _weight(cutoff, elapsed) * np.where(both, points - self._smooth, 0)
      self._smooth = self._smooth + change
      self._raw = np.where(both, points, self._raw)
    self._smooth = np.where(fresh, points, self._smooth)
    self._raw = np.where(fresh, points, self._raw)
    self._speed = np.where(fresh, 0, self._speed)
    self._known, self._time = seen, time
    return np.where(seen[:, None], self._smooth, points)


def _weight(cutoff: np.ndarray | float, elapsed: float) -> np.ndarray | float:
  """Return the newest value's weight in exponential smoothing at `cutoff` hertz after some seconds."""
  return 1 / (1 + 1 / (2 * np.pi * cutoff * elapsed))
