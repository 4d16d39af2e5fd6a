import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.metrics import accuracy

NAMES = ('a', 'b', 'c')


def _batch(rng, size, masked):
  logits = rng.normal(size=(size, 3)).astype(np.float32)
  labels = rng.integers(0, 2, size)  # nobody is a 'c'
  losses = rng.uniform(size=size).astype(np.float32)
  mask = np.ones(size, np.float32)
  mask[size - masked :] = 0
  losses[mask == 0] = np.nan  # padding may compute anything
  return logits, labels, losses, mask


def test_sums_of_padded_batches_equal_counting_one_by_one():
  rng = np.random.default_rng(0)
  batches = [_batch(rng, 8, 0), _batch(rng, 8, 3)]
  totals = jax.tree.map(
    lambda *s: sum(s), *[accuracy.accuracy_sums(*map(jnp.asarray, b)) for b in batches]
  )
  confusion, loss, count = np.zeros((3, 3)), 0.0, 0
  for batch in batches:
    for logits, label, example_loss, mask in zip(*batch, strict=True):
      if mask:
        confusion[label, int(logits.argmax())] += 1
        loss, count = loss + float(example_loss), count + 1
  np.testing.assert_array_equal(totals['confusion'], confusion)
  metrics = accuracy.summarize_accuracy(totals, NAMES)
  assert count == 13
  assert metrics['accuracy'] == pytest.approx(np.trace(confusion) / 13)
  assert metrics['loss'] == pytest.approx(loss / 13)
  a, b = (confusion[k, k] / confusion[k].sum() for k in (0, 1))
  assert (metrics['recall/a'], metrics['recall/b']) == pytest.approx((a, b))
  assert math.isnan(metrics['recall/c'])
  assert metrics['recall/mean'] == pytest.approx((a + b) / 2)


def test_rows_are_true_and_columns_predicted():
  logits = jnp.array([[0.0, 0.0, 5.0]])
  sums = accuracy.accuracy_sums(logits, jnp.array([1]), jnp.ones(1), jnp.ones(1))
  assert float(sums['confusion'][1, 2]) == 1
  assert float(sums['confusion'].sum()) == 1
