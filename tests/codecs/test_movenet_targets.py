"""MoveNet's targets: decoding gives the labels back, and the losses are those of the paper."""

import jax
import numpy as np
import pytest

from posejax.codecs import movenet, movenet_targets
from tests import compiling

GRID = (16, 28)
K = 5
H, W = 4 * GRID[0], 4 * GRID[1]
_encode = compiling.jit(
  movenet_targets.encode, static_argnums=(2,), static_argnames=('stride', 'sigma')
)
_losses = compiling.jit(movenet_targets.losses)


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
  found, scores = compiling.jit(movenet.decode, static_argnums=1)(certain(targets), stride)
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
  targets, weights = _encode(scattered(5, 1, K), np.array([[2, 1, 0, 2, 1]]), GRID)
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
  gradient_fn = compiling.jit(jax.grad(lambda o: movenet_targets.loss(o, targets, weights).sum()))
  for value in (-1e4, 0.0, 1e4):
    outputs = {n: np.full(t.shape, value, np.float32) for n, t in targets.items()}
    assert all(np.isfinite(g).all() for g in gradient_fn(outputs).values())
