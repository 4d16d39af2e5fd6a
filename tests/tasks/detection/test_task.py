"""The detection task: what it learns from, what it finds, and how that is measured."""

import jax
import numpy as np
import pytest

from posejax import experiment
from posejax.data.batches import EvalBatches, TrainBatches
from posejax.errors import PosejaxError
from posejax.tasks.detection import measures
from posejax.train.step import gradients
from tests import compiling, tiny


@pytest.fixture(scope='module')
def made():
  return experiment.from_config(tiny.detection())


@pytest.fixture(scope='module')
def variables(made):
  return compiling.jit(made.task.init)(jax.random.key(0))


def test_losses_and_gradients_are_finite_also_without_anything_to_find(made, variables):
  batch = TrainBatches(made.train_source, made.task.transform_train, 0, 4)(0)
  assert batch['box_mask'].any()
  empty = {k: np.zeros_like(v) if k.startswith('box') else v for k, v in batch.items()}

  @compiling.jit
  def learn(params, batch):
    rest = {name: value for name, value in variables.items() if name != 'params'}
    key = jax.random.key(1)
    loss = lambda p: made.task.loss({'params': p, **rest}, batch, key, gradients.at_hand)  # noqa: E731
    return jax.value_and_grad(loss, has_aux=True)(params)

  losses = []
  for one in (batch, empty):
    (loss, aux), grads = learn(variables['params'], one)
    assert aux.example_losses.shape == (4,)
    np.testing.assert_allclose(loss, aux.example_losses.mean(), rtol=1e-6)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    losses.append({name: float(value) for name, value in aux.scalars.items()})
  assert losses[0]['box_loss'] > 0
  assert losses[0]['positives'] > 0
  assert losses[1]['box_loss'] == losses[1]['positives'] == 0
  assert losses[1]['class_loss'] > 0


def test_findings_are_the_surest_first_on_the_canvas(made, variables):
  images = EvalBatches(made.main.source, made.task.transform_eval, 6)(0)['images']
  found = compiling.jit(made.task.infer)(variables, images)
  assert found['boxes'].shape == (6, 100, 4)
  assert found['labels'].dtype == np.int32
  scores = np.asarray(found['scores'])
  assert (np.diff(scores, axis=1) <= 0).all()
  assert (scores > 0).any()
  boxes = np.asarray(found['boxes'])[scores > 0]
  assert (boxes >= 0).all()
  assert (boxes <= [96, 64, 96, 64]).all()


def perfect(batch):
  """Return predictions that say what the batch's truth says."""
  there = batch['box_mask']
  return {
    'boxes': np.where(there[..., None], batch['boxes'], 0),
    'scores': there.astype(np.float32),
    'labels': np.where(there, batch['labels'], 0),
  }


def records_of(made, predict):
  evaluation = made.main
  batches = EvalBatches(evaluation.source, made.task.transform_eval, 4)
  records = []
  for number in range(len(batches)):
    batch = batches(number)
    records += evaluation.evaluator.records(predict(batch), batch)
  return records


def test_what_is_found_exactly_has_ap_1_in_the_pictures_frame(made):
  # Scenes of 192x256 lie on canvases of 64x96 as 64x85: scaled, and not filled.
  figures = made.main.evaluator.summarize({}, records_of(made, perfect))
  assert figures['AP/box'] > 0.999
  assert figures['AR100/box'] > 0.999
  for name in made.task.labels.class_names:
    assert figures[f'AP50/box/{name}'] == pytest.approx(1)

  def shifted(batch):
    return {**perfect(batch), 'boxes': perfect(batch)['boxes'] + np.float32([3, 0, 3, 0])}

  assert made.main.evaluator.summarize({}, records_of(made, shifted))['AP/box'] < 0.7


