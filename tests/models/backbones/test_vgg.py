import jax
import jax.numpy as jnp
import pytest

from posejax.models import compose
from posejax.models.backbones import vgg


@pytest.mark.parametrize(
  ('batch_norm', 'count'),
  # torchvision's 138,357,544 and 138,365,992 less the classifier's 123,642,856.
  [(False, 14_714_688), (True, 14_723_136)],
)
def test_parameter_counts_and_strides(batch_norm, count):
  images = jax.ShapeDtypeStruct((2, 64, 96, 3), jnp.float32)
  model = vgg.VGG16(batch_norm)
  variables = jax.eval_shape(model.init, jax.random.key(0), images)
  assert sum(x.size for x in jax.tree.leaves(variables['params'])) == count
  assert ('batch_stats' in variables) == batch_norm
  maps = jax.eval_shape(model.apply, variables, images)
  assert {stride: x.shape for stride, x in maps.items()} == {
    8: (2, 8, 12, 256),
    16: (2, 4, 6, 512),
    32: (2, 2, 3, 512),
  }


def test_training_updates_batch_statistics():
  images = jax.ShapeDtypeStruct((2, 32, 64, 3), jnp.float32)
  model = vgg.VGG16(True, **compose.handed(vgg.VGG16, compose.layers_of('bfloat16', 1)))
  variables = jax.eval_shape(model.init, jax.random.key(0), images)

  def apply(variables, images):
    return model.apply(variables, images, True, mutable=['batch_stats'])

  maps, state = jax.eval_shape(apply, variables, images)
  assert maps[32].dtype == jnp.bfloat16
  assert jax.tree.structure(state) == jax.tree.structure({'batch_stats': variables['batch_stats']})
