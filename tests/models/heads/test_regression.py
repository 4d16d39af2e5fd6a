import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from tests import compiling


def _shapes(model, size):
  return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *size, 3)))


@pytest.mark.parametrize(
  ('name', 'options', 'size', 'count'),
  [
    # torchvision's counts without the classifier (11,176,512; 23,508,032) and one dense layer.
    ('regression_resnet18', {}, (64, 96), 11_176_512 + 513 * 34),
    ('regression_resnet50', {'sigmas': True}, (64, 96), 23_508_032 + 2049 * 68),
    # By stage 18,560 + 57,728 + 230,144 + 578,688 + 1,082,880 after the first convolution's 2,464; the
    # dense layers see 3 x 3 pixels of 256 channels.
    ('regression_cnn', {}, (220, 220), 1_970_464 + (3 * 3 * 256 + 1) * 256 + 257 * 34),
  ],
)
def test_parameter_count(name, options, size, count):
  params = _shapes(models.create(name, **options), size)['params']
  assert sum(p.size for p in jax.tree.leaves(params)) == count


@pytest.mark.parametrize('name', ['regression_resnet34', 'regression_resnet101', 'regression_cnn'])
def test_four_numbers_per_keypoint_with_sigmas(name):
  for sigmas, numbers in ((False, 2), (True, 4)):
    model = models.create(name, num_keypoints=5, sigmas=sigmas, dtype='bfloat16')
    variables = _shapes(model, (64, 96))
    out = jax.eval_shape(model.apply, variables, jnp.zeros((3, 64, 96, 3)))
    assert jax.tree.map(lambda x: (x.shape, str(x.dtype)), out) == {
      'coordinates': ((3, 5, numbers), 'float32')
    }


def test_starts_at_the_middle_of_the_crop():
  model = models.create('regression_cnn', sigmas=True, features=(4, 6), hidden=8)
  x = np.random.default_rng(0).normal(size=(2, 24, 16, 3)).astype(np.float32)
  coordinates = model.apply(compiling.jit(model.init)(jax.random.key(0), x), x)['coordinates']
  np.testing.assert_allclose(coordinates[..., :2], 0.5, atol=0.1)
  np.testing.assert_allclose(coordinates[..., 2:], 0, atol=0.1)
