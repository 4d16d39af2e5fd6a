"""What a pose task measures, through the loop's own evaluation, with predictions read off the labels."""

import contextlib
import dataclasses
import io
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
import pytest

from posejax import codecs, experiment, skeletons
from posejax.data import sources
from posejax.data.batches import EvalBatches
from posejax.data.sources import coco_file
from posejax.data.sources.people import People
from posejax.errors import PosejaxError
from posejax.metrics import coco_ap
from posejax.tasks.pose.measures import PoseMetrics
from tests import measuring, tiny
from tests.data import layouts

CROP, HEATMAP = (128, 96), (32, 24)
TAKEN = 'gtbox/flip'


@pytest.fixture(scope='module')
def people(tmp_path_factory):
  """Return the config of an experiment on a COCO-format file of 12 people, 2 per picture."""
  folder = tmp_path_factory.mktemp('people')
  path, images = str(folder / 'people.json'), str(folder / 'images')
  dataset = layouts.coco_dataset(6)
  # Somebody in a crowd and somebody without keypoints don't count, whatever is said of them.
  dataset['annotations'] += [
    layouts.annotation(900, 1, layouts.figure(np.random.default_rng(9), 17), iscrowd=1),
    dict(dataset['annotations'][0], id=901, keypoints=[0] * 51, num_keypoints=0),
  ]
  layouts.write(path, dataset)
  layouts.write_pictures(images, dataset)
  return {
    'data__annotations': path,
    'data__images': images,
    'data__eval__annotations': path,
    'task__crop_size': CROP,
    'data__num_train_examples': None,
    'data__num_eval_examples': None,
    'codec__name': 'udp',
    'evaluate__batch_size': 5,
  }


class Labels:
  """Stands in for a codec: says where the labels are, wherever that is."""

  stride = (1.0, 1.0)

  def encode(self, keypoints, visibility):
    return {'keypoints': keypoints, 'visibility': visibility}, None

  def decode(self, outputs):
    return outputs['keypoints'], (outputs['visibility'] > 0).astype(jnp.float32)


def measured(config, codec=None, shift=0.0, noise=0.0):
  """Evaluate an experiment whose net outputs the codec's targets.

  Args:
    config: of the experiment.
    codec: what writes and reads them; UDP where None.
    shift: of what is read, in cells.
    noise: standard deviation of what is added to it, pixels of the crop.

  Returns:
    `(experiment, metrics, records)`.
  """
  built = experiment.from_config(config)
  codec = codec or codecs.create('udp', crop_size=CROP, heatmap_size=HEATMAP, sigma=2.0)
  draws = np.random.default_rng(0).normal(
    0, noise, (64, built.task.labels.skeleton.num_keypoints, 2)
  )

  size, records = config.evaluate.batch_size, []
  batches = EvalBatches(built.main.source, built.task.transform_eval, size)
  labelled = {}
  for number in range(len(batches)):
    for name, rows in batches(number).items():
      labelled.setdefault(name, []).append(rows)
  labelled = {name: np.concatenate(rows) for name, rows in labelled.items()}
  rows_of = {image.tobytes(): row for row, image in enumerate(labelled['images'])}

  def infer(variables, images):
    # A net that knows the labels: it looks pictures up.
    del variables
    shape = jax.ShapeDtypeStruct((images.shape[0],), jnp.int32)
    look_up = lambda found: np.array([rows_of[i.tobytes()] for i in np.asarray(found)], np.int32)  # noqa: E731
    rows = jax.pure_callback(look_up, shape, images)
    keypoints, visibility, index = (
      jnp.asarray(labelled[name])[rows] for name in ('keypoints', 'visibility', 'index')
    )
    points, scores = codec.decode(codec.encode(keypoints, visibility)[0])
    points = points + shift * jnp.asarray(codec.stride) + jnp.asarray(draws)[index]
    return {'keypoints_crop': points, 'scores': scores}

  task = dataclasses.replace(built.task, infer=infer, draw=lambda batch, predictions: {})
  evaluator = built.main.evaluator
  if evaluator.records is not None:

    def records_of(predictions, batch):
      records.extend(built.main.evaluator.records(predictions, batch))
      return records[-int(batch['mask'].sum()) :]

    evaluator = dataclasses.replace(evaluator, records=records_of)
  metrics = measuring.evaluate(task, evaluator, built.main.source, size).metrics
  names = measuring.evaluations(task, evaluator, built.main.source, size).metric_names({})
  # Figures of keypoints that nobody labelled are the only ones that may be missing.
  assert names <= set(metrics)
  of_keypoints = ('PCK@0.20/torso/', 'PCK@0.20/box/', 'PCKh@0.50/')
  assert all(name.startswith(of_keypoints) for name in set(metrics) - names)
  return built, metrics, records


