"""Everybody on a picture at once: MultiPose through the Predictor, the commands and files."""

import dataclasses
import json

import cv2
import jax
import numpy as np
import pytest

from posejax import cli, devices, experiment
from posejax.codecs import movenet_multi
from posejax.config import DataConfig, resolve
from posejax.data.batches import EvalBatches
from posejax.errors import PosejaxError
from posejax.infer import annotate
from posejax.infer.export import files
from posejax.infer.frames import inputs
from posejax.infer.predictor import Predictor
from posejax.infer.results import to_dict
from posejax.models import movenet
from posejax.runs import published_nets
from posejax.train.step import build
from tests import compiling, published_files
from tests.infer.frames import drawn


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    published_files.few_blocks(patch)
    published_files.use(patch, tmp_path_factory.mktemp('weights'), 'multipose')
    yield


@pytest.fixture(scope='module')
def multipose():
  return Predictor.load('movenet_multipose', min_score=0.0)


def picture(h, w):
  soft = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
  return cv2.resize(soft, (w, h), interpolation=cv2.INTER_CUBIC)


def test_people_are_those_of_the_decoding_in_pixels_of_the_picture(multipose):
  image = picture(96, 128)
  result = multipose(image)
  # Twice as large, and 32 rows of nothing above and below.
  matrix = np.array([[2, 0, 0.5], [0, 2, 0.5]])
  larger = cv2.warpAffine(image, matrix, (256, 192), borderMode=cv2.BORDER_REPLICATE)
  fitted = np.pad(larger, [(32, 32), (0, 0), (0, 0)])
  variables = published_nets.read('movenet_multipose').variables
  apply = compiling.jit(movenet.posejax_movenet('multipose').apply)
  outputs = apply(variables, fitted[None] / 127.5 - 1)
  found = jax.device_get(movenet_multi.decode_multi(outputs))
  # Edges of boxes, half a pixel beside pixels' centres, within the picture.
  edges = (found['boxes_crop'][0] + 0.5).reshape(-1, 2, 2)
  edges = np.clip((edges - [0, 32]) / 2, 0, [128, 96])
  there = (edges[:, 1] > edges[:, 0]).all(1)  # these weights are nobody's: one box is empty
  order = [i for i in np.argsort(-found['scores'][0], kind='stable') if there[i]]
  assert len(result.instances) == len(order) == 5
  scores = [one.score for one in result.instances]
  assert scores == sorted(scores, reverse=True)
  assert len(set(scores)) == 5
  for instance, i in zip(result.instances, order, strict=True):
    assert instance.score == pytest.approx(found['scores'][0, i], abs=1e-5)
    back = (found['keypoints_crop'][0, i] - [0.5, 32.5]) / 2
    np.testing.assert_allclose(instance.keypoints, back, atol=0.02)
    np.testing.assert_allclose(instance.keypoint_scores, found['keypoint_scores'][0, i], atol=1e-5)
    assert instance.visible.tolist() == (instance.keypoint_scores >= 0.3).tolist()
    outermost = edges[i] - [[0, 0], [1, 1]]
    np.testing.assert_allclose(instance.box.reshape(2, 2), outermost, atol=0.05)
  entry = to_dict(result, multipose.labels)['instances'][1]
  assert entry['label'] == 'person'
  assert len(entry['keypoints']) == 17


def test_who_scores_less_is_nobody_and_boxes_are_refused(multipose, monkeypatch):
  image = picture(90, 150)
  scores = [one.score for one in multipose(image).instances]
  monkeypatch.setattr(multipose, 'min_score', (scores[1] + scores[2]) / 2)
  assert [one.score for one in multipose(image).instances] == scores[:2]
  assert len(multipose([image, image])) == 2
  with pytest.raises(PosejaxError, match='no boxes and no detector'):
    multipose(image, np.array([[10.0, 20, 40, 80]]))


def test_who_is_found_on_a_picture_is_on_a_film(multipose, monkeypatch, tmp_path):
  run = multipose._run
  halved = lambda inputs: {k: v * (0.4 if k == 'scores' else 1) for k, v in run(inputs).items()}  # noqa: E731
  monkeypatch.setattr(multipose, '_run', halved)
  monkeypatch.setattr(multipose, 'min_score', 0.15)
  image = picture(90, 150)
  found = multipose(image).instances
  assert max(one.score for one in found) < 0.3
  film = drawn.film(tmp_path / 'film.mp4', [0, 0.04, 0.08], image_fn=lambda step: image)
  options = annotate.Options(str(tmp_path / 'out'), overlays=False)
  summary = annotate.annotate(inputs.expand([film]), multipose, options)
  assert (summary.frames, summary.faults) == (3, [])
  entries = json.loads((tmp_path / 'out' / 'film.json').read_text())
  assert {entry['image_id'] for entry in entries} == {0, 1, 2}
  assert min(entry['score'] for entry in entries) < 0.3


