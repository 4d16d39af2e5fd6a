"""A two-stage detector as a task: what the Predictor finds by it."""

import jax
import numpy as np
import pytest

from posejax import experiment
from posejax.infer.predictor import Predictor
from tests import test_configs


@pytest.fixture(scope='module')
def untrained():
  """Return the tiny Keypoint R-CNN's task and variables, untrained."""
  config = test_configs.load('detect_keypoint_rcnn', 'smoke')
  source = experiment.TASKS['detection'].source(config.data, 'train', 0)
  labels = experiment.TASKS['detection'].labels(source)
  _, task = experiment.build(config, labels)
  return task, jax.jit(task.init)(jax.random.key(0))


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
