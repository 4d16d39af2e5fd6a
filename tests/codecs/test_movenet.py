"""MoveNet's decoding against loops and the published graphs' own, on grids that are not square."""

import pathlib

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax import skeletons
from posejax.codecs import movenet, movenet_multi
from tests import compiling
from tests.goldens import seeded_movenet

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
GRID = (14, 22)  # h, w
K = 17
_decode = compiling.jit(movenet.decode, static_argnames=('stride', 'reach'))
_decode_multi = compiling.jit(movenet_multi.decode_multi, static_argnames=('max_people', 'stride'))


def noise(seed, B=2, grid=GRID, keypoints=K, boxes=False):
  """Raw maps without structure: every rule of the decoding decides something."""
  rng = np.random.default_rng(seed)
  sizes = {'center': 1, 'keypoint_heatmaps': keypoints}
  pairs = {'keypoint_regression': keypoints, 'keypoint_offsets': keypoints}
  pairs |= {'box_scale': 1, 'box_offset': 1} if boxes else {}
  maps = {n: rng.normal(-2, 2, (B, *grid, c)) for n, c in sizes.items()}
  maps |= {n: rng.normal(0.4, 4, (B, *grid, 2 * c)) for n, c in pairs.items()}
  if boxes:
    maps['box_scale'] = rng.normal(7, 6, (B, *grid, 2))
  return {n: m.astype(np.float32) for n, m in maps.items()}


def sigmoid(x):
  return 1 / (1 + np.exp(-float(x)))


def highest(grid, value):
  """Return the (y, x) where a function of (y, x) is largest, the first in row order."""
  h, w = grid
  best, place = -np.inf, None
  for y in range(h):
    for x in range(w):
      if (v := value(y, x)) > best:
        best, place = v, (y, x)
  return place


def decode_by_loops(maps, b, reach=1.8):
  """One example in the words of the published description: y, x as fractions of the input, score."""
  h, w = grid = maps['center'].shape[1:3]
  center, heatmaps, regression, offsets = (
    maps[n][b] for n in ('center', 'keypoint_heatmaps', 'keypoint_regression', 'keypoint_offsets')
  )
  a = highest(grid, lambda y, x: sigmoid(center[y, x, 0]) / (np.hypot(y - h / 2, x - w / 2) + 1.8))
  rows = []
  for j in range(heatmaps.shape[-1]):
    gy, gx = a[0] + float(regression[*a, 2 * j]), a[1] + float(regression[*a, 2 * j + 1])
    y, x = highest(
      grid,
      lambda y, x, j=j, gy=gy, gx=gx: (
        sigmoid(heatmaps[y, x, j]) / (np.hypot(y - gy, x - gx) + reach)
      ),
    )
    oy, ox = (float(v) for v in offsets[y, x, 2 * j : 2 * j + 2])
    rows.append(((y + oy) / h, (x + ox) / w, sigmoid(heatmaps[y, x, j])))
  return np.array(rows)


