import dataclasses

import jax
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.train import feed
from tests import tiny


def test_every_process_knows_the_examples_of_all():
  # 24 examples in batches of 9: steps that end an epoch and begin the next.
  whole = feed.train_batches(experiments.from_config(tiny.config(batch_size=9)))
  for step in (0, 2, 7):
    parts = [dataclasses.replace(whole, process_index=i, process_count=3) for i in range(3)]
    expected = np.concatenate([part(step)['index'] for part in parts])
    for batches in (whole, *parts):
      np.testing.assert_array_equal(feed.global_indices(batches, step), expected)


def test_one_example_tells_the_shapes_of_a_batch():
  mesh = devices.make_mesh()
  batches = feed.train_batches(experiments.from_config(tiny.config()))
  expected = devices.put_batch(batches(0), mesh)
  look = lambda a: (a.shape, a.dtype, a.sharding)  # noqa: E731
  assert jax.tree.map(look, feed.batch_shapes(batches, mesh)) == jax.tree.map(look, expected)
