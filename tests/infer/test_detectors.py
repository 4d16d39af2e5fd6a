"""A detector's run in use: whole pictures in, boxes out, and people for a pose net to look into."""

import json
import os

import cv2
import numpy as np
import pytest

from posejax.data.sources import detections
from posejax.data.synthetic.scenes import SyntheticScenes
from posejax.errors import PosejaxError
from posejax.infer import annotate, box_files, detectors
from posejax.infer.frames import inputs
from posejax.infer.predictor import Predictor
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from tests import tiny

PERSON = 0


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  workdir = str(tmp_path_factory.mktemp('detector') / 'run')
  train(tiny.detection(), workdir)
  return workdir


@pytest.fixture(scope='module')
def predictor(run):
  return Predictor.load(run, 'latest', threshold=0.0)


@pytest.fixture(scope='module')
def scenes():
  source = SyntheticScenes('eval')
  return [source[i] for i in range(6)]


@pytest.fixture(scope='module')
def written(run):
  evaluate_workdir(run, 'latest')
  return os.path.join(run, 'eval-2-detections.json')


def test_the_predictor_finds_what_the_evaluation_wrote(predictor, scenes, written):
  with open(written) as file:
    rows = json.load(file)
  assert len(rows) > 20
  for i, result in enumerate(predictor([scene['image'] for scene in scenes])):
    assert result.image_hw == (192, 256)
    people = [one for one in result.instances if one.label == PERSON]
    expected = [row for row in rows if row['image_id'] == i]
    assert len(people) == len(expected)
    for one, row in zip(people, expected, strict=True):
      x, y, w, h = row['bbox']
      # Boxes here lie on outermost pixels; very thin ones have one all the same.
      box = [x, y, max(x + w - 1, x), max(y + h - 1, y)]
      np.testing.assert_allclose(one.box, np.clip(box, 0, [255, 191, 255, 191]), atol=1e-2)
      assert one.score == pytest.approx(row['score'], abs=1e-5)
      assert one.keypoints is None


def test_what_was_written_is_read_wherever_boxes_are_taken(written):
  read = detections.read(written, range(6))
  assert not any(read.left_out.values())
  boxes, scores = box_files.read(written).of('3.jpg')
  mine = [i for i, number in enumerate(read.image_ids) if number == 3]
  np.testing.assert_allclose(boxes, read.boxes[mine], atol=1e-4)
  np.testing.assert_allclose(scores, read.scores[mine])


def test_a_pose_net_looks_into_the_people_found(run, tiny_run, predictor, scenes):
  image = scenes[1]['image']
  # The best checkpoint is the only evaluated one, the latest.
  finder = detectors.create(run, threshold=0.02)
  boxes, scores = finder(image)
  sure = [one for one in predictor(image).instances if one.label == PERSON and one.score >= 0.02]
  np.testing.assert_allclose(boxes, np.reshape([one.box for one in sure], (-1, 4)), atol=1e-4)
  poses = Predictor.load(tiny_run, 'latest', detector=finder)(image)
  assert len(poses.instances) == len(boxes)
  direct = Predictor.load(tiny_run, 'latest')(image, boxes, scores)
  for a, b in zip(poses.instances, direct.instances, strict=True):
    np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-4)


def test_pictures_become_boxes_on_disk(predictor, scenes, tmp_path):
  folder, out = tmp_path / 'pictures', tmp_path / 'out'
  folder.mkdir()
  cv2.imwrite(str(folder / '000007.png'), scenes[1]['image'][..., ::-1])
  summary = annotate.annotate(
    inputs.expand([str(folder)]), predictor, annotate.Options(str(out), csv=True)
  )
  assert summary.frames == 1
  assert not summary.faults
  with open(out / 'predictions.json') as file:
    entries = json.load(file)
  result = predictor(scenes[1]['image'])
  assert len(entries) == len(result.instances) == summary.people
  for entry, one in zip(entries, result.instances, strict=True):
    assert (entry['image_id'], entry['category_id']) == (
      7,
      predictor.labels.category_ids[one.label],
    )
    x1, y1, x2, y2 = one.box
    np.testing.assert_allclose(entry['bbox'], [x1, y1, x2 - x1 + 1, y2 - y1 + 1], rtol=1e-5)
  drawn = cv2.imread(str(out / '000007.jpg'))
  assert np.abs(drawn[..., ::-1].astype(int) - scenes[1]['image']).max() > 50


def test_a_detector_takes_no_boxes_and_no_detector(run, predictor, scenes, tiny_run, tmp_path):
  image = scenes[0]['image']
  with pytest.raises(PosejaxError, match='no boxes'):
    predictor(image, np.array([[0, 0, 9, 9]]))
  with pytest.raises(PosejaxError, match='by itself'):
    Predictor.load(run, 'latest', detector=lambda image: None)
  boxes = box_files.BoxFile('boxes.json', {}, {}, True)
  with pytest.raises(PosejaxError, match=r'leave --boxes=boxes\.json out'):
    annotate.annotate([], predictor, annotate.Options(str(tmp_path / 'out'), boxes=boxes))
  with pytest.raises(PosejaxError, match='has no heatmaps to show; leave --heatmaps out'):
    annotate.annotate([], predictor, annotate.Options(str(tmp_path / 'out'), heatmaps=True))
  with pytest.raises(PosejaxError, match='is no detector'):
    detectors.create(tiny_run)
  with pytest.raises(PosejaxError, match="There is no run at 'nonodet'.*Did you mean 'nanodet'"):
    detectors.create('nonodet')
