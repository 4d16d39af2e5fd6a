"""The top-down pathway beside the same in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.models.necks import TopDown


def maps(*sizes):
  rng = np.random.default_rng(0)
  return {
    stride: jnp.asarray(rng.normal(size=(2, h, w, c)), jnp.float32) for stride, h, w, c in sizes
  }


def test_deeper_maps_are_doubled_and_added():
  neck, x = TopDown(3), maps((4, 8, 12, 2), (8, 4, 6, 5), (16, 2, 3, 4))
  variables = neck.init(jax.random.key(0), x)
  kernels = variables['params']
  found = neck.apply(variables, x)
  assert set(found) == {4, 8, 16}
  expected = 0
  for stride, level in ((16, 4), (8, 3), (4, 2)):
    lateral = np.asarray(x[stride]) @ np.asarray(kernels[f'lateral_c{level}']['kernel'][0, 0])
    if stride < 16:
      expected = expected.repeat(2, axis=1).repeat(2, axis=2)
    expected = np.maximum((lateral + expected) / np.sqrt(1 + 1e-5), 0)  # fresh statistics
    np.testing.assert_allclose(found[stride], expected, rtol=1e-4, atol=1e-5)


def test_maps_that_do_not_nest_are_refused():
  x = maps((8, 9, 6, 2), (16, 4, 3, 2))
  with pytest.raises(PosejaxError, match='stride 8 is 9x6 and twice the next is 8x6.*by 16'):
    TopDown(3).init(jax.random.key(0), x)
