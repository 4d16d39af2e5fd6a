"""The net that comes with the package."""

import os

import cv2
import numpy as np
import pytest

from posejax import cli, skeletons
from posejax.data.builders import matlab
from posejax.data.synthetic.people import SyntheticPeople
from posejax.geometry import boxes as box_geometry
from posejax.infer.predictor import Predictor
from posejax.runs import net_file
from posejax.weights import get
from posejax.weights.published import SHIPPED

MAX_BYTES = 3_000_000


@pytest.fixture(scope='module')
def net():
  return Predictor.load(SHIPPED)


def test_it_is_small_and_says_what_it_is():
  path = get.path(SHIPPED)
  assert os.path.getsize(path) <= MAX_BYTES
  saved = net_file.read(path)
  assert saved.labels.skeleton == skeletons.COCO
  assert saved.name.startswith(SHIPPED)


def test_predict_takes_it_where_there_is_no_run(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  cv2.imwrite('someone.png', SyntheticPeople(split='eval', seed=0)[0]['image'])
  assert cli.main(['predict', 'someone.png', '--no_overlays']) == 0
  assert capsys.readouterr().out.startswith(f'{SHIPPED}: ')


def test_it_finds_real_people(net, real_data):
  """PCK@0.20 by the longer side of the box, of people who were not learnt from."""
  joints = matlab.load(os.path.join(real_data, 'lspet', 'joints.mat'), 'joints').transpose(2, 0, 1)
  lsp, coco = skeletons.LSP, skeletons.COCO
  shared = [(i, coco.index(n)) for i, n in enumerate(lsp.keypoints) if n in coco.keypoints]
  here, there = (list(column) for column in zip(*shared, strict=True))
  hits = []
  for number in range(5400, 5440):
    path = os.path.join(real_data, 'lspet', 'images', f'im{number + 1:05d}.jpg')
    image = cv2.imread(path)[..., ::-1].copy()
    h, w = image.shape[:2]
    points, visible = joints[number, :, :2].astype(np.float32), joints[number, :, 2] > 0
    visible &= ((points >= 0) & (points <= (w - 1, h - 1))).all(-1)
    box = box_geometry.box_from_keypoints(points, visible)
    (person,) = net(image, box[None]).instances
    distance = np.linalg.norm(person.keypoints[there] - points[here], axis=-1)
    hits += (distance <= 0.2 * (box[2:] - box[:2]).max())[visible[here]].tolist()
  assert np.mean(hits) > 0.6
