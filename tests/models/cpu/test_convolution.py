"""A CPU's forms of convolution, and their gradients, against XLA's own."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.models import layers
from posejax.models.cpu import convolution


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
  ((11, 13), 3, 1, 1, 130, 128),  # fewer products, a row and a column of tiles cut off
  ((10, 14), 3, 1, 1, 128, 129),
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


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_fewer_products_round_as_the_sums_do(dtype):
  x = _random(2, 13, 15, 128).astype(dtype)
  kernel = _random(3, 3, 128, 130, seed=1).astype(dtype)

  def error(form):
    y = jax.jit(lambda: convolution.FORMS[form](x, kernel, 1, 1))()
    assert y.dtype == x.dtype
    return float(np.abs(np.asarray(y, np.float64) - exact).max())

  with jax.enable_x64():
    args = (jnp.asarray(np.asarray(a, np.float64)) for a in (x, kernel))
    exact = np.asarray(convolution.plain(*args, 1, 1))
  assert exact.dtype == np.float64
  assert 0 < error('winograd') <= 2 * error('plain')


def test_gradient_keeps_dtype_of_bfloat16():
  x, kernel = _random(2, 6, 5, 4).astype(jnp.bfloat16), _random(3, 3, 4, 5).astype(jnp.bfloat16)
  dx, dk = jax.grad(lambda x, k: layers.conv2d(x, k, 1, 1).sum().astype(jnp.float32), (0, 1))(
    x, kernel
  )
  assert dx.dtype == dk.dtype == jnp.bfloat16
