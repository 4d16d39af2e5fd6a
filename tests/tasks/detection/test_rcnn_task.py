"""A two-stage detector as a task: what the Predictor finds by it."""

import functools

import jax
import numpy as np
import pytest

from posejax import devices, experiment
from posejax.infer.predictor import Predictor
from posejax.tasks import Evaluator
from posejax.tasks.detection import measures
from posejax.train import evaluate
from tests import compiling, test_configs


@pytest.fixture(scope='module')
def untrained():
  """Return the tiny Keypoint R-CNN's task and variables, untrained."""
  config = test_configs.load('detect_keypoint_rcnn', 'smoke')
  source = experiment.TASKS['detection'].source(config.data, 'train', 0)
  labels = experiment.TASKS['detection'].labels(source)
  _, task = experiment.build(config, labels)
  return task, compiling.jit(task.init)(jax.random.key(0))


def test_people_are_found_with_their_keypoints(untrained):
  task, variables = untrained
  picture = np.random.default_rng(0).integers(0, 255, (96, 144, 3), np.uint8)
  result = Predictor(task, variables)(picture)
  assert task.finds_all
  # An untrained net takes half of what it looks at for people.
  assert 0 < len(result.instances) <= 20
  for one in result.instances:
    x1, y1, x2, y2 = one.box
    assert 0 <= x1 <= x2 <= 143
    assert 0 <= y1 <= y2 <= 95
    assert 0.3 <= one.score <= 1
    keypoints, scores = np.asarray(one.keypoints), np.asarray(one.keypoint_scores)
    assert keypoints.shape == (17, 2)
    # A keypoint lies in its box; a pixel of the canvas is one and a half of the picture, which fills it.
    assert (keypoints >= np.array([x1, y1]) - 2.1).all()
    assert (keypoints <= np.array([x2, y2]) + 2.1).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_nothing_is_found_in_what_a_picture_leaves_free_of_its_canvas(untrained):
  task, variables = untrained
  picture = np.random.default_rng(1).integers(0, 255, (97, 61, 3), np.uint8)
  nobody = {'keypoints': np.zeros((0, 17, 2)), 'visibility': np.zeros((0, 17), int)}
  arrays = task.transform_eval({'image': picture, **nobody}, np.random.default_rng(0))
  batch = {name: value[None] for name, value in arrays.items()}
  (h, w), (H, W) = batch['image_size'][0], task.input_size
  assert (h, w) == (64, 40)
  assert (H, W) == (64, 96)
  canvas, matrix = task.view(picture, None)
  np.testing.assert_array_equal(canvas, batch['images'][0])
  np.testing.assert_array_equal(measures.filled_size(picture.shape[:2], matrix), (h, w))

  infer = functools.partial(compiling.jit(task.infer), variables, batch['images'])
  whole, filled = (
    {name: np.asarray(value[0]) for name, value in infer(np.array([size])).items()}
    for size in ((H, W), (h, w))
  )
  # Told nothing, the net looks for people in the free part too, and they take others' places.
  assert whole['boxes'][:, 2].max() > w + 1
  assert filled['boxes'][:, 2].max() <= w
  assert (filled['scores'] > 0).sum() > 3

  evaluator = Evaluator(lambda predictions, batch: {}, lambda sums, records: {}, 'AP/box')
  step = evaluate.compile_step(task, evaluator, devices.make_mesh(jax.devices()[:1]))
  evaluated = step(variables, batch)[1]
  for name, value in filled.items():
    np.testing.assert_allclose(evaluated[name][0], value, atol=1e-4)

  shown = Predictor(task, variables, min_score=1e-6)(picture).instances
  boxes = measures.boxes_in_image(filled['boxes'], matrix)[filled['scores'] > 0]
  np.testing.assert_allclose(
    [one.score for one in shown], filled['scores'][: len(boxes)], atol=1e-5
  )
  there = np.clip(boxes, 0, (61, 97, 61, 97))
  np.testing.assert_allclose(np.array([one.box for one in shown])[:, :2], there[:, :2], atol=0.01)
