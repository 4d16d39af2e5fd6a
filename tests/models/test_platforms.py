"""The platform that a program is for decides how its nets compute; and no batch size is in the way."""

import ast
import pathlib
import re

import jax
from jax import export
import numpy as np
import pytest

from posejax import models
from tests import compiling
from tests.models import nets


def programs(name: str, platforms: tuple[str, ...], gradient: bool) -> list[str]:
  """Return the texts of a net's programs for platforms, whatever devices there are here."""
  model, images = models.create(name, **nets.NETS[name][0]), nets.images(name)
  shapes = nets.shapes(model, images)

  def apply(variables, images):
    return model.apply(variables, images, train=gradient, mutable=['batch_stats'])[0]

  def loss(params, variables, images):
    outputs = apply({**variables, 'params': params}, images)
    return sum((y**2).sum() for y in outputs.values())

  arguments = (shapes, images)
  fn = apply
  if gradient:
    fn, arguments = jax.grad(loss), (shapes['params'], *arguments)
  traced = compiling.jit(fn).trace(*arguments)
  return [traced.lower(lowering_platforms=(platform,)).as_text() for platform in platforms]


def count(text: str, operation: str) -> int:
  return len(re.findall(rf'stablehlo\.{operation}\b', text))


def kernels(name: str) -> dict[int, int]:
  """Return how many kernels a net has, by their number of axes."""
  model = models.create(name, **nets.NETS[name][0])
  leaves = jax.tree.leaves(nets.shapes(model, nets.images(name))['params'])
  return {ndim: sum(leaf.ndim == ndim for leaf in leaves) for ndim in (2, 4)}


@pytest.mark.parametrize(
  'name', ['pose_densenet_compact', 'pose_resnet18', 'pose_hrnet_w32', 'fcn8s', 'svhn_cnn']
)
def test_an_accelerator_gets_plain_convolutions_and_a_cpu_its_own_forms(name):
  number = kernels(name)
  for gradient in (False, True):
    # Each kernel is in one convolution or product, and in two more for the gradients, except that
    # nobody asks for the gradient of the pictures.
    times, unused = (3, 1) if gradient else (1, 0)
    *accelerators, cpu = programs(name, ('cuda', 'tpu', 'cpu'), gradient)
    for text in accelerators:
      assert count(text, 'convolution') == times * number[4] - unused
      assert count(text, 'dot_general') == times * number[2]
      assert 'inlineable' not in text
    # There kernels of few inputs or of one pixel are products of matrices.
    assert count(cpu, 'convolution') < times * number[4] - unused
    assert count(cpu, 'dot_general') > times * number[2]
    assert ('inlineable' in cpu) == (name not in ('svhn_cnn', 'fcn8s'))  # which have no sums


# DenseNet-121 lowers for seconds, and is built of the same layers.
@pytest.mark.parametrize('name', [name for name in nets.NETS if name != 'pose_densenet121'])
def test_a_net_is_exported_for_any_batch(name):
  model, images = models.create(name, **nets.NETS[name][0]), nets.images(name, batch=3)
  shapes = nets.shapes(model, images)
  batch = export.symbolic_shape('B')
  symbolic = jax.ShapeDtypeStruct((*batch, *images.shape[1:]), images.dtype)
  exported = export.export(compiling.jit(model.apply), platforms=['cpu', 'cuda'])(shapes, symbolic)
  assert {y.shape[0] for y in exported.out_avals} == set(batch)
  if name in ('pose_densenet_compact', 'svhn_cnn'):  # the others compile for seconds
    variables = nets.draw(shapes)
    found = compiling.jit(exported.call)(variables, images)
    for key, expected in compiling.jit(model.apply)(variables, images).items():
      np.testing.assert_allclose(found[key], expected, rtol=1e-4, atol=1e-4)


def test_parallel_and_batched_nets_are_the_same():
  """Under `shard_map` and `vmap`, gradients included."""
  name = 'pose_densenet_compact'
  model, images = models.create(name, **nets.NETS[name][0]), nets.images(name)
  variables = nets.draw(nets.shapes(model, images))

  def gradient(variables, images):
    def loss(params):
      outputs = model.apply({**variables, 'params': params}, images)
      return sum((y**2).sum() for y in outputs.values())

    return jax.grad(loss)(variables['params'])

  expected = compiling.jit(gradient)(variables, images)
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ('data',))
  spec = jax.sharding.PartitionSpec
  sharded = jax.shard_map(
    gradient, mesh=mesh, in_specs=(spec(), spec('data')), out_specs=spec(), check_vma=False
  )
  batched = jax.vmap(gradient, (None, 0))
  for found in (
    compiling.jit(sharded)(variables, images),
    jax.tree.map(lambda g: g[1], compiling.jit(batched)(variables, np.stack([0 * images, images]))),
  ):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max()),
      found,
      expected,
    )


def test_no_layer_asks_which_devices_there_are_here():
  for path in pathlib.Path(models.__file__).parent.rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      if isinstance(node, ast.Attribute):
        assert node.attr not in ('default_backend', 'devices', 'local_devices'), (
          f'{path}:{node.lineno}'
        )