def directly(tmp_path, config, built, records):
  """Return pycocotools' own stats for the rows of records, the annotation file read by itself."""
  rows = coco_ap.result_rows(
    sorted(records, key=lambda r: r.index),
    lambda i: (built.main.source.labels(i)['image_id'], 1.0),
    built.task.labels.skeleton.sigmas,
    CROP[1] / CROP[0],
    1.25,
  )
  path = tmp_path / 'rows.json'
  path.write_text(json.dumps(rows))
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(config.data.eval['annotations'])
    judge = COCOeval(truth, truth.loadRes(str(path)), 'keypoints')
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
  return judge.stats


class TestAp:
  def test_a_perfect_prediction_scores_one(self, people):
    built, metrics, _ = measured(tiny.config(**people))
    assert len(built.main.source) == 12
    assert metrics[f'AP/{TAKEN}'] == metrics[f'AR/{TAKEN}'] == 1.0
    assert metrics['PCK@0.05/box'] == 1.0
    assert built.main.evaluator.main_metric == 'PCK@0.20/torso'

  def test_half_a_cell_of_shift_is_seen(self, people):
    config = tiny.config(**people)
    straight, shifted = measured(config)[1], measured(config, shift=0.5)[1]
    assert shifted[f'AP/{TAKEN}'] < straight[f'AP/{TAKEN}'] - 0.05
    assert shifted['distance/pixels'] > straight['distance/pixels'] + 0.5
    # MSRA's targets read as UDP's are off by up to half a pixel of the crop.
    mixed = codecs.create('msra', crop_size=CROP, heatmap_size=HEATMAP, sigma=2.0)
    assert measured(config, mixed)[1]['distance/pixels'] > straight['distance/pixels'] + 0.2

  def test_it_is_what_pycocotools_says_of_the_same_rows(self, people, tmp_path):
    config = tiny.config(**people)
    built, metrics, records = measured(config, noise=2.5)
    stats = directly(tmp_path, config, built, records)
    assert 0.05 < stats[0] < 0.95
    ours = [metrics[f'{name}/{TAKEN}'] for name in coco_ap.FIGURES]
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1.0), stats, rtol=0, atol=1e-12)

  def test_the_name_says_how_it_was_taken(self, people):
    for changes, taken in (
      ({'task__flip': False}, 'gtbox/noflip'),
      ({'task__shift': True}, 'gtbox/flip+shift'),
      ({'codec__name': 'msra'}, 'gtbox/flip+shift'),
    ):
      evaluator = experiment.from_config(tiny.config(**people | changes)).main.evaluator
      sums = evaluator.measure(*_nothing())
      assert f'AP/{taken}' in evaluator.summarize(sums, [])

  @pytest.mark.parametrize(
    ('codec', 'model', 'expected'),
    [
      # The six who are right come first, and find half of everybody: 51 of 101 recalls, up to 0.5.
      ('udp', {'name': 'pose_densenet_compact', 'block_layers': (1, 1)}, 51 / 101),
      # Now they come last, so that never more than half of the figures so far are right.
      ('regression', {'name': 'regression_cnn', 'features': (4, 4)}, 0.5 * 51 / 101),
    ],
  )
  def test_people_are_ranked_as_published_for_the_kind_of_net(self, people, codec, model, expected):
    config = tiny.config(**people | {'codec': {'name': codec}, 'model': model})
    built = experiment.from_config(config)
    # Of two on a picture one is right, evenly scored; one is wrong: a lower mean, a higher maximum.
    scores = np.full((2, 17), 0.6, np.float32)
    scores[1] = [0.95] + [0.5] * 16
    records = []
    for i in range(12):
      labels = built.main.source.labels(i)
      points = labels['keypoints'] + 500 * (i % 2)
      records.append(coco_ap.Record(i, points, scores[i % 2], labels['box']))
    sums = built.main.evaluator.measure(*_nothing())
    figures = built.main.evaluator.summarize(sums, records)
    (ap,) = [value for name, value in figures.items() if name.startswith('AP/gtbox/flip')]
    assert ap == pytest.approx(expected)

  def test_a_picture_that_was_cut_does_not_count(self, people):
    config = tiny.config(**people | {'data__num_eval_examples': 7})
    built, metrics, records = measured(config)
    assert len(records) == 7
    assert built.main.source.image_ids == (1, 2, 3)
    assert metrics['examples'] == 7
    assert metrics[f'AP/{TAKEN}'] == metrics[f'AR/{TAKEN}'] == 1.0

  def test_caching_changes_nothing(self, people):
    plain = measured(tiny.config(**people))[1]
    assert measured(tiny.config(**people, data__cache=True))[1] == pytest.approx(plain, nan_ok=True)


