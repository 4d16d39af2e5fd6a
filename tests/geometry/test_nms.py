from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np

from posejax.geometry.nms import nms


def nms_by_loops(boxes, scores, limit):
  """Every box against every kept one, in the order of the scores."""
  kept = []
  for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
    ax1, ay1, ax2, ay2 = boxes[i]
    for j in kept:
      bx1, by1, bx2, by2 = boxes[j]
      common = max(0, min(ax2, bx2) - max(ax1, bx1)) * max(0, min(ay2, by2) - max(ay1, by1))
      union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - common
      if union > 0 and common / union > limit:
        break
    else:
      kept.append(i)
  return kept


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 25), st.sampled_from([0.0, 0.3, 0.6, 1.0]))
def test_equals_the_loops(seed, count, limit):
  rng = np.random.default_rng(seed)
  low = rng.integers(0, 12, (count, 2))
  boxes = np.concatenate([low, low + rng.integers(0, 12, (count, 2))], -1).astype(float)
  scores = rng.integers(0, 5, count) / 4  # with equals
  assert nms(boxes, scores, limit).tolist() == nms_by_loops(boxes, scores, limit)


def test_an_overlap_of_just_the_limit_stays():
  boxes = np.array([[0, 0, 2, 1], [1, 0, 3, 1]])  # a third
  assert nms(boxes, [1, 0.5], 1 / 3).tolist() == [0, 1]
  assert nms(boxes, [1, 0.5], 0.33).tolist() == [0]
