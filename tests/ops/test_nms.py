from functools import partial

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.ops import nms as nms_lib
from tests import compiling

batched = partial(compiling.jit, static_argnums=(3, 4))(nms_lib.batched_nms)


def greedy(boxes, scores, groups, threshold):
  """Return what stays, by the rule's words: one box and one comparison at a time."""
  order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
  kept = []
  for i in order:
    if not np.isfinite(scores[i]):
      continue
    for j in kept:
      x1, y1 = max(boxes[i][0], boxes[j][0]), max(boxes[i][1], boxes[j][1])
      x2, y2 = min(boxes[i][2], boxes[j][2]), min(boxes[i][3], boxes[j][3])
      inter = max(x2 - x1, 0) * max(y2 - y1, 0)
      sizes = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[i], boxes[j])]
      if groups[i] == groups[j] and inter > threshold * (sum(sizes) - inter):
        break
    else:
      kept.append(i)
  return kept


def run(boxes, scores, groups=None, threshold=0.5, max_outputs=None):
  boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
  groups = np.zeros(len(scores), np.int32) if groups is None else np.asarray(groups)
  indices, valid = batched(boxes, scores, groups, threshold, max_outputs or len(scores))
  assert indices.dtype == jnp.int32
  assert indices.shape == valid.shape == (max_outputs or len(scores),)
  indices, valid = np.asarray(indices), np.asarray(valid)
  assert not valid[valid.sum() :].any()
  assert not indices[~valid].any()
  return list(indices[valid])


def whole_boxes(rng, n, spread):
  """Boxes at whole coordinates, so that overlaps are exact and ties are many."""
  corner = rng.integers(0, [spread, spread // 2 + 1], (n, 2))
  return np.concatenate([corner, corner + rng.integers(1, 20, (n, 2))], 1)


@hypothesis.given(st.integers(0, 2**31), st.sampled_from([8, 40, 200]))
@hypothesis.settings(max_examples=25, deadline=None)
def test_as_one_comparison_at_a_time(seed, spread):
  rng = np.random.default_rng(seed)
  boxes = whole_boxes(rng, 150, spread)
  scores = rng.integers(0, 30, 150) / 32
  groups = rng.integers(0, 3, 150)
  # No overlap is 0.4983 exactly, so that rounding decides nothing.
  assert run(boxes, scores, groups, 0.4983) == greedy(boxes, scores, groups, 0.4983)


def test_of_equals_the_first_in_order_stays():
  boxes = [[0, 0, 20, 8]] * 3 + [[40, 0, 60, 8]] * 2
  assert run(boxes, [0.5] * 5) == [0, 3]
  assert run(boxes, [0.5, 0.5, 0.6, 0.7, 0.7]) == [3, 2]


def test_an_overlap_of_just_the_threshold_does_not_remove():
  boxes = [[0, 0, 20, 8], [0, 0, 10, 8]]
  assert run(boxes, [0.9, 0.8], threshold=0.5) == [0, 1]
  assert run(boxes, [0.9, 0.8], threshold=0.499) == [0]


def test_what_was_removed_removes_nothing():
  # A chain longer than two tiles: each box overlaps its neighbours alone, so that every other stays.
  x = 6.0 * np.arange(200)
  boxes = np.stack([x, 0 * x, x + 20, 0 * x + 8], 1)
  assert run(boxes, np.linspace(1, 0.1, 200), threshold=0.5) == list(range(0, 200, 2))


def test_one_removes_all_others():
  rng = np.random.default_rng(1)
  boxes = np.tile([[5.0, 3, 45, 19]], (300, 1)) + rng.uniform(-0.5, 0.5, (300, 4))
  scores = rng.uniform(0.1, 0.8, 300)
  scores[217] = 0.9
  assert run(boxes, scores) == [217]


def test_no_more_than_asked_for_and_the_best_of_them():
  boxes = 100.0 * np.arange(150)[:, None] + np.array([0, 0, 20, 8])
  scores = np.random.default_rng(2).permutation(150) / 150
  assert run(boxes, scores, max_outputs=70) == list(np.argsort(-scores)[:70])


@pytest.mark.parametrize('bad', [-np.inf, np.nan])
def test_boxes_without_a_score_are_none(bad):
  boxes = [[0, 0, 20, 8], [40, 0, 60, 8], [1, 0, 20, 8]]
  assert run(boxes, [bad, 0.2, 0.1]) == [1, 2]
  assert run(boxes, [bad] * 3) == []


def test_boxes_without_area_stay():
  boxes = [[5, 5, 5, 5], [5, 5, 5, 5], [5, 2, 9, 2]]
  assert run(boxes, [0.3, 0.2, 0.4]) == [2, 0, 1]


def test_pictures_of_a_batch_are_apart():
  rng = np.random.default_rng(3)
  boxes = whole_boxes(rng, 2 * 90, 40).reshape(2, 90, 4).astype(np.float32)
  scores = rng.uniform(0, 1, (2, 90)).astype(np.float32)
  scores[1, 30:] = -np.inf
  indices, valid = compiling.jit(jax.vmap(lambda b, s: nms_lib.nms(b, s, 0.4983, 90)))(
    boxes, scores
  )
  for b in range(2):
    expected = greedy(boxes[b], scores[b], np.zeros(90), 0.4983)
    assert list(np.asarray(indices[b])[np.asarray(valid[b])]) == expected
