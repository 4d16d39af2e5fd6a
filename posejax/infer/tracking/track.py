"""One person who is followed, and what is measured of a person in one frame."""

import dataclasses

import numpy as np

from posejax.geometry import boxes
from posejax.infer.results import Instance
from posejax.infer.tracking import crops
from posejax.infer.tracking.associate import Figures
from posejax.infer.tracking.kalman import BoxKalman
from posejax.infer.tracking.one_euro import OneEuro, Smoothing


@dataclasses.dataclass(frozen=True)
class Sighting:
  """What one instance says of where somebody is.

  Attributes:
    instance: as the net gave it.
    box: float64 `[4]`: around the keypoints that are seen, which is the same whether the net looked
      into a detector's box or a predicted one; the instance's where it has no keypoints.
    keypoints: float64 `[K, 2]`, K 0 without.
    seen: bool `[K]`: visible and finite.
  """

  instance: Instance
  box: np.ndarray
  keypoints: np.ndarray
  seen: np.ndarray


def sighting(instance: Instance, min_keypoints: int) -> Sighting | None:
  """Return what an instance says, or None if that is too little to follow.

  Args:
    instance: with keypoints or without.
    min_keypoints: how many must be seen, of a figure with as many or more.
  """
  if instance.keypoints is None:
    if not np.isfinite(instance.box).all():
      return None
    box = np.asarray(instance.box, np.float64)
    return Sighting(instance, box, np.zeros((0, 2)), np.zeros(0, bool))
  keypoints = np.asarray(instance.keypoints, np.float64)
  seen = np.isfinite(keypoints).all(axis=-1)
  if instance.visible is not None:
    seen &= np.asarray(instance.visible, bool)
  if seen.sum() < min(min_keypoints, len(seen)):
    return None
  return Sighting(instance, boxes.box_from_keypoints(keypoints, seen), keypoints, seen)


def sightings(found: list[Sighting], K: int) -> Figures:
  """Return sightings as arrays, of K keypoints."""
  return Figures(
    np.array([s.box for s in found]).reshape(-1, 4),
    np.array([s.instance.label for s in found], int),
    *_poses(found, K),
  )


class Track:
  """One person from frame to frame.

  Attributes:
    id: None until seen often enough.
    last: the latest sighting; its keypoints are those of the net, not smoothed.
    count: of sightings.
    kalman: of the sightings' boxes.
    found: whether the last update saw the person.
  """

  def __init__(self, first: Sighting, time: float, smoothing: Smoothing | None):
    self.id: int | None = None
    self.last = first
    self.count = 1
    self.kalman = BoxKalman(first.box, time)
    self.found = True
    self._points, self._corners = (smoothing and OneEuro(smoothing) for _ in range(2))

  def see(self, new: Sighting, time: float) -> None:
    """Take in a sighting."""
    self.kalman.update(new.box, time)
    self.last, self.found = new, True
    self.count += 1

  def miss(self) -> None:
    """Take in that the person was not found."""
    self.found = False
    self.kalman.keep_size()

  def smooth(self) -> Instance:
    """Return the latest instance with this track's id and smoothed points; once after `see`."""
    instance, time, size = self.last.instance, self.kalman.time, self.kalman.size
    changes = {'track_id': self.id}
    if self._points:
      corners = np.asarray(instance.box, np.float64).reshape(2, 2)
      changes['box'] = self._corners(corners, time, size).reshape(4).astype(np.float32)
      if instance.keypoints is not None:
        points = self._points(self.last.keypoints, time, size, self.last.seen)
        changes['keypoints'] = points.astype(np.float32)
    return dataclasses.replace(instance, **changes)

  def keypoints_at(self, time: float) -> np.ndarray:
    """Return the latest keypoints `[K, 2]`, moved as far as the centre moves until `time`."""
    return self.last.keypoints + self.kalman.travel(time)

  def box_at(self, time: float) -> np.ndarray:
    """Return the box `[4]` to look into at `time`: around the moved pose, and where Kalman expects it."""
    expected = self.kalman.predict(time)
    if not self.last.seen.any():
      return crops.at_least(expected)
    around = boxes.box_from_keypoints(self.keypoints_at(time), self.last.seen)
    return crops.at_least(crops.joined(crops.padded(around), expected))


def tracks_at(tracks: list[Track], time: float, K: int) -> Figures:
  """Return where tracks are expected at `time`, as arrays, of K keypoints."""
  lasts = [t.last for t in tracks]
  keypoints, seen = _poses(lasts, K)
  if tracks:
    keypoints = keypoints + np.array([t.kalman.travel(time) for t in tracks])[:, None]
  return Figures(
    np.array([t.kalman.predict(time) for t in tracks]).reshape(-1, 4),
    np.array([s.instance.label for s in lasts], int),
    keypoints,
    seen,
  )


def _poses(found: list[Sighting], K: int) -> tuple[np.ndarray, np.ndarray]:
  """Return keypoints `[N, K, 2]` and which are seen `[N, K]`; figures without have none seen."""
  keypoints, seen = np.zeros((len(found), K, 2)), np.zeros((len(found), K), bool)
  for i, one in enumerate(found):
    keypoints[i, : len(one.seen)], seen[i, : len(one.seen)] = one.keypoints, one.seen
  return keypoints, seen