def test_what_is_looked_at_can_be_drawn(multipose):
  image = picture(60, 90)
  heat = multipose.heat(image, multipose(image))
  assert heat.shape == (60, 90)
  assert 0 <= heat.min() < heat.max() <= 1


def test_predict_writes_everybody(tmp_path, capsys):
  folder = tmp_path / 'in'
  folder.mkdir()
  cv2.imwrite(str(folder / 'one.png'), picture(60, 90))
  out = tmp_path / 'out'
  words = ['predict', str(folder), f'--out={out}', '--model=movenet_multipose', '--heatmaps']
  assert cli.main(words) == 0
  assert 'MoveNet multipose; XLA' in capsys.readouterr().out
  entries = json.loads((out / 'predictions.json').read_text())
  assert all(len(entry['keypoints']) == 51 for entry in entries)
  assert (out / 'one.jpg').exists()


def test_an_exported_file_answers_as_the_net_does(multipose, tmp_path):
  pytest.importorskip('onnxruntime', reason="needs pip install 'posejax[export]'")
  agreement = files.write_onnx(str(tmp_path / 'net.onnx'), multipose.pipeline)
  assert agreement.num_keypoints == 4 * 6 * (17 + 2)  # and two corners of a box


def test_what_would_not_work_is_not_exported(tmp_path, capsys):
  words = ['--model=movenet_multipose', '--format=web', f'--out={tmp_path / "page"}']
  assert cli.main(['export', *words]) == 2
  assert 'plain onnx, tflite and stablehlo files' in capsys.readouterr().err
  assert not (tmp_path / 'page').exists()


def test_a_detector_is_not_needed_and_training_is_refused(multipose):
  with pytest.raises(PosejaxError, match='by itself'):
    Predictor.load('movenet_multipose', detector=lambda image: None)
  net = published_nets.read('movenet_multipose')
  with pytest.raises(PosejaxError, match="'movenet_multipose' are used as they were published"):
    build.training(multipose.task, resolve(net.config), devices.make_mesh(), net.variables)


def test_an_evaluation_sees_what_the_predictor_sees(multipose):
  net = published_nets.read('movenet_multipose')
  data = DataConfig('synthetic_scenes', classes=('person',), num_eval_examples=3)
  config = dataclasses.replace(net.config, data=data, batch_size=4)
  source = experiment.TASKS['detection'].source(data, 'eval', 0)
  evaluate_on = experiment.TASKS['detection'].evaluations(config, multipose.task, source)
  _, evaluator = evaluate_on(source, '')
  batch = EvalBatches(source, multipose.task.transform_eval, 4)(0)
  predictions = jax.device_get(compiling.jit(multipose.task.infer)(net.variables, batch['images']))
  records = evaluator.records(predictions, batch)
  assert [record.index for record in records] == [0, 1, 2]
  for record in records:
    found = multipose(source[record.index]['image']).instances
    found = [one for one in found if one.score > 0]
    assert len(record.boxes) == len(found) > 2
    for box, points, one in zip(record.boxes, record.keypoints, found, strict=True):
      np.testing.assert_allclose(box - [0, 0, 1, 1], one.box, atol=0.02)
      np.testing.assert_allclose(points[:, :2], one.keypoints, atol=0.02)
  assert np.isfinite(evaluator.summarize({}, records)['AP/keypoints'])


def test_people_of_a_film_keep_their_ids(tmp_path):
  pytest.importorskip('av', reason="needs pip install 'posejax[video]'")
  path = tmp_path / 'film.mp4'
  drawn.film(path, [0.0, 0.04, 0.08], image_fn=lambda i: picture(96, 128))
  out = tmp_path / 'out'
  assert cli.main(['predict', str(path), f'--out={out}', '--model=movenet_multipose']) == 0
  entries = json.loads((out / 'film.json').read_text())
  frames = [{e['track_id'] for e in entries if e['image_id'] == number} for number in range(3)]
  assert frames[0]
  assert frames[0] == frames[1] == frames[2]


def test_people_become_pseudo_labels(tmp_path):
  folder = tmp_path / 'in'
  folder.mkdir()
  cv2.imwrite(str(folder / 'one.png'), picture(96, 128))
  out = str(tmp_path / 'pseudo.json')
  words = ['--model=movenet_multipose', f'--images={folder}', f'--out={out}', '--min_score=0.05']
  assert cli.main(['data', 'pseudo-label', *words, '--min_keypoints=1']) == 0
  with open(out) as file:
    made = json.load(file)
  assert made['info']['net'] == 'MoveNet multipose'
  assert 2 < len(made['annotations']) <= 6
