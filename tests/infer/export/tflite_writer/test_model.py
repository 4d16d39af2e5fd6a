"""Every rule against JAX: LiteRT runs what was written."""

import hypothesis
from hypothesis import strategies as st
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.models import layers
from posejax.models.necks import movenet_fpn
from tests.infer.export import pipelines, programs
from tests.infer.export.programs import X, floats

interpreter = pytest.importorskip(
  'ai_edge_litert.interpreter', reason="needs pip install 'posejax[litert]'"
)
tflite = pytest.importorskip('posejax.infer.export.tflite_writer.model')

_FEW = hypothesis.settings(
  max_examples=20,
  deadline=None,
  derandomize=True,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def run_both(fn, arrays, tolerance=2e-6):
  """Compare a function of arrays with its model; return the model's operators."""
  named = {f'x{i}': array for i, array in enumerate(arrays)}
  shapes = {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in named.items()}

  def by_name(**inputs):
    found = fn(*inputs.values())
    return {f'y{i}': y for i, y in enumerate(found if isinstance(found, tuple) else (found,))}

  run = interpreter.Interpreter(model_content=tflite.to_tflite(by_name, shapes))
  # Before what XNNPACK takes is one operator.
  ops = [node['op_name'] for node in run._get_ops_details()]
  found = run.get_signature_runner()(**named)
  for name, expected in by_name(**{n: jnp.asarray(a) for n, a in named.items()}).items():
    wanted = np.asarray(expected)
    assert (found[name].shape, found[name].dtype) == (wanted.shape, wanted.dtype)
    scale = np.abs(np.where(np.isfinite(wanted), wanted, 0)).max(initial=1.0)
    np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=tolerance * scale)
  return [op for op in ops if op != 'DELEGATE']


@pytest.mark.parametrize('name', [n for n in programs.ELEMENTWISE if n not in ('erf', 'gelu')])
def test_elementwise(name):
  run_both(programs.ELEMENTWISE[name], [X])


def test_elementwise_of_positive_numbers():
  run_both(
    lambda x: (jnp.log(x), jnp.sqrt(x), lax.rsqrt(x), jnp.log1p(x), x**0.3), [programs.POSITIVE]
  )


@pytest.mark.parametrize('name', programs.MOVING)
def test_what_moves(name):
  run_both(programs.MOVING[name], [X])


@pytest.mark.parametrize('name', programs.REDUCTIONS)
def test_reductions(name):
  run_both(lambda x: tuple(jax.tree.leaves(programs.REDUCTIONS[name](x))), [X])


_MANY_AXES = {
  'sums': lambda x: x[:, :, None, :, None] + x[:, None, :, None, :] * x[:1, :1, None, None, None],
  'pads': lambda x: jnp.pad(x.reshape(3, 1, 5, 2, 1, 2), ((0, 0),) * 3 + ((1, 0),) * 3),
  'slices': lambda x: x.reshape(3, 1, 5, 2, 1, 2)[1:, :, ::2, :, :, 1:],
  'turns': lambda x: x.reshape(3, 1, 5, 2, 1, 2).transpose(5, 3, 1, 0, 2, 4),
  'choices': lambda x: jnp.where(x[:, :, None, :, None] > 0, x[:, None, :, None, :], -1.0),
}


@pytest.mark.parametrize('name', _MANY_AXES)
def test_more_axes_than_operators_take(name):
  x = X if name in ('pads', 'slices', 'turns') else floats(3, 4, 4)
  run_both(_MANY_AXES[name], [x])


