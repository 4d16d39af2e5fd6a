"""Accuracy, recall and the confusion matrix, as sums that add up over batches."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from posejax.types import Array


def accuracy_sums(
  logits: jax.Array, labels: jax.Array, losses: jax.Array, mask: jax.Array
) -> dict[str, jax.Array]:
  """Return what a batch adds.

  Args:
    logits: `[B, C]`; the largest is what was predicted, the first of equal ones.
    labels: int `[B]`, the true classes.
    losses: `[B]`.
    mask: `[B]`, 1 for an example and 0 for padding.

  Returns:
    `confusion` float32 `[C, C]`, counts with the true class in rows and the predicted one in columns
    (exact up to 2 ** 24), and `loss`, a scalar.
  """
  C = logits.shape[-1]
  true = jax.nn.one_hot(labels, C) * mask[:, None]
  predicted = jax.nn.one_hot(jnp.argmax(logits, -1), C)
  # A padding example's loss may be anything.
  return {'confusion': true.T @ predicted, 'loss': jnp.where(mask > 0, losses, 0).sum()}


def summarize_accuracy(sums: dict[str, Array], class_names: Sequence[str]) -> dict[str, float]:
  """Return the metrics of summed batches.

  Returns:
    `accuracy` (the share predicted rightly), `recall/<class>` (the same among that class; NaN where
    there is none), `recall/mean` over the classes that there are, and `loss` per example.
  """
  confusion = np.asarray(sums['confusion'], np.float64)
  counts, right = confusion.sum(1), np.diag(confusion)
  recall = np.divide(right, counts, out=np.full(len(counts), np.nan), where=counts > 0)
  total = counts.sum()
  return {
    'accuracy': float(right.sum() / total) if total else float('nan'),
    'recall/mean': float(recall[counts > 0].mean()) if total else float('nan'),
    'loss': float(sums['loss'] / total) if total else float('nan'),
    **{f'recall/{name}': float(r) for name, r in zip(class_names, recall, strict=True)},
  }
