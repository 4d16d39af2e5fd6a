from functools import partial

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.ops import matching
from tests import compiling

match = partial(compiling.jit, static_argnums=(4, 5, 6))(matching.match)


def overlap(a, b):
  w = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
  h = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
  return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def match_by_loops(references, boxes, mask, high, low, low_quality):
  result = []
  live = [n for n in range(len(boxes)) if mask[n]]
  table = {(n, a): overlap(boxes[n], references[a]) for n in live for a in range(len(references))}
  for a in range(len(references)):
    best = max(live, key=lambda n: (table[n, a], -n), default=None)
    value = -1 if best is None else table[best, a]
    got = best if value >= high else (matching.IGNORED if value >= low else matching.BACKGROUND)
    if low_quality:
      for n in live:
        most = max(table[n, other] for other in range(len(references)))
        if most > 0 and table[n, a] == most:
          got = best
    result.append(got)
  return result


def whole_boxes(rng, n):
  corner = rng.integers(0, [40, 20], (n, 2))
  return np.concatenate([corner, corner + rng.integers(2, 24, (n, 2))], 1).astype(np.float32)


@hypothesis.given(st.integers(0, 2**31), st.booleans())
@hypothesis.settings(max_examples=25, deadline=None)
def test_as_one_pair_at_a_time(seed, low_quality):
  rng = np.random.default_rng(seed)
  references, boxes = whole_boxes(rng, 60), whole_boxes(rng, 5)
  boxes[3] = boxes[1]
  mask = rng.random(5) < 0.8
  got = match(references, jnp.array(boxes), mask, np.zeros(5, bool), 0.5001, 0.3001, low_quality)
  assert got.dtype == jnp.int32
  assert list(got) == match_by_loops(references, boxes, mask, 0.5001, 0.3001, low_quality)


def test_without_boxes_all_is_background():
  references = jnp.array(whole_boxes(np.random.default_rng(0), 9))
  none = np.zeros(2, bool)
  got = match(references, jnp.zeros((2, 4)), none, none, 0.7, 0.3, True)
  assert set(map(int, got)) == {matching.BACKGROUND}


def test_a_box_beyond_all_references_is_nobodys():
  references = jnp.array([[0.0, 0, 20, 10], [10, 0, 30, 10]])
  boxes = jnp.array([[400.0, 300, 420, 310]])
  got = match(references, boxes, np.ones(1, bool), np.zeros(1, bool), 0.7, 0.3, True)
  assert list(got) == [matching.BACKGROUND] * 2


def test_what_lies_in_a_crowd_is_no_background():
  references = jnp.array([[0.0, 0, 10, 10], [25, 0, 35, 10], [28, 0, 38, 10], [60, 0, 70, 10]])
  boxes = jnp.array([[0.0, 0, 10, 10], [0, 0, 32, 40]])
  mask, crowds = np.array([True, False]), np.array([False, True])
  got = match(references, boxes, mask, crowds, 0.5, 0.5, False)
  assert list(got) == [0, matching.IGNORED, matching.BACKGROUND, matching.BACKGROUND]


@pytest.mark.parametrize(
  ('positives', 'negatives', 'expected'),
  [(30, 60, (8, 24)), (3, 60, (3, 29)), (30, 10, (8, 10)), (0, 2, (0, 2)), (0, 0, (0, 0))],
)
def test_a_share_is_positive_and_the_rest_negative(positives, negatives, expected):
  kind = np.full(100, -1)
  places = np.random.default_rng(0).permutation(100)
  kind[places[:positives]], kind[places[positives : positives + negatives]] = 1, 0
  indices, valid = matching.sample(jax.random.key(0), kind == 1, kind == 0, 32, 0.25)
  assert indices.shape == valid.shape == (32,)
  drawn = np.asarray(indices)[np.asarray(valid)]
  assert len(set(drawn)) == len(drawn)
  assert ((kind[drawn] == 1).sum(), (kind[drawn] == 0).sum()) == expected
  assert len(drawn) == sum(expected)
  np.testing.assert_array_equal(np.asarray(valid), np.arange(32) < sum(expected))
  np.testing.assert_array_equal(kind[drawn][: expected[0]], 1)


def test_every_reference_is_drawn_as_often_as_another():
  positive = jnp.arange(40) < 10
  draw = jax.vmap(lambda key: matching.sample(key, positive, ~positive, 16, 0.25)[0])
  counts = np.bincount(np.ravel(draw(jax.random.split(jax.random.key(1), 2000))), minlength=40)
  # 4 of 10 and 12 of 30; 2000 draws deviate by 22 on average.
  np.testing.assert_allclose(counts, 800, atol=110)
