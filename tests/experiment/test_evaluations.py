"""One run measured on several sets."""

import pytest

from posejax import experiment
from posejax.runs.report import read_rows
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from tests import tiny
from tests.data import layouts


@pytest.fixture
def second(tmp_path):
  """Return keys of `data` of another set than the run's own."""
  dataset = layouts.coco_dataset(4)
  layouts.write(tmp_path / 'people.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  return {
    'name': 'coco_file',
    'annotations': str(tmp_path / 'people.json'),
    'images': str(tmp_path / 'images'),
    'num_eval_examples': 5,
  }


def test_every_set_is_measured_under_its_name(tmp_path, second):
  config = tiny.config(num_steps=2, evaluations__holiday=second)
  built = experiment.from_config(config)
  assert [len(e.source) for e in built.evaluations.values()] == [12, 5]
  workdir = str(tmp_path / 'run')
  metrics = train(config, workdir)
  assert metrics['examples'] == 12
  assert metrics['holiday/examples'] == 5
  assert metrics['holiday/PCK@0.20/torso'] >= 0
  (row,) = [row for row in read_rows(workdir) if row['split'] == 'eval']
  assert row['holiday/MAE/pixels'] != row['MAE/pixels']
  assert evaluate_workdir(workdir, 'latest') == pytest.approx(metrics, nan_ok=True)


def test_another_sets_metric_may_say_which_checkpoint_is_the_best(tmp_path, second):
  config = tiny.config(
    num_steps=2, evaluations__holiday=second, best_metric='holiday/MAE/pixels', best_mode='min'
  )
  assert 'holiday/MAE/pixels' in train(config, str(tmp_path / 'run'))
