"""Run a batch function ahead of its consumer with tf.data."""

from collections.abc import Callable, Iterator

import numpy as np

from posejax.host_tensorflow import tf
from posejax.types import Batch


def iterate(
  make_batch: Callable[[int], Batch], start: int, stop: int, num_workers: int, prefetch: int
) -> Iterator[Batch]:
  """Yield `make_batch(start), ..., make_batch(stop - 1)`: the same bytes as `threads.iterate`.

  Args and errors are those of `posejax.data.executors.threads.iterate`.
  """
  if start >= stop:
    return
  first = make_batch(start)  # gives names, shapes and types; not made a second time below
  yield first
  keys = sorted(first)
  errors = []

  def call(step: np.ndarray):
    try:
      batch = make_batch(int(step))
      return [batch[key] for key in keys]
    except Exception as error:
      # tf.data would turn it into its own error type and bury the message.
      errors.append(error)
      raise

  def load(step: tf.Tensor) -> list[tf.Tensor]:
    arrays = tf.numpy_function(call, [step], [first[key].dtype for key in keys])
    return [tf.ensure_shape(a, first[k].shape) for a, k in zip(arrays, keys, strict=True)]

  dataset = (
    tf.data.Dataset.range(start + 1, stop)
    .map(load, num_parallel_calls=num_workers, deterministic=True)
    .prefetch(prefetch)
  )
  try:
    for arrays in dataset.as_numpy_iterator():
      yield dict(zip(keys, arrays, strict=True))
  except tf.errors.OpError:
    if errors:
      raise errors[0] from None
    raise
