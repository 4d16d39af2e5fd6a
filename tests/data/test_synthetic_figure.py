"""Poses, proportions, outlines: against written-out products and OpenCV's own polygon test."""

import cv2
import numpy as np
import pytest

from posejax.data.synthetic import figure, outfit, outline, pose, render
from posejax.skeletons import COCO


def _crowd(n=400, seed=0):
  return render.people(np.random.default_rng(seed).random((n, render.NUM_DRAWS)))


def _axis_rotation(axis, angle):
  c, s = np.cos(angle), np.sin(angle)
  i, j = ((1, 2), (2, 0), (0, 1))[axis]
  matrix = np.eye(3)
  matrix[i, i] = matrix[j, j] = c
  matrix[i, j], matrix[j, i] = -s, s
  return matrix


def test_rotations_are_the_written_out_product():
  for a, b, c in np.random.default_rng(0).uniform(-3, 3, (20, 3)):
    want = _axis_rotation(0, -a) @ _axis_rotation(2, b) @ _axis_rotation(1, c)
    np.testing.assert_allclose(figure.rotations(np.array([a, b, c])), want, atol=1e-12)


def test_joint_angles_stay_within_anatomical_limits():
  angles, stance = pose.sample(np.random.default_rng(1).random((5000, pose.NUM_DRAWS)))
  degrees = np.degrees(angles)
  joint = pose.JOINTS.index
  for side, sign in (('left', 1), ('right', -1)):
    assert np.all(degrees[:, joint(f'{side}_forearm'), 0] >= 0)
    assert np.all(degrees[:, joint(f'{side}_forearm'), 0] <= 145)
    shin = -degrees[:, joint(f'{side}_shin'), 0]
    assert shin.min() >= 0
    assert shin.max() <= 145
    thigh = degrees[:, joint(f'{side}_thigh')]
    assert thigh[:, 0].max() <= 125.001
    assert (sign * thigh[:, 1]).min() >= 0  # legs never cross by adduction
    arm = degrees[:, joint(f'{side}_arm')]
    assert arm[:, 0].min() > -60
    assert arm[:, 0].max() < 180
  assert set(stance) == set(range(len(pose.STANCES)))


def test_bones_keep_their_length_in_every_pose():
  draws = np.random.default_rng(2).random((50, pose.NUM_DRAWS))
  angles, _ = pose.sample(draws)
  factors = np.ones((50, len(figure.GROUPS)))
  points, frames = figure.stand_up(angles, factors)
  np.testing.assert_allclose(
    frames @ np.swapaxes(frames, -1, -2), np.broadcast_to(np.eye(3), frames.shape), atol=1e-9
  )
  np.testing.assert_allclose(np.linalg.det(frames), 1, atol=1e-9)
  for a, b, length in (
    ('left_shoulder', 'left_elbow', 0.295),
    ('right_elbow', 'right_wrist', 0.255),
    ('left_hip', 'left_knee', 0.43),
    ('right_knee', 'right_ankle', 0.41),
    ('left_hip', 'right_hip', 0.19),
  ):
    gap = points[:, figure.POINT[a]] - points[:, figure.POINT[b]]
    np.testing.assert_allclose(np.linalg.norm(gap, axis=-1), length, atol=1e-9)


@pytest.mark.parametrize(('azimuth', 'left_is_right'), [(0.0, True), (np.pi, False)])
def test_facing_decides_left_and_right_as_in_life(azimuth, left_is_right):
  draws = np.random.default_rng(3).random((300, pose.NUM_DRAWS))
  wobble = np.random.default_rng(4).uniform(-0.6, 0.6, 300)
  angles, stance = pose.sample(draws, azimuth + wobble)
  points, _ = figure.stand_up(angles, np.ones((300, len(figure.GROUPS))))
  upright = ~np.isin(stance, [pose.STANCES.index(s) for s in ('lie', 'handstand', 'bend')])
  flat = figure.project(points, np.full(300, 6.0))[upright]
  for part in ('shoulder', 'hip', 'eye', 'ear'):
    left, right = (flat[:, figure.POINT[f'{side}_{part}'], 0] for side in ('left', 'right'))
    share = np.mean((left > right) == left_is_right)
    # The head turns by up to 58 degrees on top of the body's 34; trunks turn less.
    assert share == 1 if part == 'hip' else share > 0.9, (part, share)
  head_above_hip = flat[:, figure.POINT['nose'], 1] < flat[:, figure.POINT['pelvis'], 1]
  assert head_above_hip.mean() > 0.98


