import math

import jax.numpy as jnp
import numpy as np
import pytest

from posejax.ops import resize
from tests import compiling


def cubic(d, a=-0.75):
  """The kernel of Keys (1981) in its own form, a function of the distance."""
  d = abs(d)
  if d <= 1:
    return (a + 2) * d**3 - (a + 3) * d**2 + 1
  return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def resize_by_loops(image, h, w):
  out = np.zeros((h, w))
  for i in range(h):
    for j in range(w):
      y = (i + 0.5) * image.shape[0] / h - 0.5
      x = (j + 0.5) * image.shape[1] / w - 0.5
      for p in range(math.floor(y) - 1, math.floor(y) + 3):
        for q in range(math.floor(x) - 1, math.floor(x) + 3):
          pixel = image[min(max(p, 0), image.shape[0] - 1), min(max(q, 0), image.shape[1] - 1)]
          out[i, j] += cubic(y - p) * cubic(x - q) * pixel
  return out


@pytest.mark.parametrize('size', [(9, 40), (30, 5), (1, 3)])
def test_weights_resize_as_one_pixel_at_a_time(size):
  image = np.random.default_rng(0).standard_normal((7, 11)).astype(np.float32)
  by_y = resize.cubic_weights(jnp.arange(size[0]), 7, size[0])
  by_x = resize.cubic_weights(jnp.arange(size[1]), 11, size[1])
  np.testing.assert_allclose(by_y @ image @ by_x.T, resize_by_loops(image, *size), atol=1e-5)


@pytest.mark.parametrize('size', [(9, 40), (70, 131), (3, 200), (64, 64), (1, 1)])
def test_peaks_are_those_of_the_resized_maps(size):
  maps = np.random.default_rng(1).standard_normal((3, 6, 8)).astype(np.float32)
  points, values = compiling.jit(resize.peaks)(maps, jnp.array(size))
  for image, (x, y), value in zip(maps, points, values, strict=True):
    resized = resize_by_loops(image, *size)
    assert (int(y), int(x)) == np.unravel_index(resized.argmax(), size)
    assert value == pytest.approx(resized.max(), abs=1e-5)


def test_of_nothing_there_is_no_peak():
  points, values = resize.peaks(jnp.ones((2, 6, 8)), (jnp.int32(0), jnp.int32(0)))
  assert not points.any()
  assert (values == -jnp.inf).all()