def _nothing():
  """Return a prediction and a batch of one example that is padding."""
  K = 17
  points = np.zeros((1, K, 2), np.float32)
  batch = {
    'keypoints_image': points,
    'visibility': np.zeros((1, K), np.int32),
    'boxes': np.zeros((1, 4), np.float32),
    'head_sizes': np.zeros(1, np.float32),
    'mask': np.zeros(1, np.float32),
    'crop_to_image': np.zeros((1, 2, 3), np.float32),
  }
  return {'keypoints_crop': points}, batch


class TestDetections:
  def _write(self, folder, people):
    """Write everybody's box, a double of the first with a lower score, and one of a stranger."""
    with open(people['data__annotations']) as file:
      annotated = [a for a in json.load(file)['annotations'] if a['id'] < 900]
    boxes = [(a['image_id'], a['bbox'], 0.9) for a in annotated]
    boxes += [(1, annotated[0]['bbox'], 0.4), (77, [0, 0, 9, 9], 0.9)]
    entries = [
      {'image_id': i, 'category_id': 1, 'bbox': box, 'score': score} for i, box, score in boxes
    ]
    layouts.write(folder / 'boxes.json', entries)
    return str(folder / 'boxes.json')

  def test_only_ap_is_taken(self, people, tmp_path, caplog):
    path = self._write(tmp_path, people)
    config = tiny.config(**people, evaluate__detections=path)
    built, metrics, records = measured(config)
    assert len(records) == len(built.main.source) == 13
    assert set(metrics) == {f'{name}/detbox/flip' for name in coco_ap.FIGURES}
    assert built.main.evaluator.main_metric == 'AP/detbox/flip'
    assert "'unknown picture': 1" in caplog.text
    # The examples carry no labels that a net, or this test, could be measured by.
    assert metrics['AP/detbox/flip'] < 0.1
    assert not built.main.source.labels(0)['visibility'].any()

  def test_other_sources_have_nobody_to_compare_with(self, people, tmp_path):
    path = self._write(tmp_path, people)
    with pytest.raises(
      PosejaxError, match=r"config\.evaluate\.detections=.*'synthetic_people' is none"
    ):
      experiment.from_config(tiny.config(evaluate__detections=path))


class TestPckh:
  def test_heads_are_measured_where_they_are_known(self):
    rng = np.random.default_rng(0)
    B, K = 6, skeletons.MPII.num_keypoints
    labels = rng.uniform(20, 80, (B, K, 2)).astype(np.float32)
    heads = np.array([10, 0, 20, 10, 10, 10], np.float32)
    batch = {
      'keypoints_image': labels,
      'visibility': np.full((B, K), 2, np.int32),
      'boxes': np.tile(np.array([0, 0, 99, 79], np.float32), (B, 1)),
      'head_sizes': heads,
      'mask': np.array([1, 1, 1, 1, 1, 0], np.float32),
      'crop_to_image': np.tile(np.eye(2, 3, dtype=np.float32), (B, 1, 1)),
    }
    # 7 pixels: more than half of a head of 10, less than half of one of 20.
    predicted = labels + np.array([7, 0], np.float32)
    metrics = PoseMetrics(skeletons.MPII, (80, 100), np.full((K, 2), 0.5, np.float32), heads=True)
    predictions = {'keypoints_image': predicted, 'keypoints_crop': predicted}
    figures = metrics.summarize(metrics.measure(predictions, batch), [])
    assert figures['PCKh@0.50'] == pytest.approx(1 / 4)
    assert figures['PCKh@0.50/wrist'] == pytest.approx(1 / 4)
    assert figures['PCKh@0.10'] == figures['PCKh@0.11'] == 0
    assert figures['examples/without_head'] == 1
    guess = np.linalg.norm(labels - (50, 40), axis=-1)[[0, 2, 3, 4]] / heads[[0, 2, 3, 4], None]
    in_mean = [name not in ('pelvis', 'thorax') for name in skeletons.MPII.keypoints]
    expected = (guess[:, in_mean] <= 0.5).mean()
    assert figures['PCKh@0.50/median_pose'] == pytest.approx(expected)
    assert 'PCKh@0.50/wrist/median_pose' not in figures
    assert {'PCK@0.20/torso/median_pose', 'MAE/pixels/median_pose'} <= set(figures)

  def test_mpii_has_heads_where_its_files_have(self, tmp_path):
    root = layouts.mpii_json(tmp_path / 'mpii')
    options = {
      'data__name': 'mpii',
      'data__manual_dir': root,
      'data__data_dir': str(tmp_path / 'prepared'),
      'task__crop_size': CROP,
    }
    config = tiny.config(**options, codec__name='udp', evaluate__batch_size=2)
    metrics = measured(config, Labels())[1]
    assert metrics['PCKh@0.50'] == metrics['PCKh@0.10'] == 1.0
    assert metrics['examples/without_head'] == 0
    assert metrics['PCKh@0.50/median_pose'] < 0.5

  def test_sources_without_heads_have_no_pckh(self, people):
    assert not any(n.startswith('PCKh') for n in measured(tiny.config(**people))[1])