@pytest.mark.parametrize('classes', [('person', 'ball'), ('ball', 'person')])
def test_keypoints_are_those_of_classes_that_have_them(classes):
  data = {**tiny.detection().to_dict()['data'], 'classes': classes}
  model, codec = {'name': 'keypoint_rcnn_light'}, {'name': 'keypoint_rcnn'}
  evaluation = experiment.from_config(tiny.detection(data=data, model=model, codec=codec)).main
  records = []
  for i in range(len(evaluation.source)):
    there = evaluation.source.labels(i)
    asked = ~there['crowd']
    triples = np.concatenate([there['keypoints'], there['visibility'][..., None] > 0], -1)[asked]
    boxes, labels = there['boxes'][asked] + [0, 0, 1, 1], there['labels'][asked]
    records.append(measures.Record(i, boxes, np.ones(len(boxes)), labels, triples))
  assert sum((record.labels == classes.index('ball')).sum() for record in records) > 2
  figures = evaluation.evaluator.summarize({}, records)
  assert (figures['AP/keypoints'], figures['AP/box']) == (pytest.approx(1), pytest.approx(1))


def test_names_are_known_before_anything_is_measured(made):
  names = made.main.evaluator.summarize({}, [])
  assert list(names) == list(made.main.evaluator.summarize({}, records_of(made, perfect)))
  assert made.main.evaluator.main_metric in names
  with pytest.raises(ValueError, match='every picture once'):
    made.main.evaluator.summarize({}, records_of(made, perfect)[1:])


def test_people_are_written_in_the_published_form(made):
  records = records_of(made, perfect)
  (rows,) = made.main.evaluator.results(records).values()
  source = made.main.source
  people = [
    (i, box)
    for i in range(len(source))
    for box in source.labels(i)['boxes'][
      (source.labels(i)['labels'] == 0) & ~source.labels(i)['crowd']
    ]
  ]
  assert len(rows) == len(people) > 5
  for i, (x1, y1, x2, y2) in people:
    near = [r['bbox'] for r in rows if r['image_id'] == i]
    expected = [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
    assert np.abs(np.array(near) - expected).max(1).min() < 0.01
  assert all(row.keys() == {'image_id', 'category_id', 'bbox', 'score'} for row in rows)
  assert {row['category_id'] for row in rows} == {1}


def test_padding_and_what_lies_in_the_free_part_are_nothing(made):
  batch = EvalBatches(made.main.source, made.task.transform_eval, 4)(1)
  assert batch['mask'].sum() == 2
  boxes = np.zeros((4, 3, 4), np.float32)
  boxes[:, 0] = [1, 1, 9, 9]
  boxes[:, 1] = [87, 1, 95, 60]  # right of the picture
  predictions = {
    'boxes': boxes,
    'scores': np.float32([[0.9, 0.8, 0]] * 4),
    'labels': np.zeros((4, 3), np.int32),
  }
  records = measures.make_records(predictions, batch)
  assert [len(record.boxes) for record in records] == [1, 1]
  assert [record.index for record in records] == [4, 5]


def test_panels_are_drawn_before_and_after_the_net(made):
  batch = EvalBatches(made.main.source, made.task.transform_eval, 4)(0)
  before = made.task.draw(batch, {})['panels']
  after = made.task.draw(batch, perfect(batch))['panels']
  assert after.shape[1] > before.shape[1]
  assert before.dtype == after.dtype == np.uint8


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'data': {'name': 'synthetic_digits', 'num_train_examples': 8}}, 'has no boxes'),
    ({'loss': {'name': 'mse'}}, 'losses of their own'),
    ({'codec': {'name': 'msra'}}, "'msra' is not known"),
    ({'codec': {'name': 'movenet_multipose'}}, r"config\.data\.classes=\('person',\)"),
    ({'evaluate': {'detections': 'boxes.json'}}, 'finds its own'),
    ({'task': {'name': 'detection', 'crop_size': (64, 90)}}, 'divisible by 32'),
    ({'task': {'name': 'detection', 'max_instances': 0}}, 'max_instances'),
  ],
)
def test_what_does_not_fit_is_refused(changes, message):
  with pytest.raises(PosejaxError, match=message):
    made = experiment.from_config(tiny.detection(**changes))
    jax.eval_shape(made.task.init, jax.random.key(0))


def test_other_classes_are_refused():
  data = tiny.detection().to_dict()['data']
  config = tiny.detection(data={**data, 'train': {'classes': ('person',)}})
  with pytest.raises(PosejaxError, match=r'config\.data\.classes'):
    experiment.from_config(config)
