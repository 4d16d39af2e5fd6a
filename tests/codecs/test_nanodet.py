"""NanoDet's decoding against loops, and greedy suppression."""

import numpy as np
import pytest

from posejax.codecs import nanodet

GRIDS = {8: (8, 12), 16: (4, 6), 32: (2, 3)}


def noise(seed, classes=3):
  rng = np.random.default_rng(seed)
  maps = {f'classes_{s}': rng.normal(-2, 2, (2, *g, classes)) for s, g in GRIDS.items()}
  maps |= {f'sides_{s}': rng.normal(0, 2, (2, *g, 44)) for s, g in GRIDS.items()}
  return {n: m.astype(np.float32) for n, m in maps.items()}


def test_boxes_are_those_of_loops():
  maps = noise(0)
  boxes, scores = nanodet.decode(maps)
  assert boxes.shape == (2, 126, 4)
  assert scores.shape == (2, 126, 3)
  for b in range(2):
    row = 0
    for stride, (h, w) in GRIDS.items():
      for y in range(h):
        for x in range(w):
          sides = []
          for side in maps[f'sides_{stride}'][b, y, x].astype(float).reshape(4, 11):
            p = np.exp(side) / np.exp(side).sum()
            sides.append(stride * sum(i * p[i] for i in range(11)))
          cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
          edges = [cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]]
          # Edges are counted from the picture's, pixels from the first one's middle.
          np.testing.assert_allclose(boxes[b, row], np.array(edges) - 0.5, atol=1e-3)
          classes = 1 / (1 + np.exp(-maps[f'classes_{stride}'][b, y, x].astype(float)))
          np.testing.assert_allclose(scores[b, row], classes, atol=1e-6)
          row += 1


def test_a_certain_side_is_where_it_says():
  maps = {n: np.zeros_like(m[:1]) for n, m in noise(1).items()}
  maps['sides_16'][0, 2, 3] = np.eye(11)[[2, 1, 3, 4]].ravel() * 60
  boxes, _ = nanodet.decode(maps)
  row = 8 * 12 + 2 * 6 + 3
  np.testing.assert_allclose(boxes[0, row], [56 - 32.5, 40 - 16.5, 56 + 47.5, 40 + 63.5], atol=1e-3)


def test_the_best_of_overlapping_boxes_stays():
  boxes = np.array(
    [[0, 0, 10, 20], [1, 0, 11, 20], [30, 5, 40, 9], [0, 0, 10, 9], [50, 50, 51, 51]]
  )
  scores = np.array([0.5, 0.9, 0.3, 0.8, 0.02])
  found, kept = nanodet.select(boxes, scores)
  np.testing.assert_array_equal(found, boxes[[1, 3, 2]])
  assert kept.tolist() == [0.9, 0.8, 0.3]
  found, _ = nanodet.select(boxes, scores, threshold=0.4, iou=0.9)
  np.testing.assert_array_equal(found, boxes[[1, 3, 0]])


@pytest.mark.parametrize('fill', [np.nan, np.inf, -1e30])
def test_whatever_comes_boxes_are_finite(fill):
  maps = noise(2)
  for values in maps.values():
    values[0, 0] = fill
  boxes, scores = nanodet.decode(maps)
  found, kept = nanodet.select(boxes[0], scores[0, :, nanodet.PERSON])
  assert np.isfinite(found).all()
  assert np.isfinite(kept).all()
  assert len(found) > 3


def test_nothing_found_is_no_error():
  found, kept = nanodet.select(np.zeros((0, 4)), np.zeros(0))
  assert found.shape == (0, 4)
  assert kept.shape == (0,)