LAYOUTS = {
  'coco': layouts.coco,
  'lsp': lambda root: layouts.leeds(root, extended=False)[0],
  'lspet': lambda root: layouts.leeds(root, extended=True)[0],
  'panoptic': layouts.panoptic,
}


@pytest.mark.parametrize('name', LAYOUTS)
def test_what_is_measured_on_each_public_data_set(name, tmp_path):
  config = tiny.config(
    data__name=name,
    data__manual_dir=LAYOUTS[name](str(tmp_path / name)),
    data__data_dir=str(tmp_path / 'prepared'),
    data__num_eval_examples=None,
    evaluate__batch_size=4,
  )
  built, metrics, _ = measured(config, Labels())
  assert metrics['examples'] == len(built.main.source)
  assert metrics['PCK@0.05/torso'] == metrics['PCK@0.05/box'] == 1.0
  assert metrics['MAE/pixels'] < 1e-3 < metrics['MAE/pixels/median_pose']
  assert built.main.evaluator.main_metric == 'PCK@0.20/torso'
  assert ('AP/gtbox/flip+shift' in metrics) == (name == 'coco')
  assert metrics.get('AP/gtbox/flip+shift', 1.0) == 1.0


class TestRealData:
  def test_coco_val2017(self, real_data, tmp_path):
    folder = os.path.join(real_data, 'coco')
    path = os.path.join(folder, 'annotations', 'person_keypoints_val2017.json')
    config = tiny.config(
      data__annotations=path,
      data__images=os.path.join(folder, 'val2017'),
      data__eval__annotations=path,
      task__crop_size=(256, 192),
      data__num_train_examples=None,
      data__num_eval_examples=None,
      codec__name='udp',
      evaluate__batch_size=16,
    )
    codec = codecs.create('udp', crop_size=(256, 192), heatmap_size=(64, 48), sigma=2.0)
    _, metrics, records = measured(config, Labels())
    assert len(records) == 82
    assert metrics[f'AP/{TAKEN}'] == metrics[f'AR/{TAKEN}'] == 1.0
    # Four of them have a keypoint outside their crop, where no heatmap reaches.
    read_back = measured(config, codec)[1][f'AP/{TAKEN}']
    assert 0.97 < read_back < 1
    shifted = measured(config, codec, shift=0.5)[1][f'AP/{TAKEN}']
    print(f'AP of labels read back from UDP: {read_back:.4f}, half a cell off: {shifted:.4f}')
    assert shifted < read_back - 0.03
    built, metrics, records = measured(config, codec, noise=6.0)
    stats = directly(tmp_path, config, built, records)
    assert 0.2 < stats[0] < 0.9
    ours = [metrics[f'{name}/{TAKEN}'] for name in coco_ap.FIGURES]
    np.testing.assert_allclose(np.nan_to_num(ours, nan=-1.0), stats, rtol=0, atol=1e-12)


def test_no_torso_no_torso_pck():
  corners = ('top_left', 'top_right', 'bottom_right', 'bottom_left')
  sign = skeletons.Skeleton('sign', corners, (), (), (0.05,) * 4)
  assert PoseMetrics(sign, CROP).main_metric == 'PCK@0.20/box'
  assert PoseMetrics(skeletons.LSP, CROP).main_metric == 'PCK@0.20/torso'


def test_the_first_people_of_a_source_keep_its_pictures(people):
  whole = People(coco_file.CocoFile(people['data__annotations'], people['data__images']))
  assert sources.First(whole, 99).image_ids == whole.image_ids
  assert sources.First(whole, 4).image_ids == (1, 2)
  assert sources.First(whole, 1).image_ids == ()
  first = sources.First(whole, 4)
  assert (first.annotations, first.category_ids) == (whole.annotations, (1,))
  assert first.read_image(2) == whole.read_image(2)
