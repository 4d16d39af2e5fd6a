"""Every rule against JAX: onnxruntime runs what was written, at two sizes of batch."""

import hypothesis
from hypothesis import strategies as st
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from posejax import models
from posejax.errors import PosejaxError
from posejax.infer.export.onnx_writer.walk import to_onnx
from posejax.models import layers
from tests.infer.export import pipelines

_FEW = hypothesis.settings(
  max_examples=20,
  deadline=None,
  derandomize=True,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def run_both(fn, arrays, symbolic=True, tolerance=2e-6):
  """Compare a function of arrays with its ONNX model; return the model's operators."""
  named = {f'x{i}': array for i, array in enumerate(arrays)}
  (batch,) = jax.export.symbolic_shape('B')
  shapes = {
    name: jax.ShapeDtypeStruct((batch, *a.shape[1:]) if symbolic else a.shape, a.dtype)
    for name, a in named.items()
  }

  def by_name(**inputs):
    found = fn(*inputs.values())
    return {f'y{i}': y for i, y in enumerate(found if isinstance(found, tuple) else (found,))}

  model = to_onnx(by_name, shapes)
  session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=['CPUExecutionProvider']
  )
  for size in (len(arrays[0]), 1) if symbolic else (len(arrays[0]),):
    some = {name: array[:size] if symbolic else array for name, array in named.items()}
    expected = by_name(**{name: jnp.asarray(array) for name, array in some.items()})
    for output, found in zip(session.get_outputs(), session.run(None, some), strict=True):
      wanted = np.asarray(expected[output.name])
      assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
      scale = np.abs(np.where(np.isfinite(wanted), wanted, 0)).max(initial=1.0)
      np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=tolerance * scale)
  return [node.op_type for node in model.graph.node]


def floats(*shape, seed=0):
  return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


