"""Capsules (segments with a radius) that hide points from an eye. NumPy, all pairs at once."""

import numpy as np

from posejax.types import Array


def hidden(eye: Array, points: Array, starts: Array, ends: Array, radii: Array) -> np.ndarray:
  """Return which points cannot be seen because a capsule lies between them and the eye.

  A capsule that contains a point does not hide it: it is the flesh around that point.

  Args:
    eye: `[3]`.
    points: `[N, 3]`.
    starts: `[M, 3]` and
    ends: `[M, 3]`: the capsules' axes.
    radii: `[M]`.

  Returns:
    bool `[N]`.
  """
  points, starts, ends = (np.asarray(a, np.float64) for a in (points, starts, ends))
  radii = np.asarray(radii, np.float64)
  if not len(points) or not len(starts):
    return np.zeros(len(points), bool)
  eyes = np.broadcast_to(np.asarray(eye, np.float64), points.shape)
  sight = segment_distance(eyes[:, None], points[:, None], starts[None], ends[None])
  flesh = segment_distance(points[:, None], points[:, None], starts[None], ends[None])
  return ((sight < radii) & (flesh >= radii)).any(axis=1)


def segment_distance(a: Array, b: Array, c: Array, d: Array) -> np.ndarray:
  """Return the least distance between segments a-b and c-d, `[..., 3]` each, broadcast.

  The distance is a convex quadratic of the two places s, t in [0, 1]: its minimum is the free one
  if that lies inside, else the best on one of the four edges.
  """
  u, v, w = b - a, d - c, a - c
  uu, vv, uv = _dot(u, u), _dot(v, v), _dot(u, v)
  uw, vw = _dot(u, w), _dot(v, w)

  def squared(s, t):
    gap = w + s[..., None] * u - t[..., None] * v
    return _dot(gap, gap)

  def best_s(t):
    return np.clip(_ratio(t * uv - uw, uu), 0, 1)

  def best_t(s):
    return np.clip(_ratio(s * uv + vw, vv), 0, 1)

  zero, one = np.zeros_like(uw), np.ones_like(uw)
  free = np.clip(_ratio(uv * vw - vv * uw, uu * vv - uv * uv), 0, 1)
  pairs = [(free, best_t(free))]
  pairs += [(end, best_t(end)) for end in (zero, one)]
  pairs += [(best_s(end), end) for end in (zero, one)]
  return np.sqrt(np.min([squared(s, t) for s, t in pairs], axis=0))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  return (a * b).sum(axis=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  """Return `part / whole`, 0 where the whole is (nearly) 0: a point, or parallel segments."""
  part, whole = np.broadcast_arrays(part, whole)
  return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 1e-12)
