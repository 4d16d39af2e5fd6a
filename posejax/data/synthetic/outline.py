"""Turn a body into convex outlines, ordered from far to near, and decide what hides what.

Every part is the convex hull of two to four discs around projected points; its outline is the hull's
support points in `NUM_VERTICES` directions. What is painted and what is tested are the same polygons,
so visibility is exact: a keypoint is visible where the topmost outline over it is its own.
"""

import numpy as np

from posejax.data.synthetic import figure
from posejax.data.synthetic.figure import POINT
from posejax.skeletons import COCO

NUM_VERTICES = 16

# (name, slot of the outfit, ((point, radius in metres), ...), weights of the first two points in the
# depth key, metres nearer, girth exponent). Names of sides are filled in for {}.
_SIDED = (
  ('{}_foot', 'shoe', (('{}_heel', 0.045), ('{}_toe', 0.038)), 0.5, 0.0, 0.0),
  ('{}_shin', 'shin', (('{}_knee', 0.062), ('{}_ankle', 0.04)), 0.5, 0.01, 0.6),
  ('{}_thigh', 'thigh', (('{}_hip', 0.09), ('{}_knee', 0.061)), 0.45, 0.0, 0.8),
  ('{}_trunks', 'bottom', (('{}_hip', 0.098), ('{}_hem', 0.088)), 0.4, 0.02, 0.8),
  ('{}_hand', 'skin', (('{}_palm', 0.04), ('{}_fingers', 0.03)), 0.5, 0.03, 0.2),
  ('{}_forearm', 'forearm', (('{}_elbow', 0.044), ('{}_wrist', 0.032)), 0.4, 0.03, 0.5),
  ('{}_arm', 'arm', (('{}_shoulder', 0.056), ('{}_elbow', 0.044)), 0.4, 0.035, 0.6),
  ('{}_sleeve', 'top', (('{}_shoulder', 0.064), ('{}_sleeve', 0.06)), 0.4, 0.045, 0.6),
  ('{}_ear', 'skin', (('{}_ear', 0.024), ('{}_ear', 0.024)), 0.5, 0.015, 0.0),
  ('{}_eye', 'eye', (('{}_eye', 0.0135), ('{}_eye', 0.0135)), 0.5, 0.02, 0.0),
)
_TRUNK_DISCS = (('left_waist', 0.092), ('right_waist', 0.092))
_MIDDLE = (
  ('pelvis', 'bottom', (*_TRUNK_DISCS, ('left_hip', 0.094), ('right_hip', 0.094)), 0.5, 0.0, 0.9),
  ('skirt', 'bottom', (*_TRUNK_DISCS, ('left_hem', 0.125), ('right_hem', 0.125)), 0.5, 0.05, 0.8),
  ('chest', 'top', (*_TRUNK_DISCS, ('left_yoke', 0.088), ('right_yoke', 0.088)), 0.5, 0.025, 0.9),
  ('band0', 'band', (('left_band0', 0.02), ('right_band0', 0.02)), 0.5, 0.031, 0.9),
  ('band1', 'band', (('left_band1', 0.02), ('right_band1', 0.02)), 0.5, 0.031, 0.9),
  ('band2', 'band', (('left_band2', 0.02), ('right_band2', 0.02)), 0.5, 0.031, 0.9),
  ('collar', 'skin', (('collar_back', 0.055), ('collar', 0.018)), 0.2, 0.0, 0.0),
  ('pack', 'pack', (('pack_top', 0.1), ('pack_bottom', 0.12)), 0.5, 0.0, 0.5),
  ('neck', 'skin', (('neck', 0.055), ('skull', 0.055)), 0.5, -0.03, 0.3),
  ('head', 'skin', (('crown', 0.096), ('chin', 0.058)), 0.7, 0.0, 0.0),
  ('hair', 'hair', (('hair', 0.101), ('nape', 0.08)), 0.5, 0.0, 0.0),
  ('mane', 'hair', (('hair', 0.095), ('mane', 0.075)), 0.5, 0.0, 0.0),
  ('fringe', 'hair', (('left_fringe', 0.03), ('right_fringe', 0.03)), 0.5, 0.03, 0.0),
  ('nose', 'nose', (('bridge', 0.011), ('nose', 0.02)), 0.5, 0.0, 0.0),
  ('mouth', 'mouth', (('left_mouth', 0.0085), ('right_mouth', 0.0085)), 0.5, 0.0, 0.0),
)
_PARTS = (
  *(
    (name.format(s), slot, tuple((p.format(s), r) for p, r in discs), w, near, girth)
    for name, slot, discs, w, near, girth in _SIDED
    for s in ('left', 'right')
  ),
  *_MIDDLE,
)
PARTS = tuple(p[0] for p in _PARTS)
PART = {name: i for i, name in enumerate(PARTS)}
SLOTS = tuple(dict.fromkeys(p[1] for p in _PARTS))
PART_SLOT = np.array([SLOTS.index(p[1]) for p in _PARTS])
"""int `[parts]`: which colour of the outfit a part wears."""
DETAILS = np.array([p.startswith(('band', 'mouth')) or p.endswith('_eye') for p in PARTS])
"""bool `[parts]`: parts so small or thin that they get one tone instead of two."""


