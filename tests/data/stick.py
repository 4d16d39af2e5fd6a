"""A stick figure that every skeleton of people can be read from."""

import numpy as np

# A figure seen from the front, 200 high: its own left is on the viewer's right. Halves are mirrored.
_LEFT = {
  'eye': (6, 20), 'ear': (12, 22), 'shoulder': (24, 50), 'elbow': (38, 85), 'wrist': (44, 118),
  'hip': (15, 110), 'knee': (20, 155), 'ankle': (22, 200),
}  # fmt: skip
_MIDDLE = {
  'nose': (0, 28), 'neck': (0, 48), 'thorax': (0, 54), 'pelvis': (0, 110), 'head_top': (0, 2),
}  # fmt: skip


def stick_figure(skeleton, turn: float = 0.0, at: float = 160.0) -> np.ndarray:
  """Return float64 `[K, 2]`: the figure turned by `turn` degrees about `(at, at)`."""
  points = []
  for name in skeleton.keypoints:
    side, _, part = name.partition('_')
    if side in ('left', 'right') and part in _LEFT:
      x, y = _LEFT[part]
      points.append((x if side == 'left' else -x, y))
    else:
      points.append(_MIDDLE[name])
  cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
  points = np.array(points, np.float64) - (0, 100)
  return points @ np.array([[cos, sin], [-sin, cos]]) + at
