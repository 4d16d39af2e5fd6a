import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pycocotools.cocoeval import COCOeval
import pytest

from posejax import skeletons
from posejax.metrics import oks

COCO = skeletons.COCO
CORNERS = (0.05, 0.1, 0.02, 0.3)


def _figures(seed, N=5, M=3, K=17):
  rng = np.random.default_rng(seed)
  labels = rng.uniform(0, (200, 90), (M, K, 2))
  predicted = labels[rng.integers(0, M, N)] + rng.normal(0, 5, (N, K, 2))
  visibility = rng.choice(3, (M, K), p=[0.3, 0.3, 0.4])
  visibility[:, 0] = 2
  return predicted, labels, rng.uniform(500, 20000, M), visibility


def _alike(one, other, area, sigmas, visibility=None):
  """One pair's similarity, keypoint by keypoint."""
  total = count = 0
  for k, sigma in enumerate(sigmas):
    if visibility is None or visibility[k] > 0:
      squared = (one[k][0] - other[k][0]) ** 2 + (one[k][1] - other[k][1]) ** 2
      total += math.exp(-squared / (2 * area * (2 * sigma) ** 2))
      count += 1
  return total / count


class TestOks:
  @pytest.mark.parametrize(('K', 'sigmas'), [(17, COCO.sigmas), (4, CORNERS)])
  def test_against_loops(self, K, sigmas):
    predicted, labels, areas, visibility = _figures(0, K=K)
    for seen in (visibility, None):
      expected = [
        [
          _alike(p, labels[j], areas[j], sigmas, None if seen is None else seen[j])
          for j in range(len(labels))
        ]
        for p in predicted
      ]
      assert np.ptp(expected) > 0.5
      np.testing.assert_allclose(oks.oks(predicted, labels, areas, sigmas, seen), expected)

  def test_against_pycocotools(self):
    predicted, labels, areas, visibility = _figures(1)
    judge = COCOeval(iouType='keypoints')
    triples = np.concatenate([labels, visibility[..., None]], -1)
    judge._gts[1, 1] = [
      {'keypoints': t.ravel().tolist(), 'bbox': [0, 0, 1, 1], 'area': area}
      for t, area in zip(triples, areas, strict=True)
    ]
    triples = np.concatenate([predicted, np.ones((5, 17, 1))], -1)
    judge._dts[1, 1] = [{'keypoints': t.ravel().tolist(), 'score': 1.0} for t in triples]
    expected = judge.computeOks(1, 1)
    actual = oks.oks(predicted, labels, areas, COCO.sigmas, visibility)
    np.testing.assert_allclose(actual, expected, rtol=1e-13)

  def test_half_a_pixel_costs_what_the_formula_says(self):
    _, labels, _, visibility = _figures(2, M=1)
    area = np.array([32.0**2])
    assert oks.oks(labels, labels, area, COCO.sigmas, visibility) == 1
    shifted = oks.oks(labels + 0.5, labels, area, COCO.sigmas, visibility)[0, 0]
    seen = visibility[0] > 0
    # d = sqrt(1/2), so the exponent is 1 / (16 area sigma^2).
    expected = np.mean([math.exp(-1 / (16 * 1024 * s**2)) for s in np.array(COCO.sigmas)[seen]])
    np.testing.assert_allclose(shifted, expected)
    assert 0.9 < shifted < 0.99

  def test_nothing_labelled_is_nan(self):
    predicted, labels, areas, visibility = _figures(3)
    visibility[1] = 0
    alike = oks.oks(predicted, labels, areas, COCO.sigmas, visibility)
    assert np.isnan(alike[:, 1]).all()
    assert np.isfinite(alike[:, [0, 2]]).all()

  def test_no_figures(self):
    assert oks.oks(np.zeros((0, 17, 2)), np.zeros((3, 17, 2)), [1, 1, 1], COCO.sigmas).shape == (
      0,
      3,
    )


