"""Sample joint angles: a stance for trunk and legs, a gesture for each arm, within joint limits."""

import numpy as np

# Ranges in degrees, (low, high), sampled uniformly. A leg is (flexion forward, abduction outward,
# twist outward, knee flexion); `ahead` and `behind` go to the left and the right leg or, as often,
# the other way round. Flexion is counted from the vertical: a lean of the trunk is compensated.
_STRAIGHT = ((-6, 10), (1, 8), (0, 18), (0, 10))
_STANCES = {
  # name: (weight, lean forward, roll sideways, leg ahead, leg behind)
  'stand': (0.15, (-5, 8), (-4, 4), _STRAIGHT, _STRAIGHT),
  'wide': (0.10, (-5, 15), (-9, 9), ((-5, 15), (8, 26), (0, 25), (0, 25)), _STRAIGHT),
  'walk': (
    0.15, (-2, 10), (-3, 3),
    ((14, 36), (0, 6), (-5, 8), (3, 20)), ((-28, -6), (0, 6), (-5, 8), (5, 42)),
  ),
  'run': (
    0.13, (4, 24), (-5, 5),
    ((38, 88), (0, 8), (-5, 8), (45, 110)), ((-36, -4), (0, 8), (-5, 8), (15, 85)),
  ),
  'sit': (
    0.12, (-16, 18), (-5, 5),
    ((74, 98), (2, 22), (-8, 15), (60, 108)), ((74, 98), (2, 22), (-8, 15), (60, 108)),
  ),
  'crouch': (
    0.08, (10, 42), (-5, 5),
    ((75, 112), (5, 28), (0, 22), (92, 138)), ((75, 112), (5, 28), (0, 22), (92, 138)),
  ),
  'kneel': (
    0.05, (-5, 20), (-5, 5),
    ((66, 95), (0, 14), (0, 12), (78, 105)), ((-12, 10), (0, 10), (0, 8), (80, 112)),
  ),
  'lunge': (
    0.06, (-5, 28), (-8, 8),
    ((48, 86), (0, 14), (0, 12), (45, 98)), ((-42, -12), (0, 12), (0, 8), (3, 35)),
  ),
  'star': (
    0.05, (-8, 8), (-8, 8),
    ((-8, 20), (18, 42), (0, 22), (0, 25)), ((-8, 20), (18, 42), (0, 22), (0, 25)),
  ),
  'kick': (
    0.05, (-18, 14), (-10, 10),
    ((45, 100), (0, 32), (0, 15), (0, 70)), ((-10, 8), (0, 8), (0, 10), (0, 20)),
  ),
  'bend': (0.05, (32, 78), (-8, 8), ((-5, 18), (2, 14), (0, 15), (2, 40)), _STRAIGHT),
  'lie': (
    0.04, (-100, -78), (-12, 12),
    ((-5, 55), (0, 18), (0, 20), (0, 80)), ((-5, 25), (0, 12), (0, 20), (0, 40)),
  ),
  'handstand': (
    0.01, (-8, 8), (165, 195),
    ((-10, 35), (0, 20), (0, 10), (0, 40)), ((-20, 10), (0, 20), (0, 10), (0, 30)),
  ),
}  # fmt: skip

