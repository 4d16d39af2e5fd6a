"""MoveNet's targets: decoding gives the labels back, and the losses are those of the paper."""

import jax
import numpy as np
import pytest

from posejax.codecs import movenet, movenet_multi, movenet_targets

GRID = (16, 28)
K = 5
H, W = 4 * GRID[0], 4 * GRID[1]
_encode = jax.jit(movenet_targets.encode, static_argnums=(2,), static_argnames=('stride', 'sigma'))
_encode_multi = jax.jit(movenet_targets.encode_multi, static_argnums=(4,))
_losses = jax.jit(movenet_targets.losses)


def certain(targets):
  """What a net outputs that has learnt the targets."""
  return {
    n: np.asarray(20 * t - 10 if n in movenet_targets.HEATMAPS else t) for n, t in targets.items()
  }


def scattered(seed, *shape):
  rng = np.random.default_rng(seed)
  return rng.uniform((0, 0), (W - 1, H - 1), (*shape, 2)).astype(np.float32)


@pytest.mark.parametrize('stride', [4, 2])
def test_decoding_gives_the_keypoints_back(stride):
  points = scattered(0, 6, K) * stride / 4
  visibility = np.random.default_rng(1).integers(0, 3, (6, K))
  targets, _ = _encode(points, visibility, GRID, stride=stride)
  assert {n: t.shape for n, t in targets.items()} == {
    'center': (6, *GRID, 1),
    'keypoint_heatmaps': (6, *GRID, K),
    'keypoint_regression': (6, *GRID, 2 * K),
    'keypoint_offsets': (6, *GRID, 2 * K),
  }
  found, scores = jax.jit(movenet.decode, static_argnums=1)(certain(targets), stride)
  seen = visibility > 0
  np.testing.assert_allclose(np.asarray(found)[seen], points[seen], atol=1e-3)
  assert np.asarray(scores)[seen].min() > 0.98


def test_a_neighbouring_cell_leads_to_the_same_keypoint():
  points = np.array([[[30.3, 41.7]] * K], np.float32)
  targets, weights = _encode(points, np.ones((1, K)), GRID)
  targets, weights = jax.device_get((targets, weights))
  counted = 0
  for v in range(GRID[0]):
    for u in range(GRID[1]):
      near = np.hypot(u - 7, v - 10) <= 2
      assert (np.asarray(weights['keypoint_offsets'][0, v, u]) == near).all()
      if near:
        dy, dx = targets['keypoint_offsets'][0, v, u, :2]
        np.testing.assert_allclose(
          [4 * (u + dx) - 0.5, 4 * (v + dy) - 0.5], points[0, 0], atol=1e-4
        )
        counted += 1
  assert counted == 13


def test_bumps_are_gaussians_on_whole_cells():
  points = np.array([[[30.3, 41.7]] * K], np.float32)
  targets, _ = _encode(points, np.ones((1, K)), GRID, sigma=1.5)
  for v in range(GRID[0]):
    for u in range(GRID[1]):
      expected = np.exp(-((u - 7) ** 2 + (v - 10) ** 2) / (2 * 1.5**2))
      np.testing.assert_allclose(targets['keypoint_heatmaps'][0, v, u], expected, atol=1e-6)


def test_what_is_not_labelled_does_not_count():
  points = scattered(2, 3, K)
  visibility = np.ones((3, K), int)
  visibility[0, 1] = visibility[1] = 0
  other = points.copy()
  other[0, 1] = np.nan
  other[1] = np.inf
  targets, weights = _encode(points, visibility, GRID)
  for found, expected in zip(_encode(other, visibility, GRID), (targets, weights), strict=True):
    for name in expected:
      counts = np.broadcast_to(np.asarray(weights[name]) > 0, targets[name].shape)
      found_map, expected_map = (
        np.broadcast_to(maps[name], targets[name].shape) for maps in (found, expected)
      )
      np.testing.assert_array_equal(found_map[counts], expected_map[counts])
  assert not np.asarray(weights['keypoint_heatmaps'])[0, ..., 1].any()
  assert not any(np.asarray(w)[1].any() for w in weights.values())
  losses = _losses({n: np.ones_like(t) for n, t in targets.items()}, targets, weights)
  assert all(x[1] == 0 and x[0] > 0 for x in losses.values())


def test_outside_the_crop_regression_still_points_there():
  points = scattered(3, 1, K)
  points[0, 0] = -20, 30
  targets, weights = _encode(points, np.ones((1, K)), GRID)
  assert not np.asarray(targets['keypoint_heatmaps'])[..., 0].any()
  assert not np.asarray(weights['keypoint_offsets'])[..., :2].any()
  v, u = np.unravel_index(np.asarray(targets['center']).argmax(), GRID)
  dy, dx = targets['keypoint_regression'][0, v, u, :2]
  assert weights['keypoint_regression'][0, v, u, 0] == 1
  np.testing.assert_allclose([4 * (u + dx) - 0.5, 4 * (v + dy) - 0.5], [-20, 30], atol=1e-4)


