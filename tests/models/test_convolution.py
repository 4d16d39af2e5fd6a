"""Convolution's gradients against XLA's own, deconvolution and pooling against literal loops."""

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models import convolution, layers


def _random(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


# (h, w), size, stride, padding, C, D. Each way through the code, remainders and odd sizes among them.
CASES = [
  ((10, 7), 3, 1, 1, 4, 6),  # kernel gradient: the input's columns beside each other
  ((10, 7), 3, 1, 1, 13, 3),  # the output's
  ((10, 7), 3, 1, 1, 3, 6),  # few inputs
  ((18, 15), 3, 1, 1, 6, 20),  # added columns
  ((4, 3), 3, 1, 1, 40, 24),  # large kernel, small map: an input gradient by taps
  ((4, 3), 3, 1, 1, 25, 72),  # and one product
  ((5, 7), 3, 2, 1, 40, 24),
  ((10, 8), 3, 2, 1, 4, 6),
  ((9, 13), 3, 2, 1, 3, 6),
  ((9, 12), 3, 1, 0, 6, 6),  # without padding
  ((15, 18), 7, 2, 3, 3, 5),
  ((9, 14), 4, 4, 0, 3, 6),  # pixels left over at the far edges
  ((8, 12), 2, 2, 0, 9, 6),
  ((6, 9), 2, 1, 1, 9, 5),
  ((7, 9), 2, 2, 0, 4, 6),  # few inputs, a row left over
  ((6, 9), 1, 1, 0, 6, 4),
  ((7, 9), 1, 2, 0, 4, 6),
]


@pytest.mark.parametrize(('shape', 'size', 'stride', 'padding', 'c', 'd'), CASES)
def test_convolution_and_its_gradients_equal_those_of_xla(shape, size, stride, padding, c, d):
  x = _random(2, *shape, c)
  kernel = _random(size, size, c, d, seed=1)

  def plain(x, kernel):
    return lax.conv_general_dilated(
      x,
      kernel,
      (stride, stride),
      ((padding, padding),) * 2,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )

  def results(fn):
    y, vjp = jax.vjp(fn, x, kernel)
    return y, *vjp(_random(*y.shape, seed=2))

  expected = jax.jit(lambda: results(plain))()
  actual = jax.jit(lambda: results(lambda x, k: layers.conv2d(x, k, stride, padding)))()
  for a, e, what in zip(actual, expected, ('output', 'input', 'kernel'), strict=True):
    scale = float(jnp.abs(e).max())
    np.testing.assert_allclose(a / scale, e / scale, atol=1e-5, err_msg=what)


def test_the_cases_take_every_form():
  taken = {
    convolution.form(shape, (size, size, c, d), stride, padding)
    for shape, size, stride, padding, c, d in CASES
  }
  assert taken == set(convolution.FORMS)


def test_gradient_keeps_dtype_of_bfloat16():
  x, kernel = _random(2, 6, 5, 4).astype(jnp.bfloat16), _random(3, 3, 4, 5).astype(jnp.bfloat16)
  dx, dk = jax.grad(lambda x, k: layers.conv2d(x, k, 1, 1).sum().astype(jnp.float32), (0, 1))(
    x, kernel
  )
  assert dx.dtype == dk.dtype == jnp.bfloat16


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


@pytest.mark.parametrize('shape', [(8, 6), (7, 6), (6, 9), (5, 3)])
@pytest.mark.parametrize(('window', 'padding'), [(2, 0), (2, 1), (3, 1), (3, 0)])
def test_max_pool_and_its_gradient_equal_flax(shape, window, padding):
  # All values differ, so every window has one maximum.
  size = 2 * shape[0] * shape[1] * 3
  x = np.random.default_rng(0).permutation(size).reshape(2, *shape, 3).astype(np.float32) - size / 2

  def flax_pool(x):
    return nn.max_pool(x, (window, window), (2, 2), ((padding, padding),) * 2)

  y, vjp = jax.vjp(lambda x: layers.max_pool(x, window, 2, padding), x)
  expected, expected_vjp = jax.vjp(flax_pool, x)
  np.testing.assert_array_equal(y, expected)
  dy = _random(*y.shape)
  np.testing.assert_allclose(vjp(dy)[0], expected_vjp(dy)[0], rtol=1e-6)


def test_max_pool_gives_a_tie_to_the_first_in_row_major_order():
  x = jnp.zeros((1, 4, 6, 1))
  gradient = jax.grad(lambda x: layers.max_pool(x, 3, 2, padding=1).sum())(x)
  # Windows of padded 3x3 begin at rows -1, 1 and columns -1, 1, 3; the first real pixel wins.
  expected = np.zeros((4, 6))
  for row in (0, 1):
    for column in (0, 1, 3):
      expected[row, column] += 1
  np.testing.assert_array_equal(gradient[0, :, :, 0], expected)
  gradient = jax.grad(lambda x: layers.max_pool(x, 2).sum())(x)
  np.testing.assert_array_equal(gradient[0, :, :, 0], np.tile([[1, 0], [0, 0]], (2, 3)))


def test_average_pool_and_upsampling_by_hand():
  x = jnp.arange(15.0).reshape(1, 3, 5, 1)
  np.testing.assert_array_equal(layers.avg_pool2(x)[0, :, :, 0], [[3, 5]])
  y = layers.upsample(x[:, :2, :3], 2)
  np.testing.assert_array_equal(
    y[0, :, :, 0],
    [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], [5, 5, 6, 6, 7, 7], [5, 5, 6, 6, 7, 7]],
  )
