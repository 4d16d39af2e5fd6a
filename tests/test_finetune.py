"""The short form of docs/finetune.md's way from published weights to a skeleton of one's own."""

import os

import numpy as np
import pytest

from configs import pose_movenet
from posejax.config import Config
from posejax.infer.predictor import Predictor
from posejax.runs import checkpoint
from posejax.train.loop import train
from tests import published_files, test_own_data


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  published_files.few_blocks(monkeypatch)
  folder = tmp_path / 'weights'
  folder.mkdir()
  published_files.use(monkeypatch, folder, 'lightning')


def test_four_corners_are_learnt_from_published_weights(tmp_path, capsys):
  folder = str(tmp_path / 'signs')
  test_own_data.write_signs(folder)
  values = pose_movenet.get_config('finetune,smoke')
  values.data.annotations = os.path.join(folder, 'signs.json')
  values.data.images = os.path.join(folder, 'images')
  values.data.skeleton = os.path.join(folder, 'sign.json')
  values.data.num_eval_examples = None
  values.data.executor = 'threads'
  workdir = str(tmp_path / 'run')
  metrics = train(Config.from_dict(values.to_dict()), workdir)
  assert np.isfinite(metrics['PCK@0.20/box'])
  told = capsys.readouterr().out
  assert 'Starts from movenet_lightning (MoveNet lightning):' in told
  assert 'backbone/block[0-5]  x 0: ' in told
  heads = checkpoint.restore_variables(workdir, 2)['params']['head']
  assert heads['keypoint_offsets']['final']['bias'].shape == (8,)
  (found,) = Predictor.load(workdir)(np.zeros((40, 60, 3), np.uint8)).instances
  assert found.keypoints.shape == (4, 2)
