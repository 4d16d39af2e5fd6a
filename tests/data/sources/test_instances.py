from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np

from posejax.data.sources import people
from posejax.data.sources.instances import Instances


class Sliced:
  """A source of pictures that are slices of columns, and does not say whom to learn from."""

  def __init__(self, instances, number):
    self._instances, self._number = instances, number

  def __len__(self):
    return self._number

  def labels(self, i):
    return self._instances.on(i)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=7), st.integers(0, 9))
def test_columns_are_the_pictures_one_after_the_other(counts, seed):
  rng, number = np.random.default_rng(seed), sum(counts)
  columns = {
    'boxes': rng.integers(0, 3, (number, 4)).astype(np.float32),
    'crowd': rng.random(number) < 0.3,
    'visibility': rng.integers(0, 3, (number, 2)) * (rng.random((number, 1)) < 0.7),
    'annotation_ids': np.arange(number),
  }
  pictures = np.repeat(np.arange(len(counts)), counts)
  instances = Instances.of(columns, pictures, len(counts))
  ids = [instances.on(i)['annotation_ids'].tolist() for i in range(len(counts))]
  assert [len(those) for those in ids] == counts
  assert [one for those in ids for one in those] == list(range(number))
  # What is said at once is what looking at every picture finds.
  places, left_out = instances.people()
  looked, reasons = people.find(Sliced(instances, len(counts)))
  assert places.tolist() == looked.tolist()
  assert left_out == reasons
  assert len(places) + sum(left_out.values()) == number
