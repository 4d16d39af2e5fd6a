from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np

from posejax.geometry import capsules


def by_sampling(a, b, c, d, steps=300):
  places = np.linspace(0, 1, steps)[:, None]
  first, second = a + places * (b - a), c + places * (d - c)
  return np.sqrt(((first[:, None] - second[None]) ** 2).sum(axis=-1).min())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(['any', 'parallel', 'point', 'touching']))
def test_distance_of_segments(seed, kind):
  rng = np.random.default_rng(seed)
  a, b, c, d = rng.normal(size=(4, 3))
  if kind == 'parallel':
    d = c + 0.7 * (b - a)
  elif kind == 'point':
    b = a
  elif kind == 'touching':
    c = a + 0.3 * (b - a)
  distance = capsules.segment_distance(a, b, c, d)
  np.testing.assert_allclose(distance, by_sampling(a, b, c, d), atol=0.02)
  np.testing.assert_allclose(distance, capsules.segment_distance(d, c, a, b), atol=1e-9)


def test_a_capsule_hides_what_lies_behind_it():
  points = np.array([[0.0, 0, 10], [0, 0, 3], [0, 3, 10], [0, 0, 5.5], [2.5, 0, 10]])
  hidden = capsules.hidden(
    np.zeros(3), points, np.array([[-1.0, 0, 5]]), np.array([[1.0, 0, 5]]), np.array([0.6])
  )
  # Behind it; before it; passed above; inside it; behind its end.
  np.testing.assert_array_equal(hidden, [True, False, False, False, True])


def test_nothing_hides_without_capsules():
  none = np.zeros((0, 3))
  assert not capsules.hidden(np.zeros(3), np.ones((4, 3)), none, none, np.zeros(0)).any()
  assert capsules.hidden(np.zeros(3), none, np.ones((1, 3)), np.ones((1, 3)), np.ones(1)).size == 0
