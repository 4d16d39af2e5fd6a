"""Published nets in use, by weights of the same shapes in a cache of their own; and the boxes' frames."""

import json
import os
import pathlib

import cv2
import numpy as np
import pytest

from posejax import cli
from posejax.codecs import nanodet as nanodet_codec
from posejax.errors import PosejaxError
from posejax.infer import nanodet
from posejax.infer.predictor import Predictor
from posejax.runs import nets
from posejax.weights import published as pins
from tests import published_files
from tests.goldens import seeded_movenet

GOLDENS = pathlib.Path(__file__).parents[1] / 'goldens'


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  folder = tmp_path_factory.mktemp('weights')
  with pytest.MonkeyPatch.context() as patch:
    published_files.few_blocks(patch)
    published_files.use(patch, folder, 'lightning', 'multipose')
    with np.load(GOLDENS / 'nanodet_g.npz') as file:
      shapes = json.loads(file['shapes'].tobytes())
    tensors = seeded_movenet.weights(shapes)
    patch.setitem(pins.PUBLISHED, 'nanodet', published_files.write(folder, tensors, 'nanodet-g'))
    yield folder


@pytest.fixture(scope='module')
def lightning(cache):
  return Predictor.load('movenet_lightning')


def picture(h, w):
  return np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8)


def test_a_published_net_is_a_predictor(lightning):
  assert (lightning.name, lightning.threshold) == ('MoveNet lightning', 0.3)
  assert lightning.task.input_size == (192, 192)
  assert lightning.task.taken == 'noflip'
  assert lightning.labels.keypoints[0] == 'nose'
  box = np.array([[30.0, 20.0, 90.0, 130.0]])
  (instance,) = lightning(picture(150, 220), box).instances
  assert np.isfinite(instance.keypoints).all()
  assert instance.keypoints.shape == (17, 2)


def test_by_a_long_reach_every_keypoint_is_in_its_likeliest_cell(cache, lightning):
  box = np.array([[30.0, 20.0, 90.0, 130.0]])
  (usual,) = lightning(picture(150, 220), box).instances
  far = Predictor.of(nets.read('movenet_lightning').changed('codec', reach=1e6))
  (free,) = far(picture(150, 220), box).instances
  assert (free.keypoint_scores >= usual.keypoint_scores - 1e-6).all()
  assert (free.keypoint_scores > usual.keypoint_scores + 1e-3).any()


def test_a_detector_that_a_predictor_carries_says_where_to_look(lightning, monkeypatch):
  image = picture(150, 220)
  boxes = np.array([[100.0, 20, 180, 140]], np.float32)
  monkeypatch.setattr(lightning, 'detector', lambda shown: (boxes, np.array([0.6])))
  (found,) = lightning(image).instances
  np.testing.assert_array_equal(found.box, boxes[0])
  given_box = boxes - 10
  (found,) = lightning(image, given_box).instances
  np.testing.assert_array_equal(found.box, given_box[0])
  monkeypatch.setattr(lightning, 'detector', lambda shown: (boxes[:0], np.zeros(0)))
  assert not lightning(image).instances


def test_boxes_of_a_detector_lie_in_the_picture(cache, monkeypatch):
  """Whatever the net says of a cell is moved to where the picture was put."""
  asked = {}

  def select(boxes, scores, threshold):
    asked['shape'] = boxes.shape, scores.shape
    # The corners of a picture of 100 x 300 that fills the width of 416 x 416: 1.38667 as large.
    corners = [[-0.5, 138.16667, 415.5, 276.83333], [103.5, 200.0, 207.5, 250.0]]
    return np.array(corners), np.array([0.9, 0.5])

  monkeypatch.setattr(nanodet_codec, 'select', select)
  boxes, scores = nanodet.detector()(picture(100, 300))
  assert asked['shape'] == ((3549, 4), (3549,))
  np.testing.assert_allclose(boxes[0], [0, 0, 299, 99], atol=1e-3)
  # (103.5 + 0.5) * 300 / 416 - 0.5 and the like.
  np.testing.assert_allclose(boxes[1, [0, 2]], [74.5, 149.5], atol=1e-3)
  assert scores.tolist() == [0.9, 0.5]


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (['--model=movenet_lightning', '--workdir=RUN'], 'give either'),
    (['--model=movenet_lightning', '--checkpoint=latest'], 'give either'),
    (['--model=movenet_thunder'], '`posejax weights get movenet_thunder`'),
    (['--detector=nanodet', '--boxes=boxes.json'], '--boxes and --detector'),
    (
      ['--detector=nanodet', '--model=movenet_multipose'],
      'finds everything on a picture by itself',
    ),
  ],
)
def test_what_cannot_be_is_said(words, message, cache, tmp_path, capsys):
  path = str(tmp_path / 'one.png')
  cv2.imwrite(path, picture(20, 30))
  assert cli.main(['predict', path, f'--out={tmp_path / "out"}', *words]) == 2
  assert message in capsys.readouterr().err


def test_weights_of_another_net_under_the_name_are_refused(cache, monkeypatch):
  monkeypatch.setitem(pins.PUBLISHED, 'movenet_thunder', pins.PUBLISHED['movenet_lightning'])
  with pytest.raises(PosejaxError, match='MoveNet lightning; the model differs'):
    Predictor.load('movenet_thunder')


def test_predict_with_a_published_net_and_detector(cache, tmp_path, capsys, lightning):
  folder = tmp_path / 'in'
  folder.mkdir()
  cv2.imwrite(str(folder / 'one.png'), picture(60, 90))
  out = tmp_path / 'out'
  words = [str(folder), f'--out={out}', '--model=movenet_lightning', '--detector=nanodet']
  code = cli.main(['predict', *words])
  output = capsys.readouterr().out
  assert code == 0
  assert 'movenet_lightning: MoveNet lightning; XLA' in output
  assert '1 pictures or frames' in output
  assert os.path.exists(out / 'one.jpg')