@_FEW
@hypothesis.given(
  st.tuples(st.integers(1, 3), st.integers(1, 3)),
  st.tuples(st.integers(1, 3), st.integers(1, 2)),
  st.tuples(*[st.tuples(st.integers(-1, 3), st.integers(0, 2))] * 2),
  st.tuples(st.integers(1, 2), st.integers(1, 3)),
  st.tuples(st.integers(1, 2), st.integers(1, 2)),
  st.sampled_from([1, 2, 4]),
  st.booleans(),
)
def test_convolutions(kernel, strides, padding, lhs_dilation, rhs_dilation, groups, padded):
  x = floats(2, 9, 7, 4)
  weights = floats(*kernel, 4 // groups, 8, seed=1)

  def convolve(x):
    if padded:
      x = jnp.pad(x, [(0, 0), (1, 2), (0, 1), (0, 0)])
    return lax.conv_general_dilated(
      x,
      weights,
      strides,
      padding,
      lhs_dilation,
      rhs_dilation,
      ('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=groups,
    )

  run_both(convolve, [x], tolerance=1e-5)


def test_convolution_of_other_layouts():
  def convolve(x):
    return lax.conv_general_dilated(
      x, floats(5, 3, 4, 2), (2, 1), 'SAME', dimension_numbers=('NCHW', 'OIHW', 'NCHW')
    )

  run_both(convolve, [floats(2, 3, 9, 6)], tolerance=1e-5)


@pytest.mark.parametrize(
  'equation', ['bij,jk->bik', 'bij,bkj->bik', 'bij,kj->bik', 'bij,kji->bk', 'bij,ij->b']
)
def test_products(equation):
  shapes = {'b': 3, 'i': 5, 'j': 4, 'k': 2}
  second = floats(*(shapes[letter] for letter in equation.split('->')[0].split(',')[1]), seed=1)
  if equation.split(',')[1].startswith('b'):
    run_both(lambda x, y: jnp.einsum(equation, x, y), [X, second], tolerance=1e-5)
  else:
    run_both(lambda x: jnp.einsum(equation, x, second), [X], tolerance=1e-5)


@pytest.mark.parametrize('kind', [(2, 0), (3, 0), (3, 1)])
@pytest.mark.parametrize(('height', 'width'), [(3, 8), (11, 4), (6, 5)])
def test_pools_become_one_operator(height, width, kind):
  window, padding = kind
  x = floats(2, height, width, 3)
  ops = run_both(lambda x: layers.max_pool(x, window, padding=padding), [x])
  assert ops.count('MAX_POOL_2D') == 1
  assert set(ops) <= {'MAX_POOL_2D', 'PADV2', 'SLICE'}  # of an odd last row
  # Behind a ReLU zeros are as low as nothing, and XNNPACK takes them.
  ops = run_both(lambda x: layers.max_pool(jax.nn.relu(x - 0.5), window, padding=padding), [x])
  assert 'PADV2' not in ops


def test_average_pool_and_resizing_become_one_operator():
  x = floats(2, 7, 8, 3)
  assert run_both(layers.avg_pool2, [x]).count('AVERAGE_POOL_2D') == 1
  assert run_both(lambda x: layers.upsample(x, 3), [x]) == ['RESIZE_NEAREST_NEIGHBOR']
  assert run_both(movenet_fpn.double, [x]) == ['RESIZE_BILINEAR']


@pytest.mark.parametrize('factor', [2, 4])
@pytest.mark.parametrize('features', [1, 5])
def test_deconvolution_becomes_one_operator(factor, features):
  kernel = floats(2 * factor, 2 * factor, 3, features, seed=1)
  scale, offset = floats(features, seed=2), floats(features, seed=3)

  def net(x):
    return jax.nn.relu(layers.deconv2d(x, kernel) * scale + offset)

  assert run_both(net, [floats(1, 4, 3, 3)], tolerance=1e-5) == ['TRANSPOSE_CONV']


def _conv(x, weights, stride=1, padding='SAME'):
  return lax.conv_general_dilated(
    x, weights, (stride, stride), padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


def test_norm_and_relu_go_into_the_convolution():
  weights, scale = floats(3, 3, 4, 6), floats(6, seed=1)

  def net(x):
    # Used twice, so that the second may not change what the first sees.
    z = _conv(x, weights) * scale - 0.5
    return jax.nn.relu6(4 * _conv(x, weights)), jax.nn.relu(z), z.sum((1, 2))

  ops = run_both(net, [floats(2, 5, 4, 4)], tolerance=1e-5)
  assert sorted(ops) == ['CONV_2D', 'CONV_2D', 'RELU', 'SUM']


def test_normalisation_goes_into_the_convolution_but_for_a_shift():
  mean, std = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.3, 0.1], np.float32)
  images = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)

  def net(x, padding):
    return _conv((x / np.float32(255) - mean) / std, floats(3, 3, 3, 5), 2, padding)

  for padding in ('SAME', ((1, 1), (1, 1))):
    ops = run_both(lambda x: net(x.astype(jnp.float32), padding), [images], tolerance=1e-5)  # noqa: B023
    assert [op for op in ops if op != 'PAD'] == ['CAST', 'ADD', 'CONV_2D']
  # Of what is seen by others too a product and a sum are left.
  both = lambda x: ((y := (x / 255 - mean) / std), _conv(y, floats(3, 3, 3, 5)))  # noqa: E731
  ops = run_both(lambda x: both(x.astype(jnp.float32)), [images], tolerance=1e-5)
  assert sorted(ops) == ['ADD', 'CAST', 'CONV_2D', 'MUL']


