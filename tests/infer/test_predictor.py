"""From pictures to people: a trained run in use, against its net and its crops taken by hand."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import jax
import numpy as np
import pytest

import posejax
from posejax import experiment
from posejax.config import Config, resolve
from posejax.data.synthetic.film import DrawnFilm
from posejax.errors import PosejaxError
from posejax.infer.predictor import Predictor
from posejax.infer.runtimes.base import MAX_BATCH
from posejax.runs import checkpoint, saved_run
from posejax.train import loop
from tests import compiling
from tests.infer import finder
from tests.tasks.classification.test_task import config as digits_config
from tests.web import beacons

_TINY_ASPECT = 24 / 32  # of the crops of tests.tiny


@pytest.fixture(scope='module')
def predictor(tiny_run):
  return Predictor.load(tiny_run, 'latest')


@pytest.fixture(scope='module')
def frames():
  """Two pictures of different sizes, neither square, and boxes of people on them."""
  found = []
  for seed, shape in ((0, (150, 260)), (1, (170, 110))):
    frame = DrawnFilm(seed, 1, shape, people=3)[0]
    found.append((frame['image'], frame['boxes']))
  return found


def by_hand(tiny_run, image, box):
  """Return keypoints in the picture and scores, by the run's net on the crop as its recipe has it.

  The box is brought to 24:32, grown by 1.25, and its middle comes to (12, 16), as 'msra' crops have it.
  """
  run = saved_run.read(tiny_run, 'latest')
  _, task = experiment.build(run.config, run.labels)
  x1, y1, x2, y2 = (float(v) for v in box)
  width = max(x2 - x1, (y2 - y1) * _TINY_ASPECT) * 1.25
  scale = 24 / width
  move = np.array([12 - scale * (x1 + x2) / 2, 16 - scale * (y1 + y2) / 2])
  matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
  crop = cv2.warpAffine(image, matrix, (24, 32), flags=cv2.INTER_LINEAR)
  found = compiling.jit(task.infer)(run.variables, crop[None])
  return (np.asarray(found['keypoints_crop'])[0] - move) / scale, np.asarray(found['scores'])[0]


def assert_same(result, other, atol=1e-3):
  assert result.image_hw == other.image_hw
  assert len(result.instances) == len(other.instances)
  for one, two in zip(result.instances, other.instances, strict=True):
    np.testing.assert_allclose(one.keypoints, two.keypoints, atol=atol)
    np.testing.assert_allclose(one.keypoint_scores, two.keypoint_scores, atol=1e-5)
    np.testing.assert_array_equal(one.box, two.box)
    assert one.score == pytest.approx(two.score, abs=1e-5)


# In the middle, at the border, partly outside on each side, and larger than the picture.
@pytest.mark.parametrize(
  'box',
  [
    (90, 30, 140, 130.5),
    (0, 0, 60, 149),
    (-40, 20, 30, 120),
    (220, -30, 300, 90),
    (-20, -20, 300, 200),
  ],
)
def test_keypoints_are_the_nets_in_pixels_of_the_picture(predictor, tiny_run, frames, box):
  image, _ = frames[0]
  result = predictor(image, [box])
  assert result.image_hw == (150, 260)
  (one,) = result.instances
  points, scores = by_hand(tiny_run, image, box)
  np.testing.assert_allclose(one.keypoints, points, atol=1e-2)
  np.testing.assert_allclose(one.keypoint_scores, np.clip(scores, 0, 1), atol=1e-5)
  np.testing.assert_array_equal(one.box, np.float32(box))
  np.testing.assert_array_equal(one.visible, one.keypoint_scores >= predictor.threshold)
  assert (one.label, one.track_id) == (0, None)
  assert 0 <= one.score <= 1


def test_without_boxes_the_whole_picture_is_one_persons(predictor, tiny_run, frames):
  for image, _ in frames:
    h, w = image.shape[:2]
    (one,) = predictor(image).instances
    whole = (0, 0, w - 1, h - 1)
    np.testing.assert_allclose(one.keypoints, by_hand(tiny_run, image, whole)[0], atol=1e-2)
    np.testing.assert_array_equal(one.box, whole)


def test_without_boxes_it_looks_closer_where_somebody_is():
  net = finder.predictor()
  truth = beacons.figure(430, 80, 260)
  images = [
    beacons.paint(hw, figures, radius=9)
    for hw, figures in (((420, 640), [truth]), ((200, 300), []), ((420, 640), [truth]))
  ]
  results = net(images)
  (whole,) = net(images[0], [[0, 0, 639, 419]]).instances
  for result in (results[0], results[2], net(images[0])):
    (one,) = result.instances
    assert np.abs(one.keypoints - truth).max() < 1 < np.abs(whole.keypoints - truth).max()
    # The person's box: an eighth more to each side than the keypoints have.
    middle, half = (truth.max(0) + truth.min(0)) / 2, np.ptp(truth, 0) * 1.25 / 2
    np.testing.assert_allclose(one.box, [*(middle - half), *(middle + half)], atol=3)
  # Nobody is there: what was looked at is all of it.
  np.testing.assert_array_equal(results[1].instances[0].box, [0, 0, 299, 199])
  assert not results[1].instances[0].visible.any()
  # A box that is given is looked at once.
  (given,) = net(images[0], [[380, 60, 520, 360]]).instances
  np.testing.assert_array_equal(given.box, [380, 60, 520, 360])


def test_several_pictures_are_read_as_one_by_one(predictor, frames):
  images, boxes = zip(*frames, strict=True)
  together = predictor(images, boxes)
  alone = [predictor(image, found) for image, found in frames]
  for one, two in zip(together, alone, strict=True):
    assert_same(one, two)
  # More people than go through the net at once, of which some boxes are not given.
  many = [*images, *images] * 4
  some = [*boxes, None, boxes[1]] * 4
  assert sum(1 if b is None else len(b) for b in some) > MAX_BATCH
  results = predictor(many, some)
  assert len(results) == 16
  for number, result in enumerate(results):
    expected = predictor(many[number]) if some[number] is None else alone[number % 2]
    assert_same(result, expected)
  assert predictor([]) == []


def test_a_score_is_the_boxes_times_the_keypoints(predictor, frames):
  image, boxes = frames[0]
  sure = predictor(image, boxes)
  half = predictor(image, boxes, np.full(len(boxes), 0.5))
  for one, two in zip(sure.instances, half.instances, strict=True):
    assert two.score == pytest.approx(one.score / 2)
  scores = [one.score for one in sure.instances]
  assert scores == sorted(scores, reverse=True)


def test_sums_of_scores_rank_boxes_and_are_no_more_than_one():
  config = Config(
    task={'name': 'pose', 'crop_size': (64, 48)},
    model={'name': 'regression_cnn', 'sigmas': True, 'features': (4, 6), 'hidden': 8},
    codec={'name': 'regression'},
    loss={'name': 'rle'},
  )
  made = experiment.from_config(resolve(config))
  variables = jax.jit(made.task.init)(jax.random.key(0))
  predictor = Predictor(made.task, variables)
  image, boxes = np.zeros((60, 90, 3), np.uint8), np.tile(np.float32([[5, 5, 40, 50]]), (3, 1))
  result = predictor(image, boxes, [0.5, 0.05, 0.9])
  scores = [one.score for one in result.instances]
  assert 1 > scores[0] > scores[1] > scores[2] > 0
  np.testing.assert_allclose(np.diff(scores), [-0.4 / 3, -0.45 / 3], atol=1e-6)


def test_a_net_that_gives_no_numbers_is_told_of(tiny_run, frames):
  image, boxes = frames[0]
  broken = Predictor.load(tiny_run, 'latest')
  broken = Predictor(broken.task, jax.tree.map(lambda a: a * np.nan, broken.pipeline.variables))
  with pytest.raises(PosejaxError, match='net gave .*scores that are no numbers'):
    broken(image, boxes[:1])  # of several at once XLA's fast maxima on CPUs may hide it


def test_nobody_is_an_empty_result(predictor, frames):
  image, boxes = frames[0]
  for none in ([], np.zeros((0, 4))):
    assert predictor(image, none).instances == ()
  first, second = predictor([image, image], [[], boxes])
  assert (len(first.instances), len(second.instances)) == (0, len(boxes))


def test_a_detector_finds_the_boxes_that_are_not_given(predictor, frames):
  (image, boxes), (other, other_boxes) = frames
  asked = []

  def detect(picture):
    asked.append(picture.shape)
    return other_boxes, np.full(len(other_boxes), 0.9)

  results = predictor([image, other], [boxes, None], detector=detect)
  assert asked == [other.shape]
  assert_same(results[0], predictor(image, boxes))
  assert_same(results[1], predictor(other, other_boxes, np.full(len(other_boxes), 0.9)))


@pytest.mark.parametrize(
  ('image', 'message'),
  [
    (np.zeros((20, 30), np.uint8), r'Picture 1 is uint8 \(20, 30\); expected uint8 \[h, w, 3\]'),
    (np.zeros((20, 30, 3), np.float32), 'Picture 1 is float32'),
    (np.zeros((20, 30, 4), np.uint8), 'Picture 1 is uint8'),
    (np.zeros((0, 30, 3), np.uint8), 'Picture 1 is uint8'),
    ('people.jpg', 'Picture 1 is str; .*posejax.read_picture reads files'),
  ],
)
def test_what_is_no_picture_is_refused(predictor, frames, image, message):
  with pytest.raises(PosejaxError, match=message):
    predictor([frames[0][0], image])


def test_an_array_may_be_one_picture_or_several(predictor):
  with pytest.raises(PosejaxError, match=r'Picture 0 is uint8 \(20, 30\)'):
    predictor(np.zeros((20, 30), np.uint8))
  assert [r.image_hw for r in predictor(np.zeros((2, 20, 30, 3), np.uint8))] == [(20, 30)] * 2


@pytest.mark.parametrize(
  ('box', 'message'),
  [
    ([300, 10, 340, 90], r'Box 1 of picture 1, \[300.*lies outside the picture of 260x150 pixels'),
    ([10, -50, 90, -20], 'lies outside'),
    ([10, 10, float('nan'), 90], 'Box 1 of picture 1 is .*nan.*finite'),
    ([90, 10, 20, 90], 'x1 <= x2'),
  ],
)
def test_boxes_that_cannot_be_are_named(predictor, frames, box, message):
  image, _ = frames[0]
  with pytest.raises(PosejaxError, match=message):
    predictor([image, image], [None, [[0, 0, 50, 50], box]])


@pytest.mark.parametrize(
  ('boxes', 'scores', 'message'),
  [
    ([1, 2, 3, 4], None, r'Boxes of picture 0 are \(4,\)'),
    ([[1, 2, 3]], None, r'\(1, 3\)'),
    ([[1, 2, 3, 4]], [0.5, 0.5], r'scores \(2,\)'),
    ([[1, 2, 3, 4], [5, 6]], None, r'Boxes of picture 0 .*\[N, 4\]'),
    ('here', None, r'Boxes of picture 0 .*\[N, 4\]'),
  ],
)
def test_boxes_of_another_form(predictor, frames, boxes, scores, message):
  with pytest.raises(PosejaxError, match=message):
    predictor(frames[0][0], boxes, scores)


def test_boxes_for_another_number_of_pictures(predictor, frames):
  (image, boxes), _ = frames
  with pytest.raises(PosejaxError, match='1 sets of boxes for 2 pictures'):
    predictor([image, image], [boxes])
  with pytest.raises(PosejaxError, match='3 sets of scores for 1 pictures'):
    predictor([image], [boxes], [None] * 3)


def test_heat_is_where_the_net_looks(predictor, frames):
  image, _ = frames[0]
  box = np.array([180, 20, 230, 120])
  heat = predictor.heat(image, predictor(image, [box]))
  assert (heat.shape, heat.dtype) == ((150, 260), np.float32)
  assert 0 <= heat.min() <= heat.max() <= 1
  assert heat.max() > 0
  assert heat[:, :120].max() == 0  # far from the box


def test_every_runtime_finds_the_same(predictor, tiny_run, frames):
  images, boxes = zip(*frames, strict=True)
  expected = predictor(images, boxes)
  for runtime in ('onnx', 'openvino'):
    pytest.importorskip({'onnx': 'onnxruntime'}.get(runtime, runtime))
    other = Predictor.load(tiny_run, 'latest', runtime=runtime)
    for one, two in zip(other(images, boxes), expected, strict=True):
      assert_same(one, two, atol=2e-2)


def test_a_classifier_tells_what_a_picture_shows(tmp_path, frames):
  loop.train(Config.from_dict({**digits_config().to_dict(), 'num_steps': 1}), str(tmp_path))
  predictor = Predictor.load(str(tmp_path))
  image = frames[0][0]
  result, part = predictor(image), predictor(image, [[20, 30, 90, 60]])
  assert predictor.labels.class_names == tuple('0123456789')
  run = saved_run.read(str(tmp_path), 'latest')
  _, task = experiment.build(run.config, run.labels)
  for found, (x1, y1, x2, y2) in ((result, (0, 0, 259, 149)), (part, (20, 30, 90, 60))):
    (one,) = found.instances
    assert (one.keypoints, one.keypoint_scores, one.visible) == (None, None, None)
    # Corners on corners.
    corners = np.float32([[x1, y1], [x2, y1], [x1, y2]]), np.float32([[0, 0], [31, 0], [0, 31]])
    crop = cv2.warpAffine(
      image, cv2.getAffineTransform(*corners), (32, 32), borderMode=cv2.BORDER_REFLECT_101
    )
    scores = np.asarray(task.infer(run.variables, crop[None])['scores'])[0]
    assert one.label == scores.argmax()
    assert one.score == pytest.approx(float(scores.max()), abs=0.02)
  with pytest.raises(PosejaxError, match='has no heatmaps'):
    predictor.heat(image, result)


_ALONE = """
import sys
import numpy as np
import posejax
assert 'jax' not in sys.modules
predictor = posejax.Predictor.load(sys.argv[1])
predictor(np.zeros((40, 60, 3), np.uint8))
parts = {name.split('.')[0] for name in sys.modules} | {'.'.join(n.split('.')[:2]) for n in sys.modules}
print(sorted(parts & {'tensorflow', 'clu', 'matplotlib', 'optax', 'posejax.train', 'flask', 'av'}))
import gc, jax
state = [a for a in jax.live_arrays()]
print(sum(a.nbytes for a in state))
"""


def test_using_a_net_needs_nothing_of_training(tiny_run):
  done = subprocess.run(
    [sys.executable, '-c', _ALONE, tiny_run], capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr[-2000:]
  modules, held = done.stdout.splitlines()[-2:]
  assert modules == '[]'
  # No optimiser: what lies on the device is the net, and little beside it.
  net = sum(a.nbytes for a in jax.tree.leaves(checkpoint.restore_variables(tiny_run)))
  assert net <= int(held) < 1.2 * net + 10_000


def test_runs_that_are_not_there(tmp_path, tiny_run):
  with pytest.raises(PosejaxError, match='There is no run at .*nowhere.*main.py'):
    Predictor.load(str(tmp_path / 'nowhere'))
  with pytest.raises(PosejaxError, match='There is no checkpoint'):
    Predictor.load(str(tmp_path))
  with pytest.raises(PosejaxError, match='no checkpoint of step 77'):
    Predictor.load(tiny_run, '77')
  with pytest.raises(PosejaxError, match="'bset'|bset must be"):
    Predictor.load(tiny_run, 'bset')
  with pytest.raises(PosejaxError, match='--runtime=onx'):
    Predictor.load(tiny_run, runtime='onx')
  with pytest.raises(AttributeError, match='Predictor'):
    posejax.Predicter  # noqa: B018


def as_version_01(workdir):
  """Rewrite a run's checkpoints and config as version 0.1 wrote them."""
  paths = [os.path.join(workdir, 'config.json')]
  folder = checkpoint.folder(workdir)
  paths += [os.path.join(folder, step, 'meta', 'metadata') for step in os.listdir(folder)]
  for path in paths:
    with open(path) as file:
      values = json.load(file)
    config = values.get('config', values)
    task = config.pop('task')
    config['task'] = task['name']
    config['data'] |= {'crop_size': task['crop_size'], 'box_padding': 1.25}
    config['data'] |= {'eval_annotations': '', 'eval_images': ''}
    config['data'].pop('eval', None)
    config['evaluate'] |= {'flip': True, 'shift': None}
    config.pop('evaluations', None)
    if 'labels' in values:
      values['skeleton'] = values.pop('labels')['skeleton']
    with open(path, 'w') as file:
      json.dump(values, file)


def test_a_run_of_version_01_is_read(tiny_run, predictor, frames, tmp_path):
  run = shutil.copytree(tiny_run, tmp_path / 'old')
  as_version_01(str(run))
  old = Predictor.load(str(run), 'latest')
  assert old.labels == predictor.labels
  image, boxes = frames[0]
  assert_same(old(image, boxes), predictor(image, boxes), atol=0)