_X = floats(3, 5, 4)
_POSITIVE = np.abs(_X) + 0.1
_ELEMENTWISE = {
  'arithmetic': lambda x: (x + 1.5) * x - x / 3,
  'maximum': lambda x: jnp.maximum(jnp.minimum(x, 0.5), -x),
  'relu': jax.nn.relu,
  'sigmoid': jax.nn.sigmoid,
  'tanh': jnp.tanh,
  'silu': jax.nn.silu,
  'gelu': lambda x: jax.nn.gelu(x, approximate=False),
  'gelu, roughly': jax.nn.gelu,
  'erf': lax.erf,
  'softmax': jax.nn.softmax,
  'softplus': jax.nn.softplus,
  'leaky relu': lambda x: jax.nn.leaky_relu(x, 0.1),
  'hard sigmoid': jax.nn.hard_sigmoid,
  'clip': lambda x: jnp.clip(x, -0.5, 0.25),
  'clamp': lambda x: lax.clamp(-0.5, x, 0.25),
  'sign': jnp.sign,
  'rounding': lambda x: (jnp.floor(3 * x), jnp.ceil(3 * x), jnp.round(3 * x)),
  'rounding away': lambda x: lax.round(jnp.round(4 * x) / 2),
  'waves': lambda x: jnp.sin(x) + jnp.cos(x),
  'powers': lambda x: (x**2, x**3, jnp.square(x), jnp.exp2(x), jnp.expm1(x)),
  'comparison': lambda x: (x > 0, x >= x[:, ::-1], x < 0.1, x <= 0, x == x, x != x[:, ::-1]),
  'logic': lambda x: ((x > 0) & (x < 1), (x > 0) | (x < -1), ~(x > 0), (x > 0) ^ (x < 1)),
  'where': lambda x: jnp.where(x > 0, x, 2.0),
  'where, numbers': lambda x: jnp.where(x > 0, jnp.int32(3), jnp.int32(-1)),
  'where, truth': lambda x: jnp.where(x > 0, x > 1, x < -1),
  'finite': lambda x: jnp.isfinite(jnp.where(x > 0, x / 0, jnp.where(x < -1, jnp.nan, x))),
  'types': lambda x: ((10 * x).astype(jnp.int32), x.astype(bool), (x > 0).astype(jnp.float32)),
  'remainder': lambda x: lax.rem(x, jnp.float32(0.3)),
  'whole numbers': lambda x: ((10 * x).astype(jnp.int32) // 3, (10 * x).astype(jnp.int32) % 3),
  'numbers from the batch': lambda x: x.mean(0) + x.shape[0],
}


@pytest.mark.parametrize('name', _ELEMENTWISE)
def test_elementwise(name):
  run_both(_ELEMENTWISE[name], [_X])


def test_elementwise_of_positive_numbers():
  run_both(lambda x: (jnp.log(x), jnp.sqrt(x), lax.rsqrt(x), jnp.log1p(x), x**0.3), [_POSITIVE])


_MOVING = {
  'transpose': lambda x: x.transpose(0, 2, 1),
  'flatten': lambda x: x.reshape(x.shape[0], -1),
  'cut and merge': lambda x: x.transpose(0, 2, 1).reshape(x.shape[0], 2, 2, 5).reshape(-1, 5),
  'merged batch': lambda x: x.reshape(-1, 4) * 2,
  'repeat': lambda x: jnp.broadcast_to(x[:, :, None], (x.shape[0], 5, 3, 4)).reshape(-1, 15, 4),
  'new axes': lambda x: x[:, None, :, None] + x[:, :, None, None],
  'slices': lambda x: (x[:, 1:4:2, -2:], x[:, 2], x[..., 0]),
  'reverse': lambda x: x[:, ::-1, ::-1],
  'places': lambda x: x[:, jnp.array([4, 0, 0, 2])],
  'places of two axes': lambda x: x[:, jnp.array([[4], [1]]), jnp.array([0, 3, 2])],
  'pad': lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=-2.0),
  'pad, cut off': lambda x: lax.pad(x, 1.0, ((0, 0, 0), (-1, 2, 0), (1, -2, 0))),
  'pad between': lambda x: lax.pad(x, 1.0, ((0, 0, 0), (1, 0, 2), (0, -1, 1))),
  'concatenate': lambda x: jnp.concatenate([x, x[:, :2], jnp.ones((x.shape[0], 1, 4))], 1),
  'stack': lambda x: jnp.stack([x, 2 * x], 2),
  'split': lambda x: tuple(jnp.split(x, [1, 3], 1)),
  'iota': lambda x: x + lax.broadcasted_iota(jnp.float32, x.shape, 1) * x.shape[0],
  'batch iota': lambda x: x + jnp.arange(x.shape[0])[:, None, None],
  'moving slice': lambda x: lax.dynamic_slice_in_dim(x, jnp.argmax(x.max((0, 2))), 3, 1),
  'take along': lambda x: jnp.take_along_axis(x, jnp.argsort(x, 1)[:, :2], 1),
  'take rows': lambda x: jnp.take_along_axis(x, jnp.argmax(x[..., :1], 1)[:, None], 1),
  'outside': lambda x: jnp.take_along_axis(x, jnp.array([[[7]]]) + 0 * x.astype(int)[:, :1], 1),
  'any order': lambda x: (x.transpose(0, 2, 1) + 1)[:, :, 1:].transpose(0, 2, 1) * x[:, 1:],
}


@pytest.mark.parametrize('name', _MOVING)
def test_what_moves(name):
  run_both(_MOVING[name], [_X])


_REDUCTIONS = {
  'sums': lambda x: (x.sum(1), x.sum((1, 2)), x.mean(-1), x.sum()),
  'extremes': lambda x: (x.max(1), x.min((1, 2)), jnp.prod(x, 1)),
  'of a repeated axis': lambda x: jnp.broadcast_to(x[:, None], (x.shape[0], 3, 5, 4)).sum(1),
  'truth': lambda x: ((x > 0).all(1), (x > 0).any((1, 2))),
  'places': lambda x: (jnp.argmax(x, 1), jnp.argmin(x, 2)),
  'cumulative': lambda x: (jnp.cumsum(x, 1), lax.cumsum(x, 2, reverse=True)),
  'sorting': lambda x: (jnp.sort(x, 1), jnp.argsort(x, 2)),
  'best': lambda x: lax.top_k(x, 2),
  'standard deviation': lambda x: x.std(1),
}


@pytest.mark.parametrize('name', _REDUCTIONS)
def test_reductions(name):
  run_both(lambda x: tuple(jax.tree.leaves(_REDUCTIONS[name](x))), [_X])