def test_numbers_that_make_channels_stay_what_they_are():
  net = lambda x: _conv((x * np.array([1, 2, 3], np.float32) + 1) / 3, floats(1, 1, 3, 5))  # noqa: E731
  run_both(net, [floats(2, 5, 4, 1)], tolerance=1e-5)


def test_a_channel_scaled_by_next_to_nothing_keeps_its_shift():
  scale, shift = np.array([1, 1e-6, 1], np.float32), np.array([0, 1, -1], np.float32)
  net = lambda x: _conv(x * scale + shift, floats(1, 1, 3, 5))  # noqa: E731
  run_both(net, [floats(2, 5, 4, 3)], tolerance=1e-6)


def test_padding_in_front_goes_into_the_convolution_where_it_is_the_usual_one():
  pad = lambda x, *ends: jnp.pad(x, ((0, 0), ends, ends, (0, 0)))  # noqa: E731
  weights, x = floats(3, 3, 4, 6), floats(1, 8, 6, 4)
  assert run_both(lambda x: _conv(pad(x, 0, 1), weights, 2, 'VALID'), [x], 1e-5) == ['CONV_2D']
  ops = run_both(lambda x: _conv(pad(x, 1, 1), weights, 2, 'VALID'), [x], 1e-5)
  assert ops == ['PAD', 'CONV_2D']


def test_what_is_known_or_an_input_is_an_output():
  run_both(lambda x: (x, x, jnp.arange(3.0), x + 1, (x + 1)[:, 0], jnp.zeros((2, 3))), [X])


def test_the_form_for_any_platform_is_taken():
  def fn(x):
    return lax.platform_dependent(x, tpu=jnp.sin, default=jax.jit(jnp.cos))

  assert run_both(fn, [X]) == ['COS']


def test_what_cannot_be_written_is_named():
  with pytest.raises(
    PosejaxError, match="computes 'while', which cannot be written to TensorFlow Lite yet"
  ):
    run_both(lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x), [X])
  with pytest.raises(PosejaxError, match="computes 'erf'"):
    run_both(lax.erf, [X])
  with pytest.raises(PosejaxError, match='MUL of uint8'):
    run_both(lambda x: x * x, [X.astype(np.uint8)])
  with pytest.raises(PosejaxError, match="bfloat16 cannot be written.*dtype='float32'"):
    run_both(lambda x: x.astype(jnp.bfloat16) * 2, [X])
  with pytest.raises(PosejaxError, match='a kernel that it computes'):
    run_both(_conv, [floats(1, 8, 6, 4), floats(3, 3, 4, 6)])


def test_half_the_space():
  fn = lambda x: {'y': _conv(x, floats(3, 3, 4, 600))}  # noqa: E731
  x = floats(1, 5, 6, 4)
  shapes = {'x': jax.ShapeDtypeStruct(x.shape, x.dtype)}
  whole, half = (tflite.to_tflite(fn, shapes, half=half) for half in (False, True))
  assert len(half) < 0.6 * len(whole)
  found = interpreter.Interpreter(model_content=half).get_signature_runner()(x=x)['y']
  error = np.abs(found - fn(x)['y']).max() / np.abs(found).max()
  assert 1e-6 < error < 1e-3


@pytest.mark.parametrize('options', [{'variant': 'wide', 'depth': 10, 'width': 1}, {}])
def test_classifiers(options):
  model = models.create('svhn_cnn', **options)
  images = floats(1, 16, 12, 3)
  variables = pipelines.draw(jax.eval_shape(model.init, jax.random.key(0), images))
  fn = lambda x: jax.nn.softmax(model.apply(variables, x)['logits'])  # noqa: E731
  run_both(fn, [images], tolerance=1e-5)