def test_facing_holds_for_every_chest_that_clearly_faces_or_turns_away():
  crowd = _crowd(2000)
  chest = crowd.frames[:, figure.JOINT['chest']]
  upright = chest[:, 1, 1] < -0.8
  gap = crowd.keypoints[:, 5, 0] - crowd.keypoints[:, 6, 0]  # left minus right shoulder
  front, back = upright & (chest[:, 2, 2] < -0.5), upright & (chest[:, 2, 2] > 0.5)
  assert front.sum() > 300
  assert back.sum() > 300
  assert np.all(gap[front] > 0)
  assert np.all(gap[back] < 0)


def test_face_shows_from_the_front_and_not_from_behind():
  crowd = _crowd(2000)
  away = crowd.frames[:, figure.JOINT['head'], 2, 2]
  eyes = [COCO.index('left_eye'), COCO.index('right_eye')]
  assert crowd.own[away < -0.7][:, eyes].any(-1).all()
  assert not crowd.own[away > 0.45][:, eyes].any()


def test_covers_agrees_with_opencv():
  rng = np.random.default_rng(5)
  centres, radii = rng.uniform(0, 60, (30, 3, 2)), rng.uniform(2, 20, (30, 3))
  outer, lit = outline.hulls(centres, radii, np.full(30, 0.6), np.array([0.5, -0.5]))
  points = rng.uniform(0, 60, (80, 2))
  for polygons in (outer, outer + 3.25):
    got = outline.covers(points, polygons)
    for t, polygon in enumerate(polygons.astype(np.float32)):
      for k, (x, y) in enumerate(points.tolist()):
        distance = cv2.pointPolygonTest(polygon, (x, y), True)
        if abs(distance) > 1e-3:
          assert got[k, t] == (distance > 0)
  assert lit.shape == outer.shape


def test_outlines_are_convex_and_reach_no_farther_than_their_discs():
  rng = np.random.default_rng(6)
  centres, radii = rng.uniform(0, 90, (200, 4, 2)), rng.uniform(1, 12, (200, 4))
  outer, _ = outline.hulls(centres, radii, np.ones(200), np.zeros(2))
  edges = np.roll(outer, -1, 1) - outer
  after = np.roll(edges, -1, 1)
  assert np.all(edges[..., 0] * after[..., 1] - edges[..., 1] * after[..., 0] > -1e-9)
  gaps = np.linalg.norm(outer[:, :, None] - centres[:, None], axis=-1) - radii[:, None]
  np.testing.assert_allclose(gaps.min(-1), np.minimum(gaps.min(-1), 0), atol=1e-9)


def test_a_limb_keeps_its_width_on_both_sides():
  rng = np.random.default_rng(8)
  start, angle = rng.uniform(0, 90, (100, 2)), rng.uniform(-np.pi, np.pi, 100)
  along = np.stack([np.cos(angle), np.sin(angle)], -1)
  centres = np.stack([start, start + 30 * along], 1)
  outer, _ = outline.hulls(centres, np.tile([[6.0, 5.0]], (100, 1)), np.ones(100), np.zeros(2))
  across = np.stack([-along[:, 1], along[:, 0]], -1)
  side = ((outer - start[:, None]) * across[:, None]).sum(-1)
  np.testing.assert_allclose(side.max(1), 6 * np.cos(np.pi / outline.NUM_VERTICES), rtol=1e-6)
  np.testing.assert_allclose(side.min(1), -side.max(1), rtol=1e-6)


def test_topmost_is_the_last_polygon_over_a_point():
  square = np.array([(0, 0), (10, 0), (10, 6), (0, 6)], float)
  polygons = np.stack([square, square + 4, square + 100])
  got = outline.topmost(np.array([(1.0, 1.0), (5.0, 5.0), (12.0, 8.0), (50.0, 3.0)]), polygons)
  np.testing.assert_array_equal(got, [0, 1, 1, -1])


def test_clothes_are_alike_on_both_sides():
  colours, worn = outfit.dress(np.random.default_rng(7).random((300, outfit.NUM_DRAWS)))
  for name in outline.PARTS:
    if name.startswith('left_'):
      left, right = outline.PART[name], outline.PART[name.replace('left_', 'right_')]
      np.testing.assert_array_equal(colours[:, left], colours[:, right])
      np.testing.assert_array_equal(worn[:, left], worn[:, right])


def test_box_holds_every_keypoint():
  crowd = _crowd()
  assert np.all(crowd.keypoints >= crowd.box[:, None, :2])
  assert np.all(crowd.keypoints <= crowd.box[:, None, 2:])