@_FEW
@hypothesis.given(
  st.tuples(st.integers(1, 3), st.integers(1, 3)),
  st.tuples(st.integers(1, 3), st.integers(1, 2)),
  st.tuples(*[st.tuples(st.integers(-1, 3), st.integers(0, 2))] * 2),
  st.tuples(st.integers(1, 2), st.integers(1, 3)),
  st.tuples(st.integers(1, 2), st.integers(1, 2)),
  st.sampled_from([1, 2]),
)
def test_convolutions(kernel, strides, padding, lhs_dilation, rhs_dilation, groups):
  x = floats(2, 9, 7, 4)
  weights = floats(*kernel, 4 // groups, 6, seed=1)

  def convolve(x):
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


def test_convolution_of_lines_and_by_an_input():
  line = lambda x, w: lax.conv_general_dilated(  # noqa: E731
    x, w, (2,), 'SAME', dimension_numbers=('NCH', 'OIH', 'NCH')
  )
  run_both(line, [floats(2, 3, 9), floats(5, 3, 4)], symbolic=False, tolerance=1e-5)


@pytest.mark.parametrize(
  'equation', ['bij,jk->bik', 'bij,bkj->bik', 'bij,kj->bik', 'bij,kji->bk', 'bij,ij->b']
)
def test_products(equation):
  shapes = {'b': 3, 'i': 5, 'j': 4, 'k': 2}
  second = floats(*(shapes[letter] for letter in equation.split('->')[0].split(',')[1]), seed=1)
  if equation.split(',')[1].startswith('b'):
    run_both(lambda x, y: jnp.einsum(equation, x, y), [_X, second], tolerance=1e-5)
  else:
    run_both(lambda x: jnp.einsum(equation, x, second), [_X], tolerance=1e-5)


@pytest.mark.parametrize('kind', [(2, 0), (3, 0), (3, 1)])
@pytest.mark.parametrize(('height', 'width'), [(3, 8), (11, 4), (6, 5)])
def test_pools_become_one_operator(height, width, kind):
  window, padding = kind
  x = floats(2, height, width, 3)
  ops = run_both(lambda x: layers.max_pool(x, window, padding=padding), [x])
  assert ops.count('MaxPool') == 1
  assert not {'Where', 'Pad'} & set(ops)


def test_average_pool_and_upsampling_become_one_operator():
  x = floats(2, 7, 8, 3)
  assert run_both(layers.avg_pool2, [x]).count('AveragePool') == 1
  ops = run_both(lambda x: layers.upsample(x, 3), [x])
  assert 'Resize' in ops
  assert 'Expand' not in ops


@pytest.mark.parametrize('factor', [2, 4])
def test_deconvolution_becomes_one_operator(factor):
  kernel = floats(2 * factor, 2 * factor, 3, 5, seed=1)
  scale, offset = floats(5, seed=2), floats(5, seed=3)

  def net(x):
    return jax.nn.relu(layers.deconv2d(x, kernel) * scale + offset)

  ops = run_both(net, [floats(2, 4, 3, 3)], tolerance=1e-5)
  assert [op for op in ops if op not in ('Transpose', 'Identity')] == ['ConvTranspose', 'Relu']


def test_batch_norm_goes_into_the_convolution():
  weights, scale = floats(3, 3, 4, 6), floats(6, seed=1)

  def net(x):
    y = lax.conv_general_dilated(
      x, weights, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    # Used twice, so that the second may not change what the first sees.
    z = y * scale - 0.5
    return jax.nn.relu(z), z.sum((1, 2))

  ops = run_both(net, [floats(2, 5, 4, 4)], tolerance=1e-5)
  assert 'Mul' not in ops
  assert 'Sub' in ops or 'Add' not in ops


def test_the_form_for_any_platform_is_taken():
  def fn(x):
    return lax.platform_dependent(x, tpu=jnp.sin, default=jax.jit(jnp.cos))

  assert 'Cos' in run_both(fn, [_X])


def test_what_cannot_be_written_is_named():
  with pytest.raises(PosejaxError, match="computes 'while', which cannot be written to ONNX"):
    run_both(lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x), [_X])
  with pytest.raises(PosejaxError, match="bfloat16 cannot be written.*dtype='float32'"):
    run_both(lambda x: x.astype(jnp.bfloat16) * 2, [_X])
  with pytest.raises(PosejaxError, match="'cond' by what it sees"):
    run_both(lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), [_X])


@pytest.mark.parametrize('options', [{'variant': 'wide', 'depth': 10, 'width': 1}, {}])
def test_classifiers(options):
  model = models.create('svhn_cnn', **options)
  images = floats(2, 16, 12, 3)
  variables = pipelines.draw(jax.eval_shape(model.init, jax.random.key(0), images))
  fn = lambda x: jax.nn.softmax(model.apply(variables, x)['logits'])  # noqa: E731
  run_both(fn, [images], tolerance=1e-5)
