"""The gradient of a batch in microbatches is that of the batch."""

import dataclasses

import jax
import numpy as np
import pytest

from posejax.train.optim.lr_scales import UNSCALED
from posejax.train.step import gradients
from tests import compiling
from tests.train.step import small_task

KEY = jax.random.key(1)


def of_batch(task, microbatches, batch):
  variables = small_task.variables(task)
  params = variables.pop('params')
  fn = compiling.jit(gradients.of_batch(task, UNSCALED, microbatches))
  return fn(params, variables, batch, KEY)


def assert_same(a, b):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6), a, b)


def without_largest(found):
  loss, state, _ = found.means
  return found.grads, loss, state, found.example_losses


@pytest.mark.parametrize('microbatches', [2, 6])
def test_without_batch_norm_it_is_that_of_the_whole_batch(microbatches):
  task, batch = small_task.create(), small_task.batch(12)
  assert_same(
    without_largest(of_batch(task, microbatches, batch)), without_largest(of_batch(task, 1, batch))
  )


@pytest.mark.parametrize('microbatches', [2, 6])
def test_a_loss_over_a_count_is_over_that_of_the_whole_batch(microbatches):
  task, batch = small_task.create(counted=True), small_task.batch(12)
  whole = of_batch(task, 1, batch)
  assert_same(without_largest(of_batch(task, microbatches, batch)), without_largest(whole))
  # What a part would divide by is another count, else nothing is shown.
  alone = of_batch(task, 1, {name: array[::microbatches] for name, array in batch.items()})
  share = np.mean(whole.example_losses[::microbatches])
  assert abs(alone.means[0] / share - 1) > 0.02


def test_a_loss_that_counts_nothing_is_computed_once():
  calls = []

  def loss(variables, batch, key, total):
    jax.debug.callback(lambda: calls.append(1))
    return task.loss(variables, batch, key, total)

  for counted, times in ((False, 1), (True, 2)):
    task = small_task.create(counted=counted)
    of_batch(dataclasses.replace(task, loss=loss), 3, small_task.batch(6))
    jax.effects_barrier()
    assert len(calls) == 3 * times
    calls.clear()


def test_batch_norm_sees_a_microbatch_of_every_so_manieth_example():
  # What groups of 4 give that lie side by side: running statistics and all.
  batch = small_task.batch(12)
  order = np.arange(12).reshape(4, 3).T.ravel()
  sorted_batch = {name: array[order] for name, array in batch.items()}
  found = of_batch(small_task.create(norm=True), 3, batch)
  grouped = of_batch(small_task.create(norm=True, group_size=4), 1, sorted_batch)
  grouped = grouped._replace(example_losses=grouped.example_losses[np.argsort(order)])
  assert_same(without_largest(found), without_largest(grouped))
  whole = of_batch(small_task.create(norm=True), 1, batch)
  assert np.abs(whole.example_losses - found.example_losses).max() > 1e-2


def test_scalars_are_averaged_and_parts_draw_for_themselves():
  task, batch = small_task.create(), small_task.batch(6)

  def loss(variables, batch, key, total):
    value, aux = task.loss(variables, batch, key, total)
    return value, aux._replace(scalars={'drawn': jax.random.uniform(key), 'count': value * 0 + 3.0})

  found = of_batch(dataclasses.replace(task, loss=loss), 3, batch)
  drawn = [float(jax.random.uniform(jax.random.fold_in(KEY, part))) for part in range(3)]
  np.testing.assert_allclose(found.means[2]['drawn'], np.mean(drawn), rtol=1e-5)
  assert found.means[2]['count'] == 3