# An arm is (flexion forward, abduction outward, twist outward, elbow flexion).
_GESTURES = {
  'hang': ((-15, 20), (3, 18), (-45, 10), (4, 38)),
  'swing_ahead': ((15, 50), (2, 12), (-40, 0), (15, 100)),
  'swing_back': ((-50, -15), (4, 16), (-25, 10), (15, 95)),
  'on_hip': ((-28, -5), (34, 52), (-95, -75), (80, 105)),
  'raised': ((120, 175), (0, 28), (-30, 30), (0, 55)),
  'aside': ((-12, 25), (60, 110), (-20, 40), (0, 45)),
  'diagonal': ((-10, 20), (110, 160), (-20, 60), (0, 50)),
  'wave': ((-10, 25), (60, 105), (65, 115), (55, 115)),
  'ahead': ((55, 105), (-5, 25), (-35, 10), (0, 65)),
  'hold': ((0, 42), (0, 16), (-45, 0), (60, 120)),
  'to_head': ((95, 130), (15, 45), (-30, 10), (105, 140)),
  'crossed': ((20, 40), (0, 10), (-80, -55), (78, 108)),
}
_GESTURE_WEIGHTS = {
  # in the order of _GESTURES
  'calm': (30, 4, 6, 12, 7, 8, 5, 8, 9, 10, 5, 6),
  'moving': (3, 34, 34, 1, 5, 7, 5, 3, 6, 5, 1, 0),
  'lively': (6, 5, 6, 6, 16, 16, 15, 12, 12, 4, 6, 0),
  'overhead': (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
}
_MOOD = {'walk': 'moving', 'run': 'moving', 'lunge': 'lively', 'star': 'lively', 'kick': 'lively'}
_MOOD |= {'wide': 'lively', 'handstand': 'overhead'}

STANCES = tuple(_STANCES)
NUM_DRAWS = 52
"""How many uniform draws `sample` takes per person."""

_STANCE_ENDS = np.cumsum([s[0] for s in _STANCES.values()])
_STANCE_ENDS /= _STANCE_ENDS[-1]


def _low_span(ranges) -> tuple[np.ndarray, np.ndarray]:
  """Ranges in degrees `[..., (low, high)]` as lows and widths in radians."""
  low, high = np.moveaxis(np.radians(ranges), -1, 0)
  return np.ascontiguousarray(low), np.ascontiguousarray(high - low)


# [stance, 10]: lean, roll, then the two legs.
_BODY_LOW, _BODY_SPAN = _low_span([[s[1], s[2], *s[3], *s[4]] for s in _STANCES.values()])
_ARM_LOW, _ARM_SPAN = _low_span(list(_GESTURES.values()))  # [gesture, 4]
_GESTURE_ENDS = np.array(
  [np.cumsum(_GESTURE_WEIGHTS[_MOOD.get(name, 'calm')]) for name in _STANCES], float
)
_GESTURE_ENDS /= _GESTURE_ENDS[:, -1:]
_UPRIGHT = np.array([name not in ('lie', 'handstand') for name in _STANCES], float)
_LIE = STANCES.index('lie')
# Chest flexion, bend, twist; head nod, tilt, turn.
_SPINE_LOW, _SPINE_SPAN = _low_span([(-6, 16), (-9, 9), (-16, 16), (-14, 22), (-12, 12), (-42, 42)])
_HIP_LIMIT = np.radians(125)

JOINTS = (
  'camera', 'pelvis', 'chest', 'head',
  'left_arm', 'right_arm', 'left_forearm', 'right_forearm',
  'left_thigh', 'right_thigh', 'left_shin', 'right_shin', 'left_foot', 'right_foot',
)  # fmt: skip


def sample(u: np.ndarray, azimuth: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
  """Turn uniform draws into joint angles.

  Args:
    u: float `[n, NUM_DRAWS]` in [0, 1).
    azimuth: float `[n]` radians, 0 facing the camera, or None to draw it from the full circle.

  Returns:
    angles: float `[n, len(JOINTS), 3]` radians, for `figure.rotations`: about x (lateral axis), z
      (the forward axis) and y (along the limb), the last applied first.
    stance: int `[n]`, a position in `STANCES`.
  """
  n = len(u)
  stance = np.searchsorted(_STANCE_ENDS, u[:, 0], side='right')
  body = _BODY_LOW[stance] + _BODY_SPAN[stance] * u[:, 1:11]
  trunk, legs = body[:, :2], body[:, 2:].reshape(n, 2, 4)
  # Half of those who lie do so on the front.
  trunk[(stance == _LIE) & (u[:, 11] < 0.5), 0] *= -1
  legs[..., 0] += (trunk[:, 0] * _UPRIGHT[stance])[:, None]
  choice = np.where(u[:, 14:15] < 0.35, u[:, 12:13], u[:, 12:14])
  gesture = (choice[:, :, None] > _GESTURE_ENDS[stance][:, None]).sum(-1)
  arms = _ARM_LOW[gesture] + _ARM_SPAN[gesture] * u[:, 15:23].reshape(n, 2, 4)
  mirrored = u[:, 23] < 0.5
  legs[mirrored] = legs[mirrored, ::-1]
  arms[mirrored] = arms[mirrored, ::-1]
  spine = _SPINE_LOW + _SPINE_SPAN * u[:, 24:30]
  if azimuth is None:
    azimuth = 2 * np.pi * u[:, 30]

  angles = np.zeros((n, len(JOINTS), 3))
  angles[:, 0, 0] = np.radians(8) - np.radians(38) * u[:, 31] ** 1.5  # mostly a little from above
  angles[:, 0, 1] = np.radians(12) * (u[:, 32] - 0.5)
  angles[:, 0, 2] = azimuth
  angles[:, 1, 0] = -trunk[:, 0]
  angles[:, 1, 1] = trunk[:, 1]
  angles[:, 2] = spine[:, 0:3]
  angles[:, 3] = spine[:, 3:6]
  angles[:, 2:4, 0] *= -1
  angles[:, 4:6] = arms[:, :, :3]
  angles[:, 6:8, 0] = arms[:, :, 3]
  angles[:, 8:10] = legs[:, :, :3]
  np.minimum(angles[:, 8:10, 0], _HIP_LIMIT, out=angles[:, 8:10, 0])
  angles[:, 10:12, 0] = -legs[:, :, 3]
  angles[:, 12:14, 0] = np.radians(35) * (u[:, 33:35] - 0.75)
  angles[:, 5::2, 1:] *= -1  # abduction and twist are counted outward on both sides
  return angles, stance
