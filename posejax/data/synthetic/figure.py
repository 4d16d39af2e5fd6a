"""A body in space: proportions, forward kinematics and the camera.

Body frame: x to the person's left, y up, z forward, metres; right-handed. Camera frame: x right, y
down, z away from the viewer. A person facing the camera (azimuth 0) is turned by diag(1, -1, -1), so
its left hand is on the picture's right, as in life.
"""

import numpy as np

from posejax.data.synthetic.pose import JOINTS

# Every point hangs on another and moves with one joint: (name, parent point, joint, offset, group).
# The group names the proportion that scales the offset.
_POINTS = (
  ('pelvis', None, 'pelvis', (0, 0, 0), 'trunk'),
  ('left_hip', 'pelvis', 'pelvis', (0.095, -0.03, 0), 'hips'),
  ('right_hip', 'pelvis', 'pelvis', (-0.095, -0.03, 0), 'hips'),
  ('waist', 'pelvis', 'pelvis', (0, 0.13, 0), 'trunk'),
  ('left_waist', 'waist', 'pelvis', (0.07, 0, 0), 'hips'),
  ('right_waist', 'waist', 'pelvis', (-0.07, 0, 0), 'hips'),
  ('neck', 'waist', 'chest', (0, 0.39, 0), 'trunk'),
  ('collar_back', 'waist', 'chest', (0, 0.385, 0.03), 'trunk'),
  ('collar', 'waist', 'chest', (0, 0.315, 0.13), 'trunk'),
  ('left_shoulder', 'neck', 'chest', (0.175, -0.035, 0), 'shoulders'),
  ('right_shoulder', 'neck', 'chest', (-0.175, -0.035, 0), 'shoulders'),
  ('left_yoke', 'neck', 'chest', (0.125, -0.055, 0), 'shoulders'),
  ('right_yoke', 'neck', 'chest', (-0.125, -0.055, 0), 'shoulders'),
  ('pack_top', 'waist', 'chest', (0, 0.29, -0.15), 'trunk'),
  ('pack_bottom', 'waist', 'chest', (0, 0.05, -0.16), 'trunk'),
  *(
    (f'{s}_band{k}', 'waist', 'chest', (x * w, y, 0), 'trunk')
    for k, (y, w) in enumerate(((0.27, 0.15), (0.17, 0.13), (0.07, 0.11)))
    for s, x in (('left', 1), ('right', -1))
  ),
  *((f'{s}_elbow', f'{s}_shoulder', f'{s}_arm', (0, -0.295, 0), 'arms') for s in ('left', 'right')),
  *(
    (f'{s}_wrist', f'{s}_elbow', f'{s}_forearm', (0, -0.255, 0), 'arms') for s in ('left', 'right')
  ),
  *((f'{s}_palm', f'{s}_wrist', f'{s}_forearm', (0, -0.04, 0), 'arms') for s in ('left', 'right')),
  *(
    (f'{s}_fingers', f'{s}_wrist', f'{s}_forearm', (0, -0.11, 0.01), 'arms')
    for s in ('left', 'right')
  ),
  *((f'{s}_sleeve', f'{s}_shoulder', f'{s}_arm', (0, -0.16, 0), 'arms') for s in ('left', 'right')),
  *((f'{s}_knee', f'{s}_hip', f'{s}_thigh', (0, -0.43, 0), 'legs') for s in ('left', 'right')),
  *((f'{s}_ankle', f'{s}_knee', f'{s}_shin', (0, -0.41, 0), 'legs') for s in ('left', 'right')),
  *(
    (f'{s}_heel', f'{s}_ankle', f'{s}_foot', (0, -0.045, -0.015), 'head') for s in ('left', 'right')
  ),
  *((f'{s}_toe', f'{s}_ankle', f'{s}_foot', (0, -0.06, 0.15), 'head') for s in ('left', 'right')),
  *((f'{s}_hem', f'{s}_hip', f'{s}_thigh', (0, -0.29, 0), 'legs') for s in ('left', 'right')),
  ('skull', 'neck', 'head', (0, 0.17, 0.0), 'head'),
  ('chin', 'skull', 'head', (0, -0.075, 0.035), 'head'),
  ('crown', 'skull', 'head', (0, 0.025, 0), 'head'),
  ('nape', 'skull', 'head', (0, -0.03, -0.03), 'head'),
  ('mane', 'skull', 'head', (0, -0.19, -0.085), 'head'),
  ('hair', 'skull', 'head', (0, 0.045, -0.028), 'head'),
  ('left_fringe', 'skull', 'head', (0.045, 0.088, 0.05), 'head'),
  ('right_fringe', 'skull', 'head', (-0.045, 0.088, 0.05), 'head'),
  ('bridge', 'skull', 'head', (0, 0.01, 0.088), 'head'),
  ('nose', 'skull', 'head', (0, -0.022, 0.105), 'head'),
  ('left_mouth', 'skull', 'head', (0.022, -0.07, 0.088), 'head'),
  ('right_mouth', 'skull', 'head', (-0.022, -0.07, 0.088), 'head'),
  ('left_eye', 'skull', 'head', (0.036, 0.015, 0.084), 'head'),
  ('right_eye', 'skull', 'head', (-0.036, 0.015, 0.084), 'head'),
  ('left_ear', 'skull', 'head', (0.09, -0.005, -0.005), 'head'),
  ('right_ear', 'skull', 'head', (-0.09, -0.005, -0.005), 'head'),
)
NAMES = tuple(p[0] for p in _POINTS)
POINT = {name: i for i, name in enumerate(NAMES)}
JOINT = {name: i for i, name in enumerate(JOINTS)}
HEAD_POINTS = frozenset(p[0] for p in _POINTS if p[4] == 'head')
"""Points whose offsets grow with the head (hands and feet keep the size of the limb they end)."""
GROUPS = ('trunk', 'hips', 'shoulders', 'arms', 'legs', 'head', 'girth')
NUM_DRAWS = len(GROUPS) + 2
"""How many uniform draws `proportions` takes per person."""

