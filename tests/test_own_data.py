"""Somebody's own keypoints, the corners of a sign: trained, evaluated, moved, edited."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from configs import pose_densenet
from posejax import experiment
from posejax.config import Config
from posejax.data.sources.detections import DetectedPeople
from posejax.errors import PosejaxError
from posejax.metrics import median
from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from tests.data import layouts

CORNERS = ('top_left', 'top_right', 'bottom_right', 'bottom_left')
HW = (96, 128)


def _sign(rng, image):
  """Paint a sign, turned and slanted a little, and return its corners `[4, 2]`."""
  w, h = rng.uniform(20, 34), rng.uniform(14, 24)
  corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
  turn = rng.uniform(-0.3, 0.3)
  corners = corners @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
  corners += rng.uniform((24, 20), (104, 76)) + rng.uniform(-2, 2, (4, 2))
  color = tuple(int(value) for value in rng.integers(60, 255, 3))
  cv2.fillPoly(image, [np.rint(corners).astype(np.int32)], color)
  return corners


def write_signs(folder, number=14, seed=0):
  """Write pictures of signs and their COCO-format file; one sign's lower corner is not labelled."""
  rng = np.random.default_rng(seed)
  dataset = {'images': [], 'annotations': []}
  dataset['categories'] = [{'id': 3, 'name': 'sign', 'keypoints': list(CORNERS)}]
  for i in range(number):
    image = rng.integers(0, 90, (*HW, 3), np.uint8)
    points = np.concatenate([_sign(rng, image), np.full((4, 1), 2)], axis=1)
    if i == 3:
      points[2] = 0
    name = f'sign-{i}.png'
    layouts.write(os.path.join(folder, 'images', name), cv2.imencode('.png', image)[1].tobytes())
    dataset['images'].append({'id': i, 'file_name': name, 'height': HW[0], 'width': HW[1]})
    dataset['annotations'].append(layouts.annotation(i + 1, i, points, category_id=3))
  layouts.write(os.path.join(folder, 'signs.json'), dataset)
  layouts.write(
    os.path.join(folder, 'sign.json'),
    {
      'flip_pairs': [['top_left', 'top_right'], ['bottom_left', 'bottom_right']],
      'sigmas': 'estimate',
    },
  )


def config(folder, **changes):
  """Return `configs/pose_densenet.py:smoke` on the signs of a folder."""
  values = pose_densenet.get_config('smoke')
  values.update(changes)
  values.data.annotations = os.path.join(folder, 'signs.json')
  values.data.images = os.path.join(folder, 'images')
  values.data.skeleton = os.path.join(folder, 'sign.json')
  values.data.num_eval_examples = None
  values.data.executor = 'threads'
  return Config.from_dict(values.to_dict())