PEOPLE = np.array([[8, 6, 40, 55], [60, 10, 100, 60], [0, 0, 0, 0]], np.float32)


def crowd():
  """One picture: two people who stand apart, and a place that is not taken."""
  rng = np.random.default_rng(5)
  points = rng.uniform(
    PEOPLE[:, None, :2] + 1, PEOPLE[:, None, 2:] - 1 + 2 * (PEOPLE[:, None, 2:] == 0), (3, K, 2)
  )
  return (
    points[None].astype(np.float32),
    np.ones((1, 3, K), int),
    PEOPLE[None],
    np.array([[1, 1, 0]]),
  )


def test_decoding_gives_several_people_back():
  points, visibility, boxes, present = crowd()
  targets, _ = _encode_multi(points, visibility, boxes, present, GRID)
  found = jax.jit(movenet_multi.decode_multi, static_argnums=1)(certain(targets), 3)
  order = np.argsort(np.asarray(found['boxes_crop'])[0, :2, 0])
  np.testing.assert_allclose(np.asarray(found['boxes_crop'])[0, order], boxes[0, :2], atol=1e-3)
  keypoints = np.asarray(found['keypoints_crop'])[0, order]
  np.testing.assert_allclose(keypoints, points[0, :2], atol=1e-3)
  scores = np.asarray(found['scores'])[0]
  assert scores[:2].min() > 0.3 > 1e-3 > scores[2]


def test_the_order_of_people_does_not_matter():
  points, visibility, boxes, present = crowd()
  points[0, 1, :2] = points[0, 0, :2] + [5, -3]
  expected = _encode_multi(points, visibility, boxes, present, GRID)
  turn = [2, 1, 0]
  found = _encode_multi(
    points[:, turn], visibility[:, turn], boxes[:, turn], present[:, turn], GRID
  )
  counts = {
    n: np.broadcast_to(np.asarray(w) > 0, expected[0][n].shape) for n, w in expected[1].items()
  }
  for name in expected[0]:
    np.testing.assert_array_equal(found[1][name], expected[1][name])
    a, b = (np.asarray(maps[0][name])[counts[name]] for maps in (found, expected))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_in_a_persons_box_an_unlabelled_keypoint_teaches_nothing():
  points, visibility, boxes, present = crowd()
  visibility[0, 0, 2] = 0
  _, weights = _encode_multi(points, visibility, boxes, present, GRID)
  weight = np.asarray(weights['keypoint_heatmaps'])[0, ..., 2]
  # The box of 8 to 40 by 6 to 55 pixels covers parts of the cells 2 to 10 by 1 to 13.
  expected = np.ones(GRID)
  expected[1:14, 2:11] = 0
  np.testing.assert_array_equal(weight, expected)
  assert np.asarray(weights['keypoint_heatmaps'])[..., [0, 1, 3, 4]].all()


def focal_by_loops(logits, target, weight):
  total, peaks = 0.0, 0.0
  for x, y, w in zip(logits.ravel(), target.ravel(), weight.ravel(), strict=True):
    p = 1 / (1 + np.exp(-float(x)))
    if y == 1:
      total -= w * (1 - p) ** 2 * np.log(p)
      peaks += w
    else:
      total -= w * (1 - float(y)) ** 4 * p**2 * np.log(1 - p)
  return total / max(peaks, 1)


def test_losses_are_those_of_the_paper():
  points, visibility, boxes, present = crowd()
  targets, weights = _encode_multi(points, visibility, boxes, present, GRID)
  rng = np.random.default_rng(6)
  outputs = {n: rng.normal(0, 2, t.shape).astype(np.float32) for n, t in targets.items()}
  found = _losses(outputs, targets, weights)
  total = 0.0
  for name, factor in movenet_targets.FACTORS.items():
    target = np.asarray(targets[name])
    weight = np.broadcast_to(weights[name], target.shape)
    if name in ('center', 'keypoint_heatmaps'):
      expected = focal_by_loops(outputs[name], target, weight)
    else:
      errors = np.abs(outputs[name] - target)[weight > 0]
      expected = errors.mean()
    np.testing.assert_allclose(found[name], [expected], rtol=1e-4)
    total += factor * expected
  np.testing.assert_allclose(movenet_targets.loss(outputs, targets, weights), [total], rtol=1e-4)


def test_gradients_are_finite_at_extreme_logits():
  targets, weights = _encode(scattered(7, 1, K), np.ones((1, K)), GRID)
  gradient_fn = jax.jit(jax.grad(lambda o: movenet_targets.loss(o, targets, weights).sum()))
  for value in (-1e4, 0.0, 1e4):
    outputs = {n: np.full(t.shape, value, np.float32) for n, t in targets.items()}
    assert all(np.isfinite(g).all() for g in gradient_fn(outputs).values())
