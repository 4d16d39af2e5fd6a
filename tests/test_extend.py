"""What docs/extend.md shows: a task, a codec and a backbone of one file each, trained and used."""

import importlib.util
import pathlib

import numpy as np
import pytest

from posejax.infer.predictor import Predictor
from posejax.runs.report import read_rows
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from tests import tiny

SNIPPETS = pathlib.Path(__file__).parents[1] / 'docs' / 'snippets'
CHANGES = {
  'toy_task': {
    'task': {'name': 'facing', 'crop_size': (32, 24)},
    'model': {'name': 'svhn_cnn', 'features': (4, 8), 'hidden': 8},
    'codec': {},
  },
  'toy_codec': {'codec': {'name': 'mean', 'sigma': 1.0, 'sharpness': 10.0}},
  'toy_backbone': {
    'model': {
      'name': 'net',
      'backbone': {'name': 'strided', 'features': (4, 6)},
      'head': {'name': 'skip', 'features': 8},
    }
  },
}


def load(name):
  spec = importlib.util.spec_from_file_location(name, SNIPPETS / f'{name}.py')
  spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize('name', CHANGES)
def test_one_file_is_enough(tmp_path, name):
  load(name)
  workdir = str(tmp_path / 'run')
  train(tiny.config(**CHANGES[name], num_steps=2), workdir)
  metrics = train(tiny.config(**CHANGES[name], num_steps=4), workdir)
  assert [row['step'] for row in read_rows(workdir) if row['split'] == 'train'] == [2, 4]
  assert evaluate_workdir(workdir, 'latest') == pytest.approx(metrics, nan_ok=True)
  image = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
  (found,) = Predictor.load(workdir, 'latest')(image).instances
  if name == 'toy_task':
    assert found.label in (0, 1)
    assert 0.5 <= found.score <= 1
  else:
    assert found.keypoints.shape == (17, 2)
    assert np.isfinite(found.keypoints).all()
