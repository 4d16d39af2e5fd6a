import hypothesis
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.ops import boxes as boxes_lib

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def some_boxes(seed, n=7, low=2.0):
  rng = np.random.default_rng(seed)
  corner = rng.uniform([-20, -10], [120, 60], (n, 2))
  return np.concatenate([corner, corner + rng.uniform(low, 50, (n, 2))], 1).astype(np.float32)


def test_iou_counts_the_cells_of_a_grid():
  # Boxes at whole coordinates are sets of unit cells.
  rng = np.random.default_rng(0)
  corners = np.sort(rng.integers(0, [14, 9], (12, 2, 2)), axis=1)
  boxes = corners.reshape(12, 4).astype(np.float32)
  boxes[3, 2] = boxes[3, 0]

  def cells(box):
    x1, y1, x2, y2 = box.astype(int)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}

  got = np.asarray(boxes_lib.iou(jnp.array(boxes[:5]), jnp.array(boxes[5:])))
  assert got.shape == (5, 7)
  for i in range(5):
    for j in range(7):
      a, b = cells(boxes[i]), cells(boxes[5 + j])
      assert got[i, j] == pytest.approx(len(a & b) / max(len(a | b), 1), abs=1e-6)


def test_area_of_a_box_whose_corners_are_swapped_is_nothing():
  boxes = jnp.array([[2.0, 3, 7, 5], [7, 3, 2, 5], [2, 5, 7, 3], [7, 5, 2, 3]])
  np.testing.assert_array_equal(boxes_lib.area(boxes), [10, 0, 0, 0])


def test_clip_keeps_to_width_and_height():
  got = boxes_lib.clip(jnp.array([[-3.0, -4, 300, 300], [10, 20, 30, 25]]), (48, 80))
  np.testing.assert_array_equal(got, [[0, 0, 80, 48], [10, 20, 30, 25]])


@hypothesis.given(st.integers(0, 2**31))
@hypothesis.settings(max_examples=20, deadline=None)
def test_decode_undoes_encode(seed):
  boxes, references = some_boxes(seed), some_boxes(seed + 1)
  deltas = boxes_lib.encode(jnp.array(boxes), jnp.array(references), WEIGHTS)
  got = boxes_lib.decode(deltas, jnp.array(references), WEIGHTS)
  np.testing.assert_allclose(got, boxes, atol=2e-4)


def test_deltas_are_shifts_in_sides_and_logarithms():
  # From 20x10 at (30, 15) to 40x10 at (35, 20).
  reference, box = jnp.array([[20.0, 10, 40, 20]]), jnp.array([[15.0, 15, 55, 25]])
  got = boxes_lib.encode(box, reference, WEIGHTS)
  np.testing.assert_allclose(got, [[10 * 5 / 20, 10 * 5 / 10, 5 * np.log(2), 0]], atol=1e-6)


def test_a_decoded_side_grows_62_5_times_at_most():
  reference = jnp.array([[0.0, 0, 4, 2]])
  x1, y1, x2, y2 = boxes_lib.decode(jnp.array([[0.0, 0, 99, 99]]), reference, (1.0,) * 4)[0]
  np.testing.assert_allclose([x2 - x1, y2 - y1], [250, 125], rtol=1e-5)
