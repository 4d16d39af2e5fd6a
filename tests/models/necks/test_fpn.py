"""The feature pyramid beside the same in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from posejax.models.necks import Fpn
from tests import compiling


def convolved(x, kernel):
  """Return the 3x3 cross-correlation with zeros around, tap by tap."""
  h, w = x.shape[1:3]
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  return sum(padded[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3))


def test_a_pyramid_of_three_maps():
  rng = np.random.default_rng(0)
  sizes = {8: (12, 20, 2), 16: (6, 10, 5), 32: (3, 5, 4)}
  maps = {s: rng.normal(size=(2, *size)).astype(np.float32) for s, size in sizes.items()}
  neck = Fpn(3)
  shapes = jax.eval_shape(neck.init, jax.random.key(0), maps)
  variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
  params = variables['params']
  found = compiling.jit(neck.apply)(variables, jax.tree.map(jnp.asarray, maps))
  assert set(found) == {8, 16, 32, 64}
  inner = 0
  for stride, level in ((32, 5), (16, 4), (8, 3)):
    if stride < 32:
      inner = inner.repeat(2, axis=1).repeat(2, axis=2)
    lateral = params[f'inner_c{level}']
    inner = inner + maps[stride] @ lateral['kernel'][0, 0] + lateral['bias']
    layer = params[f'layer_c{level}']
    expected = convolved(inner, layer['kernel']) + layer['bias']
    np.testing.assert_allclose(found[stride], expected, rtol=1e-4, atol=1e-3)
  np.testing.assert_array_equal(found[64], found[32][:, ::2, ::2])
  assert found[64].shape == (2, 2, 3, 3)
