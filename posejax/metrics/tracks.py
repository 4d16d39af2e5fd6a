"""How well people are followed through a film: switches of ids, trembling and lag. NumPy.

Arrays are by frame and person: T frames, P people, K keypoints. Keypoints are in pixels, NaN where a
person is not in the picture, or not found in it. Frames follow one another evenly.
"""

import numpy as np


def id_switches(ids: np.ndarray, within: int | None = None) -> int:
  """Return how often people are found under another id than the last time.

  Args:
    ids: int `[T, P]`, the id under which a person is found; 0 where not found or without id.
    within: frames; who was gone for longer may have a new id. None counts everybody.

  Source: IDSW of Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance", 2008,
  with every person's instance known rather than matched.
  """
  total = 0
  for person in np.asarray(ids).T:
    at = np.flatnonzero(person)
    switched = person[at[1:]] != person[at[:-1]]
    if within is not None:
      switched &= np.diff(at) <= within
    total += int(switched.sum())
  return total


def ids_per_person(ids: np.ndarray) -> float:
  """Return the mean number of ids `[T, P]` under which a person is found; 1 is best."""
  counts = [len(np.unique(person[person > 0])) for person in np.asarray(ids).T]
  return float(np.mean([count for count in counts if count] or [0]))


def main_ids(ids: np.ndarray) -> np.ndarray:
  """Return the id `[P]` under which each person is found most often, the lowest of equals; or 0."""
  return np.array([np.bincount(p[p > 0]).argmax() if (p > 0).any() else 0 for p in ids.T])


def acceleration_error(found: np.ndarray, truth: np.ndarray) -> float:
  """Return how much points tremble: the mean length of the error in acceleration, pixels/frame^2.

  Counted are keypoints that are known in three frames in a row.

  Args:
    found: `[T, P, K, 2]`.
    truth: `[T, P, K, 2]`.

  Source: the "Accel" of Kanazawa et al., "Learning 3D human dynamics from video", CVPR 2019.
  """
  error = np.asarray(found, np.float64) - truth
  lengths = np.linalg.norm(error[2:] - 2 * error[1:-1] + error[:-2], axis=-1)
  return float(np.nanmean(lengths)) if np.isfinite(lengths).any() else float('nan')


def lag(found: np.ndarray, truth: np.ndarray) -> float:
  """Return by how many frames `found` `[T, P, K, 2]` trails behind `truth` `[T, P, K, 2]`.

  It is the least-squares solution of found = truth - lag * velocity, with the velocity of the truth
  from central differences.
  """
  truth = np.asarray(truth, np.float64)
  velocity = (truth[2:] - truth[:-2]) / 2
  error = found[1:-1] - truth[1:-1]
  known = np.isfinite(error) & np.isfinite(velocity)
  error, velocity = error[known], velocity[known]
  power = (velocity**2).sum()
  return float(-(error * velocity).sum() / power) if power else float('nan')
