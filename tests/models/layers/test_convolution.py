"""Deconvolution against literal loops; convolution is in tests/models/cpu."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models import layers


def _random(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def _deconv_by_loops(x, kernel, dy):
  """Scatter as PyTorch documents it: output pixel `2 i + k - 1` gets `x[i] * kernel[k]`."""
  batch, h, w, _ = x.shape
  y = np.zeros((batch, 2 * h, 2 * w, kernel.shape[-1]))
  dx, dk = np.zeros(x.shape), np.zeros(kernel.shape)
  for i in range(h):
    for j in range(w):
      for u in range(4):
        for v in range(4):
          row, column = 2 * i + u - 1, 2 * j + v - 1
          if 0 <= row < 2 * h and 0 <= column < 2 * w:
            y[:, row, column] += x[:, i, j] @ kernel[u, v]
            dx[:, i, j] += dy[:, row, column] @ kernel[u, v].T
            dk[u, v] += x[:, i, j].T @ dy[:, row, column]
  return y, dx, dk


@pytest.mark.parametrize(('h', 'w', 'c', 'd'), [(3, 5, 2, 3), (4, 2, 3, 2), (2, 3, 40, 70)])
def test_deconvolution_and_its_gradients_equal_a_scatter(h, w, c, d):
  x, kernel = _random(2, h, w, c), _random(4, 4, c, d, seed=1)
  dy = _random(2, 2 * h, 2 * w, d, seed=2)
  y, vjp = jax.vjp(layers.deconv2d, x, kernel)
  expected = _deconv_by_loops(*(np.asarray(a, np.float64) for a in (x, kernel, dy)))
  for a, e, what in zip((y, *vjp(dy)), expected, ('output', 'input', 'kernel'), strict=True):
    np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4, err_msg=what)