def decode_multi_by_loops(maps, b, people):
  """One picture: keypoints (y, x, score), boxes (ymin, xmin, ymax, xmax) as fractions, scores."""
  h, w = grid = maps['center'].shape[1:3]
  heat = 1 / (1 + np.exp(-maps['center'][b, ..., 0].astype(float)))
  peaks = []
  for y in range(h):
    for x in range(w):
      around = heat[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
      peaks.append((-heat[y, x] if around.max() == heat[y, x] else 0.0, y * w + x))
  found = sorted(peaks)[:people]
  boxes, fits = [], np.zeros((people, K, h, w))
  for p, (_, flat) in enumerate(found):
    y, x = divmod(flat, w)
    my, mx = np.array([y, x]) + maps['box_offset'][b, y, x].astype(float)
    sy, sx = np.maximum(maps['box_scale'][b, y, x].astype(float), 0) / 2
    box = np.clip([my - sy, mx - sx, my + sy, mx + sx], 0, [h, w, h, w])
    boxes.append(box / [h, w, h, w])
    for j in range(K):
      gy = y + float(maps['keypoint_regression'][b, y, x, 2 * j])
      gx = x + float(maps['keypoint_regression'][b, y, x, 2 * j + 1])
      for v in range(h):
        for u in range(w):
          inside = box[0] <= v < box[2] and box[1] <= u < box[3]
          near = np.exp(-((v - gy) ** 2 + (u - gx) ** 2) / (0.3 * min(h, w)))
          fits[p, j, v, u] = inside * near * sigmoid(maps['keypoint_heatmaps'][b, v, u, j])
  keypoints, scores = np.zeros((people, K, 3)), []
  for p, (value, _) in enumerate(found):
    for j in range(K):
      v, u = highest(grid, lambda y, x, fit=fits[p, j]: fit[y, x])
      oy, ox = maps['keypoint_offsets'][b, v, u, 2 * j : 2 * j + 2]
      keypoints[p, j] = (v + float(oy)) / h, (u + float(ox)) / w, fits[:, j, v, u].max()
    sure = [s for s in keypoints[p, :, 2] if s > 0.127]
    scores.append(-value * np.mean(sure) if sure else 0.0)
  return keypoints, np.array(boxes), np.array(scores)


def fractions(points, grid, stride):
  """Points in pixels (x, y) as fractions (y, x) of the input's edges."""
  h, w = grid
  return ((np.asarray(points, float) + 0.5) / (stride * np.array([w, h])))[..., ::-1]


@pytest.mark.parametrize(('stride', 'reach'), [(4, 1.8), (8, 1.8), (4, 16.0)])
def test_one_person_as_by_loops(stride, reach):
  maps = noise(0, B=4)
  keypoints, scores = _decode(maps, stride=stride, reach=reach)
  assert keypoints.shape == (4, K, 2)
  for b in range(4):
    expected = decode_by_loops(maps, b, reach)
    np.testing.assert_allclose(fractions(keypoints[b], GRID, stride), expected[:, :2], atol=1e-5)
    np.testing.assert_allclose(scores[b], expected[:, 2], atol=1e-6)


def test_a_long_reach_goes_by_the_heatmap_alone():
  maps = noise(1)
  keypoints, _ = _decode(maps, reach=1e6)
  for b, j in np.ndindex(2, K):
    heat = maps['keypoint_heatmaps'][b, ..., j]
    y, x = np.unravel_index(np.argmax(heat), heat.shape)
    offset = maps['keypoint_offsets'][b, y, x, 2 * j : 2 * j + 2]
    np.testing.assert_allclose(
      fractions(keypoints[b, j], GRID, 4), (np.array([y, x]) + offset) / GRID, atol=1e-4
    )


@pytest.mark.parametrize('people', [6, 11])
def test_several_people_as_by_loops(people):
  maps = noise(1, boxes=True)
  found = _decode_multi(maps, max_people=people)
  for b in range(2):
    keypoints, boxes, scores = decode_multi_by_loops(maps, b, people)
    # A person in whose box no cell's value is above 0 has keypoints in the first cell; all agree.
    places = fractions(found['keypoints_crop'][b], GRID, 4)
    np.testing.assert_allclose(places, keypoints[..., :2], atol=1e-5)
    np.testing.assert_allclose(found['keypoint_scores'][b], keypoints[..., 2], atol=1e-6)
    corners = fractions(np.asarray(found['boxes_crop'][b]).reshape(people, 2, 2), GRID, 4)
    np.testing.assert_allclose(corners.reshape(people, 4), boxes, atol=1e-5)
    np.testing.assert_allclose(found['scores'][b], scores, atol=1e-6)
    assert np.ptp(scores) > 0.05


def test_fewer_people_than_asked_for_have_score_0():
  maps = noise(2, B=1, boxes=True)
  maps['center'][:] = -80
  maps['center'][0, 4, 9] = 3
  maps['box_scale'][:] = 12
  found = _decode_multi(maps, max_people=6)
  assert found['scores'][0, 0] > 0.1
  assert (np.asarray(found['scores'][0, 1:]) < 1e-30).all()


@pytest.mark.parametrize('variant', ['lightning', 'thunder', 'multipose'])
def test_decoding_is_that_of_the_published_graph(variant):
  maps = seeded_movenet.maps(variant)
  h, w = seeded_movenet.GRIDS[variant]
  with np.load(GOLDENS / f'movenet_{variant}.npz') as golden:
    expected = golden['decoded'][0]
  if variant == 'multipose':
    found = {n: np.asarray(x[0]) for n, x in _decode_multi(maps).items()}
    places = fractions(found['keypoints_crop'], (h, w), 4)
    rows = expected[:, :51].reshape(6, 17, 3)
    np.testing.assert_allclose(places, rows[..., :2], atol=1e-5)
    np.testing.assert_allclose(found['keypoint_scores'], rows[..., 2], atol=1e-5)
    corners = fractions(found['boxes_crop'].reshape(6, 2, 2), (h, w), 4)
    np.testing.assert_allclose(corners.reshape(6, 4), expected[:, 51:55], atol=1e-5)
    np.testing.assert_allclose(found['scores'], expected[:, 55], atol=1e-5)
  else:
    keypoints, scores = _decode(maps)
    places = fractions(keypoints[0], (h, w), 4)
    np.testing.assert_allclose(places, expected[0, :, :2], atol=1e-5)
    np.testing.assert_allclose(scores[0], expected[0, :, 2], atol=1e-6)


def peaked(points, grid=GRID, stride=4):
  """Maps of a net that is sure of keypoints `[K, 2]` in pixels, of a person in the middle."""
  h, w = grid
  maps = {n: np.zeros_like(m[:1, ..., : m.shape[-1]]) for n, m in noise(0, 1, grid).items()}
  maps['center'] -= 9
  maps['center'][0, h // 2, w // 2] = 9
  maps['keypoint_heatmaps'] -= 9
  for j, (x, y) in enumerate(points):
    cx, cy = (x + 0.5) / stride, (y + 0.5) / stride
    u, v = int(cx), int(cy)
    maps['keypoint_heatmaps'][0, v, u, j] = 9
    maps['keypoint_offsets'][0, v, u, 2 * j : 2 * j + 2] = cy - v, cx - u
    maps['keypoint_regression'][0, h // 2, w // 2, 2 * j : 2 * j + 2] = cy - h // 2, cx - w // 2
  return maps


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_pixels_are_counted_from_the_first_ones_middle(seed):
  """A map's coordinate 0 is the crop's edge, half a pixel before the first pixel's middle."""
  h, w = GRID
  rng = np.random.default_rng(seed)
  points = rng.uniform(-0.5, (4 * w - 0.5, 4 * h - 0.5), (K, 2)).astype(np.float32)
  keypoints, scores = _decode(peaked(points))
  np.testing.assert_allclose(keypoints[0], points, atol=1e-4)
  assert np.asarray(scores).min() > 0.99
  edges = [(0, 0), (1, 1)] + [(0.5, 0.5)] * (K - 2)
  maps = peaked(
    [(4 * w * min(x, 0.999999) - 0.5, 4 * h * min(y, 0.999999) - 0.5) for x, y in edges]
  )
  keypoints, _ = _decode(maps)
  np.testing.assert_allclose(
    keypoints[0, :2], [(-0.5, -0.5), (4 * w - 0.5, 4 * h - 0.5)], atol=1e-3
  )


def test_the_flip_mirrors_keypoints_exactly():
  permutation = skeletons.COCO.flip_permutation
  H, W = 4 * GRID[0], 4 * GRID[1]
  points = np.random.default_rng(3).uniform((0, 0), (W - 1, H - 1), (K, 2)).astype(np.float32)
  mirrored = points[permutation] * [-1, 1] + [W - 1, 0]
  turned = movenet.flip(peaked(mirrored), permutation)
  keypoints, _ = _decode(turned)
  np.testing.assert_allclose(keypoints[0], points, atol=1e-4)
  # The average with the maps of the crop itself leaves the keypoints where they are.
  straight = peaked(points)
  mean = {n: (turned[n] + straight[n]) / 2 for n in turned}
  cells = np.floor((points + 0.5) / 4).astype(int)
  for j, (u, v) in enumerate(cells):
    pair = np.asarray(mean['keypoint_offsets'])[0, v, u, 2 * j : 2 * j + 2]
    np.testing.assert_allclose(pair, ((points[j] + 0.5) / 4 - cells[j])[::-1], atol=1e-4)


def test_flipping_twice_gives_the_maps_back():
  permutation = skeletons.COCO.flip_permutation
  maps = noise(4, boxes=True)
  twice = movenet.flip(movenet.flip(maps, permutation), permutation)
  assert set(twice) == set(maps)
  for name, expected in maps.items():
    np.testing.assert_allclose(twice[name], expected, atol=1e-5)
  once = movenet.flip(maps, permutation)
  left, right = (skeletons.COCO.index(f'{side}_wrist') for side in ('left', 'right'))
  regression = maps['keypoint_regression'][:, :, ::-1]
  pair = np.asarray(once['keypoint_regression'])[..., 2 * left : 2 * left + 2]
  np.testing.assert_allclose(pair[..., 0], regression[..., 2 * right], atol=1e-6)
  np.testing.assert_allclose(pair[..., 1], 1 - regression[..., 2 * right + 1], atol=1e-6)
  np.testing.assert_array_equal(once['box_scale'], maps['box_scale'][:, :, ::-1])


@pytest.mark.parametrize('fill', [0.0, -1e30, 3e38, np.inf, -np.inf, np.nan])
def test_keypoints_are_finite_whatever_comes(fill):
  maps = {n: np.full_like(m[:1], fill) for n, m in noise(0, boxes=True).items()}
  for values in (*_decode(maps), *_decode_multi(maps).values()):
    assert np.isfinite(values).all()
