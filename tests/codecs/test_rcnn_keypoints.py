import jax.numpy as jnp
import numpy as np
import pytest

from posejax.codecs import rcnn_keypoints
from tests import compiling

SIDE = 8


def test_a_cell_is_what_a_keypoint_falls_into():
  # A box of 16 by 40 pixels: cells of 2 by 5.
  box = jnp.array([10.0, 20, 26, 60])
  keypoints = jnp.array([[10.0, 20], [13.9, 24.9], [14, 25], [26, 60], [26.1, 30], [9.9, 30]])
  visibility = jnp.array([2, 1, 2, 2, 2, 2])
  cells, valid = rcnn_keypoints.encode(keypoints, visibility, box, SIDE)
  assert list(cells) == [0, 1, SIDE + 2, SIDE * SIDE - 1, 0, 0]
  assert list(valid) == [True, True, True, True, False, False]


def test_what_is_not_labelled_is_not_valid():
  _, valid = rcnn_keypoints.encode(
    jnp.array([[5.0, 5], [5, 5]]), jnp.array([0, 1]), jnp.array([0.0, 0, 10, 20]), SIDE
  )
  assert list(valid) == [False, True]


def test_a_box_without_sides_holds_nothing():
  box = jnp.array([5.0, 5, 5, 5])
  cells, valid = rcnn_keypoints.encode(jnp.array([[9.0, 9]]), jnp.array([2]), box, SIDE)
  assert not valid.any()
  assert not cells.any()


def test_decoding_finds_the_middle_of_what_was_encoded():
  rng = np.random.default_rng(0)
  boxes = np.array([[[10, 20, 50, 100], [3.3, 4.6, 33.7, 25.1], [0, 0, 9, 9]]], np.float32)
  sides = boxes[..., 2:] - boxes[..., :2]
  # Not in the outermost cells: there the border, repeated, overshoots and moves the peak outwards.
  places = rng.uniform(0.15, 0.85, (1, 3, 5, 2))
  keypoints = (boxes[:, :, None, :2] + places * sides[:, :, None]).astype(np.float32)
  cells, valid = rcnn_keypoints.encode(keypoints, np.full((1, 3, 5), 2), boxes, SIDE)
  assert valid.all()
  heatmaps = np.eye(SIDE * SIDE)[cells].transpose(0, 1, 3, 2).reshape(1, 3, SIDE, SIDE, 5)
  there = np.array([[True, True, False]])
  found, scores = compiling.jit(rcnn_keypoints.decode)(heatmaps, boxes, there)
  # Half a cell and half a pixel of the resized map.
  off = np.abs(np.asarray(found) - keypoints)[:, :2]
  assert (off <= (sides[:, :2] / SIDE / 2 + 0.51)[:, :, None]).all()
  # The peak of one pixel resized by cubic pieces, sampled close to it.
  assert (np.asarray(scores)[:, :2] > 0.8).all()
  assert not found[:, 2].any()
  assert not scores[:, 2].any()


def test_a_box_of_less_than_a_pixel_is_one_pixel():
  heatmaps = jnp.zeros((1, 1, SIDE, SIDE, 1)).at[0, 0, 4, 4, 0].set(1.0)
  boxes = jnp.array([[[5.0, 7, 5.5, 7.25]]])
  found, _ = rcnn_keypoints.decode(heatmaps, boxes, jnp.ones((1, 1), bool))
  assert found[0, 0, 0].tolist() == pytest.approx([5.5, 7.5])