def _discs() -> tuple[np.ndarray, np.ndarray]:
  """Points int `[parts, 4]` and radii `[parts, 4]`, short lists padded with their first disc."""
  padded = [(*d, *(d[0],) * (4 - len(d))) for _, _, d, *_ in _PARTS]
  points = np.array([[POINT[name] for name, _ in discs] for discs in padded])
  return points, np.array([[radius for _, radius in discs] for discs in padded])


_DISC_POINT, _DISC_RADIUS = _discs()
_FIRST_WEIGHT = np.array([p[3] for p in _PARTS])
_NEARER = np.array([p[4] for p in _PARTS])
_GIRTH = np.array([p[5] for p in _PARTS])
_HEAD_SIZED = np.array(
  [all(figure.NAMES[i] in figure.HEAD_POINTS for i in row[:2]) for row in _DISC_POINT]
)
_ANGLES = (np.arange(NUM_VERTICES) + 0.5) * (2 * np.pi / NUM_VERTICES)
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], -1)

KEYPOINT_POINT = np.array([POINT[name] for name in COCO.keypoints])
_OWN_OF = {
  'nose': ('nose', 'head'),
  'eye': ('{}_eye', 'head', 'nose'),
  'ear': ('{}_ear',),
  'shoulder': ('{}_arm', '{}_sleeve', 'chest', 'band0', 'neck'),
  'elbow': ('{}_arm', '{}_sleeve', '{}_forearm'),
  'wrist': ('{}_forearm', '{}_hand'),
  'hip': ('{}_thigh', '{}_trunks', 'pelvis', 'chest', 'band2', 'skirt'),
  'knee': ('{}_shin', '{}_thigh', '{}_trunks', 'skirt'),
  'ankle': ('{}_shin', '{}_foot'),
}
_TRUNK_PARTS = np.isin(PARTS, ('pelvis', 'chest', 'skirt', 'neck', 'band0', 'band1', 'band2'))


def _own() -> np.ndarray:
  """bool `[keypoints, parts]`: whose outline may lie on top of a visible keypoint."""
  own = np.zeros((COCO.num_keypoints, len(PARTS)), bool)
  for k, name in enumerate(COCO.keypoints):
    side, _, joint = name.rpartition('_')
    own[k, [PART[p.format(side)] for p in _OWN_OF[joint]]] = True
  return own


OWN = _own()
_TRUNK_JOINTS = np.array([n.endswith(('shoulder', 'hip')) for n in COCO.keypoints])
_TRUNK_DEPTH = 0.09
"""A shoulder or hip that lies deeper than this (metres) behind the trunk's middle is hidden by it."""
_HEAD_JOINT = figure.JOINT['head']
# Where a feature of the face looks in the head's frame, and the least cosine with the direction to
# the viewer at which it still shows.
_LOOKS = np.array([(0, 0, 1), (0.4, 0, 0.92), (-0.4, 0, 0.92), (1, 0, 0), (-1, 0, 0)], float)
_SHOWS = np.array([-0.1, 0.08, 0.08, -0.5, -0.5])


