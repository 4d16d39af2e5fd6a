from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.ops import roi_align as roi_lib
from tests import compiling

CANVAS = (96, 160)
align = partial(compiling.jit, static_argnums=2)(roi_lib.roi_align)


def some_maps(seed, channels=3, strides=(4, 8, 16, 32)):
  rng = np.random.default_rng(seed)
  h, w = CANVAS
  shapes = {s: (2, h // s, w // s, channels) for s in strides}
  return {s: rng.standard_normal(shape).astype(np.float32) for s, shape in shapes.items()}


def some_boxes(seed, n=11):
  rng = np.random.default_rng(seed)
  h, w = CANVAS
  corners = np.sort(rng.uniform(0, [w, h], (2, n, 2, 2)), 2)
  boxes = corners.reshape(2, n, 4)
  boxes[0, 0] = [0, 0, w, h]
  boxes[0, 1] = [w - 1.5, h - 0.5, w, h]
  boxes[0, 2] = [30, 20, 30.2, 20.1]
  return boxes.astype(np.float32)


def sample_by_hand(image, x, y):
  h, w, _ = image.shape
  x, y = min(max(x, 0), w - 1), min(max(y, 0), h - 1)
  left, top = int(x), int(y)
  right, low = min(left + 1, w - 1), min(top + 1, h - 1)
  u, v = x - left, y - top
  upper = (1 - u) * image[top, left] + u * image[top, right]
  lower = (1 - u) * image[low, left] + u * image[low, right]
  return (1 - v) * upper + v * lower


def align_by_loops(maps, boxes, size, stride_of):
  B, R, _ = boxes.shape
  out = np.zeros((B, R, size, size, next(iter(maps.values())).shape[-1]))
  for b in range(B):
    for r in range(R):
      stride = stride_of(boxes[b, r])
      x1, y1, x2, y2 = boxes[b, r].astype(float) / stride
      w, h = max(x2 - x1, 1), max(y2 - y1, 1)
      for i in range(size):
        for j in range(size):
          points = [
            (x1 + w * (j + (q + 0.5) / 2) / size, y1 + h * (i + (p + 0.5) / 2) / size)
            for p in range(2)
            for q in range(2)
          ]
          out[b, r, i, j] = np.mean([sample_by_hand(maps[stride][b], *p) for p in points], 0)
  return out


def stride_of(box):
  """The level by halving and doubling the canonical side, without a logarithm."""
  side = np.sqrt(float(box[2] - box[0]) * float(box[3] - box[1]))
  for stride, below in ((4, 112), (8, 224), (16, 448)):
    if side < below:
      return stride
  return 32


@pytest.mark.parametrize('size', [7, 4])
def test_as_one_sample_at_a_time(size):
  maps, boxes = some_maps(0), some_boxes(1)
  got = align(maps, boxes, size)
  assert got.shape == (2, 11, size, size, 3)
  np.testing.assert_allclose(got, align_by_loops(maps, boxes, size, stride_of), atol=2e-5)


def test_levels_change_at_the_powers_of_two():
  sides = np.array([1, 111, 112, 113, 223, 224, 225, 447, 448, 449, 5000], np.float32)
  boxes = np.stack([0 * sides, 0 * sides, 2 * sides, sides / 2], 1)
  got = roi_lib.level_of(jnp.array(boxes), (4, 8, 16, 32))
  assert list(got) == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_an_empty_box_belongs_to_the_finest_level():
  boxes = jnp.array([[[5.0, 5, 5, 5], [9, 9, 3, 3]]])
  assert list(roi_lib.level_of(boxes, (4, 8, 16, 32))[0]) == [0, 0]
  maps = {s: m[:1] for s, m in some_maps(2).items()}
  assert np.isfinite(align(maps, boxes, 7)).all()


def test_the_gradient_is_the_weight_of_every_cell():
  maps, boxes = some_maps(3, channels=1), some_boxes(4, n=4)
  weights = np.random.default_rng(5).standard_normal((2, 4, 3, 3, 1)).astype(np.float32)

  def total(maps, boxes):
    return (roi_lib.roi_align(maps, boxes, 3) * weights).sum()

  got, by_boxes = compiling.jit(jax.grad(total, (0, 1)))(maps, boxes)
  assert not np.asarray(by_boxes).any()
  # It is linear in the maps: a cell's weight is what one more of that cell changes.
  for stride, cell in ((4, (0, 5, 11)), (4, (1, 10, 3)), (8, (0, 11, 19)), (8, (1, 4, 4))):
    more = {s: np.zeros_like(m) for s, m in maps.items()}
    more[stride][(*cell, 0)] = 1
    expected = (align_by_loops(more, boxes, 3, stride_of) * weights).sum()
    assert got[stride][(*cell, 0)] == pytest.approx(expected, abs=1e-5)
  assert sum(float(np.abs(g).sum()) for g in got.values()) > 1