def write_detections(folder, out):
  """Write the annotated boxes as a detector's; return the file's path."""
  with open(os.path.join(folder, 'signs.json')) as file:
    annotations = json.load(file)['annotations']
  boxes = [
    {'image_id': a['image_id'], 'category_id': 3, 'bbox': a['bbox'], 'score': 0.5}
    for a in annotations
  ]
  layouts.write(out / 'boxes.json', boxes)
  return str(out / 'boxes.json')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Return the folder of the data, the work directory of two steps, and what was measured."""
  folder, workdir = tmp_path_factory.mktemp('signs'), tmp_path_factory.mktemp('runs') / 'signs'
  write_signs(str(folder))
  return str(folder), str(workdir), train(config(str(folder)), str(workdir))


def test_a_sign_is_trained_and_measured_by_its_box_and_by_ap(trained):
  _, workdir, metrics = trained
  assert {'PCK@0.20/box', 'PCK@0.20/box/median_pose', 'AP/gtbox/flip'} <= set(metrics)
  assert {f'PCK@0.20/box/{corner}' for corner in CORNERS} <= set(metrics)
  assert not any('torso' in name for name in metrics)
  _, meta = checkpoint.restore_with_meta(workdir)
  assert meta['control']['best']['metric'] == 'PCK@0.20/box'
  assert tuple(meta['labels']['skeleton']['keypoints']) == CORNERS
  assert checkpoint.restore(workdir)['params']['head']['final']['kernel'].shape[-1] == 4
  assert evaluate_workdir(workdir, 'latest') == pytest.approx(metrics, nan_ok=True)


def test_an_evaluation_may_be_taken_another_way(trained, tmp_path):
  folder, workdir, metrics = trained
  straight = evaluate_workdir(workdir, 'latest', {'task.flip': False})
  assert 'AP/gtbox/noflip' in straight
  assert straight['distance/pixels'] != metrics['distance/pixels']
  finer = evaluate_workdir(workdir, 'latest', {'codec.name': 'dark'})
  assert finer['distance/pixels'] != metrics['distance/pixels']
  with pytest.raises(PosejaxError, match="'regression' is about coordinates, and .* heatmaps"):
    evaluate_workdir(workdir, 'latest', {'codec.name': 'regression', 'codec.sigma': None})
  boxes = write_detections(folder, tmp_path)
  detected = evaluate_workdir(workdir, 'latest', {'evaluate.detections': boxes})
  assert 'AP/detbox/flip' in detected
  assert not any(name.startswith(('PCK', 'MAE')) for name in detected)
  with pytest.raises(PosejaxError, match=r'config\.batch_size=4 cannot be set .* the run has 8'):
    evaluate_workdir(workdir, 'latest', {'batch_size': 4})
  with pytest.raises(PosejaxError, match=r'trained on the keypoints .*top_left.*have .*nose'):
    evaluate_workdir(workdir, 'latest', {'data.annotations': ''})


def test_another_file_is_measured_by_a_tenth_and_says_so_or_whole(trained, tmp_path, capsys):
  folder, workdir, metrics = trained
  moved = str(tmp_path / 'moved')
  shutil.copytree(folder, moved)
  own = {'data.annotations': f'{moved}/signs.json', 'data.images': f'{moved}/images'}
  assert evaluate_workdir(workdir, 'latest', own) == pytest.approx(metrics, nan_ok=True)
  text = capsys.readouterr().out
  assert 'Checkpoint of step 2, 1 of coco_file:' in text
  assert 'all of it: --config.data.eval.annotations=FILE' in text
  write_signs(str(tmp_path / 'other'), 20, seed=1)
  other = {f'data.eval.{key[5:]}': value.replace('moved', 'other') for key, value in own.items()}
  evaluate_workdir(workdir, 'latest', other)
  text = capsys.readouterr().out
  assert 'Checkpoint of step 2, 20 of coco_file:' in text
  assert 'all of it' not in text
  both = other | {'data.annotations': own['data.annotations'], 'data.images': own['data.images']}
  evaluate_workdir(workdir, 'latest', both)
  assert 'all of it' not in capsys.readouterr().out


def test_a_detectors_boxes_belong_to_one_set(trained, tmp_path, monkeypatch):
  folder = trained[0]
  boxes = write_detections(folder, tmp_path)
  asked, median_pose = [], median.median_pose
  monkeypatch.setattr(
    median, 'median_pose', lambda *arrays: asked.append(1) or median_pose(*arrays)
  )
  found = {'detections': boxes}
  built = experiment.from_config(config(folder, evaluations={'found': found, 'again': {}}))
  looked_into = {name: type(one.source) for name, one in built.evaluations.items()}
  assert looked_into['found'] is DetectedPeople
  assert DetectedPeople not in (looked_into['eval'], looked_into['again'])
  assert asked == [1]  # of the training set, whatever is measured beside it


def test_data_may_move_but_not_change(trained, tmp_path):
  folder, workdir, _ = trained
  moved, copy = str(tmp_path / 'elsewhere'), str(tmp_path / 'run')
  shutil.copytree(folder, moved)
  shutil.copytree(workdir, copy)
  train(config(moved, num_steps=3), copy)
  assert [row['step'] for row in read_rows(copy) if row['split'] == 'train'] == [1, 2, 3]
  with open(os.path.join(moved, 'signs.json')) as file:
    dataset = json.load(file)
  dataset['annotations'][0]['keypoints'][0] += 1
  layouts.write(os.path.join(moved, 'signs.json'), dataset)
  with pytest.raises(
    PosejaxError, match=r'train data are not those .*coco_file-.* there, coco_file-'
  ):
    train(config(moved, num_steps=4), copy)
