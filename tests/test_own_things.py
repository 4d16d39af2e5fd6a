"""Somebody's own things, boxes of several classes in COCO's form: exported, trained on, measured."""

import contextlib
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
import pytest

from posejax import cli, experiment
from posejax.commands import config_flags
from posejax.data.synthetic.scenes import SyntheticScenes
from posejax.errors import PosejaxError
from posejax.tasks.detection.measures import Record
from posejax.train.loop import train
from posejax.train.workdirs.evaluate import evaluate_workdir
from tests import tiny
from tests.data import layouts

SMOKE = '--config=configs/detect_rtmdet.py:smoke'


@pytest.fixture
def things(tmp_path):
  """A file of three classes, as keys of the config, to learn from and to be measured on."""
  dataset = layouts.instances_dataset()
  layouts.write(tmp_path / 'things.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  one = {'annotations': str(tmp_path / 'things.json'), 'images': str(tmp_path / 'images')}
  own = {key: value for key, value in tiny.detection().to_dict()['data'].items() if key != 'name'}
  return {**own, 'num_train_examples': None, 'num_eval_examples': None, **one, 'eval': one}


def by_pycocotools(path, rows, category_ids):
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(path)
    judge = COCOeval(truth, truth.loadRes(rows), 'bbox')
    judge.params.catIds = category_ids
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
  return judge.stats


def test_each_class_is_measured_by_the_files_own_numbers(things):
  made = experiment.from_config(tiny.detection(data=things))
  assert made.task.labels.class_names == ('cat', 'toothbrush', 'dog')
  evaluator, rng = made.main.evaluator, np.random.default_rng(0)
  records = []
  for i in range(len(made.main.source)):
    picture = made.main.source.labels(i)
    boxes = picture['boxes'].astype(float) + np.array([0, 0, 1, 1])
    boxes = np.concatenate([boxes + rng.uniform(-2, 2, boxes.shape), [[4, 9, 20, 30.5]]])
    labels = np.append(picture['labels'], rng.integers(3)).astype(np.int32)
    records.append(Record(i, boxes, rng.random(len(boxes)).astype(np.float32), labels))
  figures = evaluator.summarize({}, records)
  ids = {'cat': 7, 'toothbrush': 90, 'dog': 3}
  rows = [
    {
      'image_id': i + 1,
      'category_id': (7, 90, 3)[label],
      'bbox': [x1, y1, x2 - x1, y2 - y1],
      'score': float(score),
    }
    for i, record in enumerate(records)
    for (x1, y1, x2, y2), score, label in zip(*record[1:4], strict=True)
  ]
  expected = by_pycocotools(things['annotations'], rows, list(ids.values()))
  assert figures['AP/box'] == pytest.approx(expected[0])
  assert 0.2 < figures['AP/box'] < 0.95
  for name, number in ids.items():
    expected = by_pycocotools(things['annotations'], rows, [number])
    values = [figures[f'{figure}/box/{name}'] for figure in ('AP', 'AP50', 'AR100')]
    assert values == pytest.approx([expected[0], expected[1], expected[8]])


def test_pictures_of_several_files_are_told_apart_whatever_their_numbers(things, tmp_path):
  dataset = layouts.instances_dataset()
  for one in dataset['annotations']:
    one['bbox'][0] += 5
  layouts.write(tmp_path / 'moved.json', dataset)
  moved = {'annotations': str(tmp_path / 'moved.json'), 'images': things['images']}
  place = {key: things[key] for key in ('annotations', 'images')}
  parts = {
    name: {'name': 'coco_file', 'train': part, 'eval': part}
    for name, part in (('first', place), ('second', moved))
  }
  made = experiment.from_config(tiny.detection(data={'name': 'mixture', 'parts': parts}))
  evaluator, source = made.main.evaluator, made.main.source
  assert source.labels(0)['image_id'] == source.labels(len(source) // 2)['image_id']
  records = []
  for i in range(len(source)):
    picture = source.labels(i)
    asked = ~picture['crowd']
    boxes = picture['boxes'][asked] + np.array([0, 0, 1, 1])
    records.append(Record(i, boxes, np.ones(len(boxes)), picture['labels'][asked]))
  assert evaluator.summarize({}, records)['AP/box'] == pytest.approx(1)


def test_classes_that_do_not_fit_are_refused(things):
  with pytest.raises(PosejaxError, match=r"has the classes \('cat', 'toothbrush', 'dog'\)"):
    names = {'train': {'classes': ('dog',)}}
    experiment.from_config(tiny.detection(data={**things, **names}))
  config = tiny.detection(data=things, codec={'name': 'keypoint_rcnn'})
  with pytest.raises(PosejaxError, match='learns keypoints, and these data have none'):
    experiment.from_config(config)
  with pytest.raises(PosejaxError, match=r'things\.json has no keypoints'):
    experiment.from_config(tiny.config(data=things))


def test_drawn_scenes_are_exported_trained_on_and_measured(tmp_path, capsys):
  out = tmp_path / 'out'
  assert cli.main(['data', 'export', '--format=coco', SMOKE, f'--out={out}']) == 0
  (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith('Train on it with ')]
  data = config_flags.read([SMOKE, *line.removeprefix('Train on it with ').split()]).data
  assert (data.name, data.annotations) == ('synthetic_scenes', f'{out}/annotations.json')
  written = json.loads((out / 'annotations.json').read_text())
  assert [c['name'] for c in written['categories']] == list(SyntheticScenes.label_space.class_names)
  assert [c['id'] for c in written['categories'] if 'keypoints' in c] == [1]
  files = {'annotations': data.annotations, 'images': data.images}
  own = {**tiny.detection().to_dict()['data'], **files, 'eval': files}
  workdir = str(tmp_path / 'run')
  metrics = train(tiny.detection(data={**own, 'num_train_examples': 8}), workdir)
  assert {f'AP/box/{name}' for name in SyntheticScenes.label_space.class_names} <= metrics.keys()
  assert evaluate_workdir(workdir, 'latest') == pytest.approx(metrics, nan_ok=True)
  with open(f'{workdir}/eval-2-detections.json') as file:
    assert {row['category_id'] for row in json.load(file)} == {1}