def hulls(
  centres: np.ndarray, radii: np.ndarray, soft: np.ndarray, sun: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Return outlines `[T, NUM_VERTICES, 2]` of hulls of discs `[T, D, 2]`, `[T, D]`, and their lit sides.

  Vertices turn from x towards y. The sampled directions are symmetric about the line from the first
  disc to the second, so limbs keep one width on both sides. The lit side has radii times `soft` `[T]`
  and touches the outline in the direction of `sun` `[2]`.
  """
  axis = centres[:, 1] - centres[:, 0] + (1e-9, 0)
  axis /= np.sqrt((axis * axis).sum(-1, keepdims=True))
  turn = np.empty((len(axis), 2, 2))
  turn[:, 0] = axis
  turn[:, 1, 0], turn[:, 1, 1] = -axis[:, 1], axis[:, 0]
  directions = _DIRECTIONS @ turn  # [T, V, 2]
  reach = directions @ centres.transpose(0, 2, 1) + radii[:, None]  # [T, V, D]
  best = reach.argmax(-1) + (np.arange(len(centres)) * centres.shape[1])[:, None]
  middle = centres.reshape(-1, 2)[best]
  radius = radii.reshape(-1)[best][..., None]
  outer = middle + radius * directions
  lit = soft[:, None, None]
  return outer, middle + radius * (lit * directions + (1 - lit) * sun)


def discs(points: np.ndarray, factors: np.ndarray, distance: np.ndarray):
  """Return discs `[n, parts, 4, 2]`, radii `[n, parts, 4]` (metres) and depth keys `[n, parts]`."""
  flat = figure.project(points, distance)
  centres = flat[:, _DISC_POINT]
  depth = points[..., 2][:, _DISC_POINT]
  size = np.where(_HEAD_SIZED, factors[:, 5:6], factors[:, 6:7] ** _GIRTH)
  radii = _DISC_RADIUS * (
    size[..., None] * (distance[:, None, None] / (distance[:, None, None] + depth))
  )
  key = _FIRST_WEIGHT * depth[..., 0] + (1 - _FIRST_WEIGHT) * depth[..., 1] - _NEARER
  return centres, radii, key


def own_parts(points: np.ndarray, frames: np.ndarray) -> np.ndarray:
  """Return bool `[n, keypoints, parts]`: outlines that do not hide the keypoint when on top of it.

  A far shoulder or hip does not own the trunk; a feature of the face that looks away owns nothing.
  """
  behind = points[:, KEYPOINT_POINT, 2] - points[:, [POINT['waist']], 2]
  far = _TRUNK_JOINTS & (behind > _TRUNK_DEPTH)
  own = OWN & ~(far[..., None] & _TRUNK_PARTS)
  looks = -(frames[:, _HEAD_JOINT, 2] @ _LOOKS.T)  # the viewer is at -z
  own[:, : len(_LOOKS)] &= (looks > _SHOWS)[..., None]
  return own


def covers(points: np.ndarray, polygons: np.ndarray) -> np.ndarray:
  """Return bool `[K, T]`: whether point `[K, 2]` lies in the convex polygon `[T, V, 2]`."""
  # Vertices first: so every step runs along rows of polygons, and the last one over whole planes.
  corners = np.ascontiguousarray(polygons.transpose(2, 1, 0))  # [2, V, T]
  (x, y), (ex, ey) = corners, np.concatenate([corners[:, 1:], corners[:, :1]], 1) - corners
  # ex * (py - y) - ey * (px - x) >= 0, rearranged so that only two products are [V, K, T].
  offset = ey * x - ex * y
  inward = ex[:, None] * points[:, 1, None]
  inward -= ey[:, None] * points[:, 0, None]
  inward += offset[:, None]
  return inward.min(0) >= -1e-9


def topmost(points: np.ndarray, polygons: np.ndarray) -> np.ndarray:
  """Return int `[K]`: the last polygon `[T, V, 2]` that covers each point, -1 where there is none."""
  over = covers(points, polygons)
  last = over.shape[1] - 1 - over[:, ::-1].argmax(1)
  return np.where(over.any(1), last, -1)
