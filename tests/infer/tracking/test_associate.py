import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from posejax.infer.tracking import associate
from posejax.infer.tracking.associate import Figures

SIGMAS = (0.03, 0.05, 0.08, 0.1)


def best_total(alike, threshold):
  """The largest sum of any set of pairs, by trying them all."""
  N, M = alike.shape
  best = 0.0
  for count in range(1, min(N, M) + 1):
    for rows in itertools.combinations(range(N), count):
      for columns in itertools.permutations(range(M), count):
        values = [alike[i, j] for i, j in zip(rows, columns, strict=True)]
        if min(values) >= threshold:
          best = max(best, sum(values))
  return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
def test_no_other_pairing_is_better(N, M, seed, threshold):
  rng = np.random.default_rng(seed)
  alike = rng.random((N, M)) * (rng.random((N, M)) < 0.7)
  pairs = associate.assign(alike, threshold)
  rows, columns = [i for i, _ in pairs], [j for _, j in pairs]
  assert len(set(rows)) == len(rows)
  assert len(set(columns)) == len(columns)
  assert all(alike[pair] >= threshold for pair in pairs)
  assert sum(alike[pair] for pair in pairs) == pytest.approx(best_total(alike, threshold))


def figure(keypoints, seen=None, label=0):
  keypoints = np.asarray(keypoints, float)
  seen = np.ones(len(keypoints), bool) if seen is None else np.asarray(seen, bool)
  box = np.concatenate([keypoints[seen].min(0), keypoints[seen].max(0)])
  return Figures(box[None], np.array([label]), keypoints[None], seen[None])


PERSON = np.array([[10.0, 10], [30, 12], [12, 60], [32, 90]])  # box 22 by 80, size 51


def test_similarity_is_the_mean_of_iou_and_oks():
  other = PERSON + np.array([4, 3])
  area = ((22 + 80) / 2) ** 2
  oks = np.mean([math.exp(-25 / (2 * area * (2 * s) ** 2)) for s in SIGMAS])
  overlap = (22 - 4) * (80 - 3)
  iou = overlap / (2 * 22 * 80 - overlap)
  actual = associate.similarity(figure(PERSON), figure(other), SIGMAS)
  np.testing.assert_allclose(actual, [[(oks + iou) / 2]], rtol=1e-9)


def test_only_keypoints_seen_on_both_count():
  spoilt = PERSON.copy()
  spoilt[3] = np.nan
  seen = [True, True, True, False]
  alike = associate.pose_similarity(figure(PERSON), figure(spoilt, seen), SIGMAS)
  np.testing.assert_allclose(alike, [[1]])
  few = associate.pose_similarity(
    figure(PERSON, [True, True, True, False]), figure(PERSON, [False, True, True, True]), SIGMAS
  )
  assert np.isnan(few).all()


def test_classes_are_never_mixed():
  one, other = figure(PERSON), figure(PERSON, label=1)
  for measure in (associate.similarity, associate.sameness):
    assert measure(one, one, SIGMAS) == pytest.approx(1)
    assert measure(one, other, SIGMAS) == 0
  assert associate.nearness(one, one, np.array([2.0])) == 1
  assert associate.nearness(one, other, np.array([2.0])) == 0


def test_nearness_falls_with_distance_and_ends_at_reach_and_at_half_the_size():
  def at(shift, scale=1.0):
    return associate.nearness(figure(PERSON), figure(PERSON * scale + shift), np.array([1.5]))[0, 0]

  assert at([51, 0]) == pytest.approx(1 - 1 / 1.5)
  assert at([0, 1.6 * 51]) == 0
  middle = np.array([21, 50])
  assert at(middle * 0.4, 0.6) > 0.9
  assert at(middle * 0.6, 0.4) == 0
