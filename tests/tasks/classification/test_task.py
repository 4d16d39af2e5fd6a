import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.config import Config
from posejax.data.batches import EvalBatches
from posejax.errors import PosejaxError
from posejax.experiment import from_config
from posejax.labels import LabelSpace
from posejax.tasks.classification import panels
from posejax.tasks.classification import task as classification
from tests import measuring

NAMES = tuple('0123456789')


def config(**data):
  return Config.from_dict(
    {
      'task': {'name': 'classification', 'crop_size': (32, 32)},
      'batch_size': 8,
      'data': {
        'name': 'synthetic_digits',
        'num_train_examples': 8,
        'num_eval_examples': 20,
        **data,
      },
      'model': {'name': 'svhn_cnn', 'features': (4, 4), 'hidden': 8},
    }
  )


class Oracle:
  """A net that reads the answer from the first pixel, where the test writes it; one kind it misreads."""

  def apply(self, variables, images):
    del variables
    seen = images[:, 0, 0, 0].astype(jnp.int32)
    return {'logits': 9.0 * jax.nn.one_hot(jnp.where(seen == 3, 8, seen), 10)}


def measured(labels, batch_size=8):
  """Evaluate the oracle on pictures that say `labels`."""
  source = [{'image': np.full((2, 3, 3), label, np.uint8), 'label': label} for label in labels]

  def prepare(example, rng):
    del rng
    return {'images': example['image'], 'labels': np.int32(example['label'])}

  task = classification.create(
    model=Oracle(),
    labels=LabelSpace(NAMES),
    crop_size=(2, 3),
    loss_fn=classification.LOSSES['cross_entropy'],
    normalize_fn=lambda images: images.astype(jnp.float32),
    transform_train=prepare,
    transform_eval=prepare,
    view=None,
  )
  return measuring.evaluate(task, classification.evaluator(task.labels), source, batch_size)


def test_accuracy_and_recall_over_padded_batches():
  labels = [0, 3, 3, 8, 8, 8, 9, 1, 2, 4]
  metrics, panels, _ = measured(labels)
  assert metrics['accuracy'] == pytest.approx(0.8)
  assert metrics['recall/3'] == 0
  assert metrics['recall/8'] == 1
  assert np.isnan(metrics['recall/7'])
  # Cross-entropy of a logit of 9 against nine zeros, and of a zero.
  right, wrong = np.log(1 + 9 * np.exp(-9)), 9 + np.log(1 + 9 * np.exp(-9))
  assert metrics['loss'] == pytest.approx((8 * right + 2 * wrong) / 10, rel=1e-5)
  assert set(panels) == {'panels', 'confusion_matrix'}


def test_the_confusion_matrix_is_bright_where_counts_are():
  confusion = np.zeros((10, 10))
  confusion[2, 7], confusion[4, 4] = 30, 12
  picture = panels.confusion_matrix(confusion, NAMES).astype(int)
  empty = panels.confusion_matrix(np.zeros((10, 10)), NAMES).astype(int)
  cell, left, top = 44, 70, 50
  changed = np.abs(picture - empty).max(-1) > 50
  cells = changed[top : top + 10 * cell, left : left + 10 * cell].reshape(10, cell, 10, cell)
  np.testing.assert_array_equal(cells.mean((1, 3)) > 0.5, confusion > 0)


def test_panels_show_every_example_and_no_padding():
  experiment = from_config(config())
  batch = EvalBatches(experiment.main.source, experiment.task.transform_eval, 16)(1)
  assert batch['mask'].sum() == 4
  variables = experiment.task.init(jax.random.key(0))
  predictions = jax.tree.map(np.asarray, experiment.task.infer(variables, batch['images']))
  np.testing.assert_allclose(predictions['scores'].sum(-1), 1, rtol=1e-5)
  first, full = (experiment.task.draw(batch, p)['panels'] for p in ({}, predictions))
  assert first.shape == full.shape
  tile = np.repeat(np.repeat(batch['images'][0], 2, 0), 2, 1)
  shown = np.lib.stride_tricks.sliding_window_view(full, tile.shape)[4, :, 0]
  assert any(np.array_equal(place, tile) for place in shown)


def test_what_digits_cannot_do_is_refused():
  flipping = config().to_dict()
  flipping['task']['flip'] = True
  for values, message in [
    (flipping, 'config.task.flip is not a known key'),
    (config(name='synthetic_people').to_dict(), "'synthetic_people' shows people"),
    (config(augment={'flip': 0.5}).to_dict(), 'augment.flip must be 0'),
    ({**config().to_dict(), 'task': {'name': 'pose'}}, "'synthetic_digits' has no keypoints"),
    ({**config().to_dict(), 'task': {'name': 'clasification'}}, "'classification'"),
  ]:
    with pytest.raises(PosejaxError, match=message):
      from_config(Config.from_dict(values))
