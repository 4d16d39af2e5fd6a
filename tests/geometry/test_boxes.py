from hypothesis import given
from hypothesis import strategies as st
import numpy as np

from posejax.geometry import boxes

cell = st.integers(0, 12)


def _box(corners):
  (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
  return [x1, y1, x2, y2]


box = st.tuples(cell, cell, cell, cell).map(_box)


def _cells(one):
  """The unit squares that a box of whole corners covers."""
  return {(x, y) for x in range(one[0], one[2]) for y in range(one[1], one[3])}


@given(st.lists(box, min_size=1, max_size=4), st.lists(box, min_size=1, max_size=4))
def test_iou_counts_squares(some, others):
  actual = boxes.iou(np.array(some), np.array(others))
  for i, a in enumerate(some):
    assert boxes.area(np.array(a)) == len(_cells(a))
    for j, b in enumerate(others):
      union = len(_cells(a) | _cells(b))
      expected = len(_cells(a) & _cells(b)) / union if union else 0
      np.testing.assert_allclose(actual[i, j], expected)


def test_iou_of_scenes_pairs_boxes_within_each():
  rng = np.random.default_rng(0)
  low = rng.uniform(0, 5, (3, 4, 2))
  some = np.concatenate([low, low + rng.uniform(1, 6, (3, 4, 2))], -1)
  others = some[:, :2]
  actual = boxes.iou(some, others)
  assert actual.shape == (3, 4, 2)
  for i in range(3):
    np.testing.assert_allclose(actual[i], boxes.iou(some[i], others[i]))
    np.testing.assert_allclose(np.diag(actual[i]), 1)


def test_corners_in_the_wrong_order_have_no_area():
  assert boxes.area(np.array([5, 5, 3, 9])) == 0
  assert boxes.area(np.array([5, 5, 3, 3])) == 0


def test_clip_keeps_the_outermost_pixels():
  clipped = boxes.clip(np.array([[-3, -4, 500, 501.5], [1, 2, 3, 4]]), (100, 200))
  np.testing.assert_array_equal(clipped, [[0, 0, 199, 99], [1, 2, 3, 4]])


def test_box_from_keypoints_ignores_what_is_not_labelled():
  keypoints = np.array([[3, 9], [7, 1], [np.nan, 1e9]], np.float32)
  np.testing.assert_array_equal(boxes.box_from_keypoints(keypoints, [1, 2, 0]), [3, 1, 7, 9])
  assert boxes.box_from_keypoints(keypoints, [0, 0, 0]) is None
