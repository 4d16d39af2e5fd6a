"""COCO's box AP: what pycocotools gives when it is asked directly, and by hand."""

import contextlib
import copy
import io
import math

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
import pytest

from posejax.errors import PosejaxError
from posejax.metrics import box_ap

NAMES = ('person', 'ball', 'cone')
IDS = (1, 37, 5)  # by label, in no order


def dataset(num_images=12, seed=0):
  rng = np.random.default_rng(seed)
  annotations = []
  for image in range(num_images):
    for _ in range(rng.integers(0, 6)):
      w, h = rng.uniform(8, 150, 2)
      x, y = rng.uniform(0, 200, 2)
      annotations.append({
        'id': len(annotations), 'image_id': 100 + image, 'category_id': int(rng.choice(IDS)),
        'iscrowd': int(rng.random() < 0.1), 'bbox': [x, y, w, h], 'area': w * h * 0.7,
      })  # fmt: skip
  images = [{'id': 100 + i, 'height': 400, 'width': 400} for i in range(num_images)]
  categories = [{'id': i, 'name': n} for i, n in zip(IDS, NAMES, strict=True)]
  return {'images': images, 'annotations': annotations, 'categories': categories}


def found(truth, seed=1):
  rng = np.random.default_rng(seed)
  rows = []
  for one in truth['annotations'] * 2:
    noise = rng.normal(0, 6, 4)
    bbox = np.maximum(np.array(one['bbox']) + noise, 1).tolist()
    category = one['category_id'] if rng.random() < 0.8 else int(rng.choice(IDS))
    rows.append({'image_id': one['image_id'], 'category_id': category, 'bbox': bbox,
                 'score': round(float(rng.random()), 2)})  # fmt: skip
  return rows


def directly(truth, rows, category_ids=IDS):
  """Return pycocotools' stats without anything of ours between."""
  coco = COCO()
  coco.dataset = copy.deepcopy(truth)
  for number, annotation in enumerate(coco.dataset['annotations'], 1):
    annotation['id'] = number
  with contextlib.redirect_stdout(io.StringIO()):
    coco.createIndex()
    judge = COCOeval(coco, coco.loadRes(copy.deepcopy(rows)), 'bbox')
    judge.params.catIds = list(category_ids)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
  return judge.stats


def test_figures_are_pycocotools_to_the_bit():
  truth = dataset()
  rows = found(truth)
  figures = box_ap.evaluate(
    box_ap.ground_truth(truth, [i['id'] for i in truth['images']], IDS), rows, NAMES
  )
  stats = directly(truth, rows)
  assert [figures[f'{name}/box'] for name in box_ap.FIGURES] == stats.tolist()
  assert 0.1 < figures['AP/box'] < 0.9
  for name, category in zip(NAMES, IDS, strict=True):
    alone = directly(truth, rows, [category])
    assert figures[f'AP/box/{name}'] == alone[0]
    assert figures[f'AP50/box/{name}'] == alone[1]
    assert figures[f'AR100/box/{name}'] == alone[8]
  assert list(figures) == box_ap.names(NAMES)


def test_one_class_has_no_figures_of_its_own():
  truth = dataset()
  people = box_ap.ground_truth(truth, [i['id'] for i in truth['images']], (1,))
  rows = [row for row in found(truth) if row['category_id'] == 1]
  figures = box_ap.evaluate(people, rows, ('person',))
  assert list(figures) == box_ap.names(('person',))
  assert figures['AP/box'] == directly(truth, rows, (1,))[0]


def test_what_is_found_exactly_is_perfect_and_a_crowd_counts_neither_way():
  truth = {
    'images': [{'id': 7}, {'id': 8}],
    'annotations': [
      {'id': 0, 'image_id': 7, 'category_id': 1, 'bbox': [10, 20, 50, 60]},
      {'id': 1, 'image_id': 7, 'category_id': 1, 'bbox': [100, 20, 90, 90], 'iscrowd': 1},
    ],
    'categories': [{'id': 1}],
  }
  rows = [
    {'image_id': 7, 'category_id': 1, 'bbox': [10, 20, 50, 60], 'score': 0.5},
    {'image_id': 7, 'category_id': 1, 'bbox': [110, 30, 30, 30], 'score': 0.9},
  ]
  figures = box_ap.evaluate(box_ap.ground_truth(truth, [7, 8], (1,)), rows, ('person',))
  assert figures['AP/box'] == pytest.approx(1)
  assert math.isnan(figures['AP(S)/box'])
  elsewhere = [*rows, {'image_id': 8, 'category_id': 1, 'bbox': [1, 1, 50, 50], 'score': 0.95}]
  worse = box_ap.evaluate(box_ap.ground_truth(truth, [7, 8], (1,)), elsewhere, ('person',))
  assert worse['AP/box'] == pytest.approx(0.5)


def test_nothing_found_is_nothing_and_no_pictures_are_nan():
  truth = dataset()
  everything = box_ap.ground_truth(truth, [i['id'] for i in truth['images']], IDS)
  assert box_ap.evaluate(everything, [], NAMES)['AP/box'] == 0
  nobody = box_ap.ground_truth({'images': [{'id': 1}], 'annotations': []}, [1], IDS)
  assert math.isnan(box_ap.evaluate(nobody, [], NAMES)['AP/box'])


def test_results_that_do_not_belong_there_are_refused():
  truth = dataset()
  ids = [i['id'] for i in truth['images']]
  everything = box_ap.ground_truth(truth, ids, IDS)
  row = {'image_id': 9, 'category_id': 1, 'bbox': [1, 1, 2, 2], 'score': 0.5}
  with pytest.raises(PosejaxError, match='not in the ground truth'):
    box_ap.evaluate(everything, [row], NAMES)
  with pytest.raises(PosejaxError, match='not finite'):
    box_ap.evaluate(everything, [{**row, 'image_id': ids[0], 'score': math.nan}], NAMES)
  with pytest.raises(PosejaxError, match='same split'):
    box_ap.ground_truth(truth, [*ids, 5], IDS)