def _survivors(keypoints, scores, areas, sigmas, threshold):
  """Take the best of what is left, again and again."""
  left, stay = list(range(len(scores))), []
  while left:
    best = left[0]
    for i in left:
      if scores[i] > scores[best]:
        best = i
    stay.append(best)
    left = [
      i for i in left
      if i != best
      and _alike(keypoints[best], keypoints[i], (areas[best] + areas[i]) / 2, sigmas) <= threshold
    ]  # fmt: skip
  return stay


class TestSuppress:
  @given(
    seed=st.integers(0, 2**20), N=st.integers(0, 12), threshold=st.sampled_from([0.3, 0.6, 0.9])
  )
  @settings(max_examples=60, deadline=None)
  def test_against_loops(self, seed, N, threshold):
    rng = np.random.default_rng(seed)
    people = rng.uniform(0, (90, 40), (3, 4, 2))
    keypoints = people[rng.integers(0, 3, N)] + rng.normal(0, 2, (N, 4, 2))
    scores, areas = rng.choice(6, N) / 5, rng.uniform(300, 3000, N)
    expected = _survivors(keypoints, scores, areas, CORNERS, threshold)
    assert oks.suppress(keypoints, scores, areas, CORNERS, threshold).tolist() == expected

  def test_a_dropped_figure_drops_nobody(self):
    # 0 drops 1, 1 would have dropped 2.
    keypoints = np.zeros((3, 1, 2)) + np.array([0, 3, 6])[:, None, None] * (1, 0)
    near, far = math.exp(-9 / 8), math.exp(-36 / 8)
    assert far < 0.3 < near
    stay = oks.suppress(keypoints, [0.9, 0.8, 0.7], np.ones(3), [1.0], 0.3)
    assert stay.tolist() == [0, 2]

  def test_as_alike_as_the_threshold_stays(self):
    keypoints = np.zeros((2, 4, 2))
    assert oks.suppress(keypoints, [0.1, 0.2], [9, 9], CORNERS, 1.0).tolist() == [1, 0]
    assert oks.suppress(keypoints, [0.1, 0.2], [9, 9], CORNERS).tolist() == [1]

  def test_larger_areas_make_figures_more_alike(self):
    keypoints = np.array([[[0, 0]], [[2, 1]]])
    for areas, stay in (([10, 10], 2), ([4000, 10], 1)):
      assert len(oks.suppress(keypoints, [1, 0.5], areas, [0.1])) == stay


class TestRescore:
  def test_against_loops(self):
    rng = np.random.default_rng(4)
    box_scores, scores = rng.uniform(size=6), rng.uniform(-0.1, 0.6, (6, 17)).astype(np.float32)
    scores[0] = 0.1
    expected = []
    for box_score, row in zip(box_scores, scores, strict=True):
      good = [float(s) for s in row if s > 0.2]
      expected.append(box_score * (sum(good) / len(good) if good else 0))
    assert expected[0] == 0
    np.testing.assert_allclose(oks.rescore(box_scores, scores), expected)

  def test_the_threshold_itself_does_not_count(self):
    assert oks.rescore([0.5], [[0.25, 0.25, 0.75]], threshold=0.25) == 0.375

  def test_by_sum_as_for_rle(self):
    # By hand, of 3: 0.5 + (0.25 + 0.125 + 0.75) / 3 + 0.75; scores below 0.2 count as well.
    found = oks.rescore_by_sum([0.5, 1.0], [[0.25, 0.125, 0.75], [-0.5, 0.0, 0.25]])
    np.testing.assert_allclose(3 * found, [1.625, 1 - 0.25 / 3 + 0.25])

  def test_the_two_ways_can_turn_people_round(self):
    # A sure detection of somebody half hidden, and a doubtful one with every keypoint clear.
    box_scores, scores = [0.9, 0.6], [[0.3, 0.9, 0.3], [0.8, 0.8, 0.8]]
    assert np.diff(oks.RESCORINGS['product'](box_scores, scores)) > 0
    assert np.diff(oks.RESCORINGS['sum'](box_scores, scores)) < 0
