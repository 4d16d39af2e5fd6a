import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.models import layers
from posejax.models.heads import fcn8s
from tests import compiling


def _shapes(model, size):
  return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *size, 3)))


@pytest.mark.parametrize(
  ('batch_norm', 'count'),
  # The encoder's (14,714,688 and 14,723,136), three 1x1 convolutions to 18 classes and three
  # deconvolutions between them, of 4, 4 and 16 pixels.
  [
    (False, 14_714_688 + (512 + 512 + 256 + 3) * 18 + (16 + 16 + 256) * 18 * 18),
    (True, 14_723_136 + (512 + 512 + 256 + 3) * 18 + (16 + 16 + 256) * 18 * 18),
  ],
)
def test_parameter_count_and_size(batch_norm, count):
  model = models.create('fcn8s', batch_norm=batch_norm, dtype='bfloat16')
  variables = _shapes(model, (64, 96))
  assert sum(p.size for p in jax.tree.leaves(variables['params'])) == count
  out = jax.eval_shape(model.apply, variables, jnp.zeros((2, 64, 96, 3)))
  assert (out['logits'].shape, str(out['logits'].dtype)) == ((2, 64, 96, 18), 'float32')


def test_width_narrows_the_encoder():
  params = _shapes(models.create('fcn8s', width=0.25), (32, 64))['params']
  assert params['backbone']['conv5_3']['kernel'].shape == (3, 3, 128, 128)
  assert params['head']['score_pool3']['kernel'].shape == (1, 1, 64, 18)


def test_a_size_that_the_maps_do_not_fit_is_refused():
  with pytest.raises(PosejaxError, match=r'\(96, 72\) must be divisible by 32.*try \(96, 64\)'):
    _shapes(models.create('fcn8s'), (96, 72))


def interpolate(x, factor):
  """Bilinear interpolation at every pixel's middle, one by one; beyond the border there are zeros."""
  h, w, c = x.shape
  padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
  y = np.zeros((h * factor, w * factor, c))
  for i, j in np.ndindex(h * factor, w * factor):
    row, column = (i + 0.5) / factor - 0.5 + 1, (j + 0.5) / factor - 0.5 + 1
    top, left = int(np.floor(row)), int(np.floor(column))
    down, right = row - top, column - left
    for a, b, weight in (
      (0, 0, (1 - down) * (1 - right)),
      (0, 1, (1 - down) * right),
      (1, 0, down * (1 - right)),
      (1, 1, down * right),
    ):
      y[i, j] += weight * padded[top + a, left + b]
  return y


@pytest.mark.parametrize('factor', [2, 8])
def test_upsampling_starts_bilinear(factor):
  x = np.random.default_rng(0).normal(size=(1, 3, 5, 2)).astype(np.float32)
  layer = layers.Deconv(2, 'float32', fcn8s.bilinear, factor)
  y = layer.apply(layer.init(jax.random.key(0), x), x)
  assert y.shape == (1, 3 * factor, 5 * factor, 2)
  np.testing.assert_allclose(y[0], interpolate(x[0].astype(float), factor), atol=1e-5)


def test_every_map_reaches_the_output():
  model = models.create('fcn8s', num_keypoints=2, width=1 / 16)
  x = np.random.default_rng(0).normal(size=(2, 32, 64, 3)).astype(np.float32)
  variables = compiling.jit(model.init)(jax.random.key(0), x)

  def energy(head):
    params = {**variables['params'], 'head': head}
    outputs, _ = model.apply({**variables, 'params': params}, x, True, mutable=['batch_stats'])
    return (outputs['logits'] ** 2).sum()

  gradients = compiling.jit(jax.grad(energy))(variables['params']['head'])
  assert set(gradients) == {f'{part}_pool{i}' for part in ('score', 'deconv') for i in (3, 4, 5)}
  for gradient in jax.tree.leaves(gradients):
    assert np.any(gradient)
