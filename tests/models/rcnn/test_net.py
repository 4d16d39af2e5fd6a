"""Two-stage detectors: sizes, what they refuse, and what lies between their stages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.models.rcnn import detections, pictures, proposals
from tests import compiling

COUNTS = {
  # As torchvision counts them, whose frozen norms have no parameters.
  'faster_rcnn_resnet50_fpn': 41_755_286,
  'keypoint_rcnn_resnet50_fpn': 59_137_258,
}


def shapes_of(model, size=(64, 96)):
  return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *size, 3)))


def count(tree):
  return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize('name', sorted(COUNTS))
def test_published_nets_have_their_parameters(name):
  variables = shapes_of(models.create(name))
  assert count(variables['params']) == COUNTS[name]
  live = shapes_of(models.create(name, norm='batch'))
  norms = 2 * (64 + 3 * (64 * 2 + 256) + 256 + 4 * (128 * 2 + 512) + 512)
  norms += 2 * (6 * (256 * 2 + 1024) + 1024 + 3 * (512 * 2 + 2048) + 2048)
  assert count(live['params']) == COUNTS[name] + norms


def test_outputs_have_fixed_sizes():
  model = models.create('keypoint_rcnn_light', num_keypoints=5, dtype='bfloat16')
  found = jax.eval_shape(model.apply, shapes_of(model), jnp.zeros((2, 64, 96, 3)))
  assert {name: x.shape for name, x in found.items()} == {
    'proposals': (2, 64, 4),
    'proposal_scores': (2, 64),
    'class_logits': (2, 64, 2),
    'class_deltas': (2, 64, 2, 4),
    'boxes': (2, 20, 4),
    'scores': (2, 20),
    'labels': (2, 20),
    'heatmaps': (2, 20, 56, 56, 5),
  }
  assert {str(x.dtype) for x in found.values()} == {'float32', 'int32'}


def test_a_canvas_of_another_multiple_is_refused():
  model = models.create('faster_rcnn_light')
  with pytest.raises(
    PosejaxError, match=r'\(64, 100\) must be divisible by 32.*pad it to \(64, 128'
  ):
    shapes_of(model, (64, 100))


def test_an_unknown_norm_is_refused():
  with pytest.raises(PosejaxError, match="norm='frosen' must be one of frozen, batch, group"):
    models.create('faster_rcnn_light', norm='frosen')


@pytest.mark.parametrize(
  ('hw', 'expected'),
  [((480, 640), (800, 1066)), ((640, 427), (1199, 800)), ((300, 1200), (333, 1333))],
)
def test_sizes_are_torchvisions(hw, expected):
  assert pictures.resized_hw(*hw) == expected


def test_a_picture_lies_at_the_upper_left_unrounded():
  picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
  canvas = pictures.lay_out(picture, (4, 6), np.array([1.0, 2, 3]))
  assert canvas.shape == (32, 32, 3)
  # Pixel centres at halves: the second of four rows lies a quarter of a pixel above the first's centre.
  expected = picture.astype(float)
  rows = np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
  columns = np.array(
    [[1, 0, 0], [0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0.75, 0.25], [0, 0.25, 0.75], [0, 0, 1]]
  )
  np.testing.assert_allclose(
    canvas[:4, :6], np.einsum('ij,kl,jlc->ikc', rows, columns, expected), atol=1e-5
  )
  np.testing.assert_array_equal(canvas[4:], np.broadcast_to([1.0, 2, 3], (28, 32, 3)))


def test_anchors_of_a_rounded_map_lie_closer():
  maps = {64: np.zeros((1, 13, 21, 1))}
  anchors = proposals.anchors_of(maps, (800, 1344))[64]
  middles = np.asarray(anchors[:, :2] + anchors[:, 2:]) / 2
  assert anchors.shape == (13 * 21 * 3, 4)
  np.testing.assert_array_equal(np.unique(middles[:, 1]), 61 * np.arange(13))
  np.testing.assert_array_equal(np.unique(middles[:, 0]), 64 * np.arange(21))


def test_proposals_are_the_best_of_every_level_cut_to_their_picture():
  anchors = {
    4: jnp.array([[0.0, 0, 20, 10], [1, 0, 21, 10], [40, 30, 60, 40], [70, 0, 90, 9]]),
    8: jnp.array([[0.0, 0, 20, 10], [50, 35, 200, 100]]),
  }
  logits = {4: jnp.array([[2.0, 3, 1, 9]]), 8: jnp.array([[0.0, 4]])}
  deltas = {s: jnp.zeros((1, len(x), 4)) for s, x in anchors.items()}
  propose = compiling.jit(proposals.propose, static_argnums=(4, 5))
  boxes, scores = propose(logits, deltas, anchors, jnp.array([[48, 64]]), 4, 5)
  # The first overlaps the second, the fourth is outside, and one level knows nothing of another.
  np.testing.assert_array_equal(
    boxes[0], [[50, 35, 64, 48], [1, 0, 21, 10], [40, 30, 60, 40], [0, 0, 20, 10], [0, 0, 0, 0]]
  )
  sigmoid = 1 / (1 + np.exp(-np.array([4.0, 3, 1, 0])))
  np.testing.assert_allclose(scores[0, :4], sigmoid, rtol=1e-6)
  assert scores[0, 4] == -np.inf


def test_detections_are_apart_within_a_class_only():
  regions = jnp.array([[[0.0, 0, 20, 10], [1, 0, 21, 10], [30, 5, 60, 25], [40, 0, 50, 40]]])
  likely = np.array([[0.1, 0.6, 0.3], [0.2, 0.75, 0.05], [0.97, 0.02, 0.01], [0.5, 0.1, 0.4]])
  found = compiling.jit(detections.detect, static_argnums=5)(
    jnp.log(jnp.asarray(likely, jnp.float32))[None],
    jnp.zeros((1, 4, 3, 4)),
    regions,
    jnp.array([[True, True, True, False]]),
    jnp.array([[48, 15]]),
    6,
  )
  # By class: 0.75 removes 0.6; 0.3 of the other class stays, 0.05 is not above it; what is no proposal
  # or unlikely is none.
  np.testing.assert_allclose(found.scores[0], [0.75, 0.3, 0, 0, 0, 0], rtol=1e-5)
  assert found.labels[0].tolist() == [0, 1, 0, 0, 0, 0]
  np.testing.assert_array_equal(found.boxes[0, :3], [[1, 0, 15, 10], [0, 0, 15, 10], [0, 0, 0, 0]])