_OFFSET = np.array([p[3] for p in _POINTS], float)
_JOINT = np.array([JOINT[p[2]] for p in _POINTS])
_GROUP = np.array([GROUPS.index(p[4]) for p in _POINTS])


def _ancestors() -> np.ndarray:
  """0/1 `[points, points]`: which offsets add up to a point."""
  matrix = np.eye(len(_POINTS))
  for i, (_, parent, *_rest) in enumerate(_POINTS):
    if parent is not None:
      matrix[i] += matrix[POINT[parent]]
  return matrix


_CHAIN = _ancestors()
_ADULT = np.array(
  [(0.94, 1.06), (0.9, 1.15), (0.86, 1.12), (0.93, 1.07), (0.92, 1.06), (1.08, 1.24), (0.86, 1.28)]
)
_CHILD = np.array([0.96, 0.94, 0.86, 0.9, 0.86, 1.3, 1.0])
_CHILD_SHARE = 0.12
_FACE_CAMERA = np.diag([1.0, -1.0, -1.0])
_LEVELS = tuple(
  (np.array([JOINT[c] for c in children]), np.array([JOINT[p] for p in parents]))
  for children, parents in (
    (('pelvis',), ('camera',)),
    (('chest', 'left_thigh', 'right_thigh'), ('pelvis',) * 3),
    (
      ('head', 'left_arm', 'right_arm', 'left_shin', 'right_shin'),
      ('chest', 'chest', 'chest', 'left_thigh', 'right_thigh'),
    ),
    (
      ('left_forearm', 'right_forearm', 'left_foot', 'right_foot'),
      ('left_arm', 'right_arm', 'left_shin', 'right_shin'),
    ),
  )
)


def proportions(u: np.ndarray) -> np.ndarray:
  """Return factors `[n, len(GROUPS)]` on a body of 1.75 m from uniform draws `[n, NUM_DRAWS]`."""
  factors = _ADULT[:, 0] + (_ADULT[:, 1] - _ADULT[:, 0]) * u[:, : len(GROUPS)]
  factors[u[:, -1] < _CHILD_SHARE] *= _CHILD
  return factors


def rotations(angles: np.ndarray) -> np.ndarray:
  """Return rotation matrices `[..., 3, 3]` = Rx(-a) Rz(b) Ry(c) for angles `[..., 3]` in radians."""
  (sa, sb, sc), (ca, cb, cc) = (
    np.moveaxis(np.sin(angles), -1, 0),
    np.moveaxis(np.cos(angles), -1, 0),
  )
  matrix = np.empty((*angles.shape, 3))
  matrix[..., 0, 0] = cb * cc
  matrix[..., 0, 1] = -sb
  matrix[..., 0, 2] = cb * sc
  sbcc, sbsc = sb * cc, sb * sc
  matrix[..., 1, 0] = ca * sbcc - sa * sc
  matrix[..., 1, 1] = ca * cb
  matrix[..., 1, 2] = ca * sbsc + sa * cc
  matrix[..., 2, 0] = -sa * sbcc - ca * sc
  matrix[..., 2, 1] = -sa * cb
  matrix[..., 2, 2] = ca * cc - sa * sbsc
  return matrix


def stand_up(angles: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Run forward kinematics.

  Args:
    angles: `[n, joints, 3]` from `pose.sample`.
    factors: `[n, groups]` from `proportions`.

  Returns:
    points: `[n, points, 3]` in the camera frame, metres, pelvis at the origin.
    frames: `[n, joints, 3, 3]`: columns are a joint's left, up and forward axis in the camera frame.
  """
  frames = rotations(angles)
  frames[:, 0] = _FACE_CAMERA @ frames[:, 0]
  for child, parent in _LEVELS:
    frames[:, child] = frames[:, parent] @ frames[:, child]
  offsets = _OFFSET * factors[:, _GROUP, None]
  steps = (frames[:, _JOINT] @ offsets[..., None])[..., 0]
  return _CHAIN @ steps, frames


def project(points: np.ndarray, distance: np.ndarray) -> np.ndarray:
  """Return `[n, points, 2]` metres at the pelvis' depth, seen from `distance` `[n]` metres away."""
  return points[..., :2] * (distance[:, None] / (distance[:, None] + points[..., 2]))[..., None]
