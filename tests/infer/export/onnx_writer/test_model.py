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
from posejax.infer.export.onnx_writer.model import to_onnx
from posejax.models import layers
from posejax.models.necks import movenet_fpn
from tests.infer.export import pipelines, programs
from tests.infer.export.programs import X, floats

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


@pytest.mark.parametrize('name', programs.ELEMENTWISE)
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
    run_both(lambda x, y: jnp.einsum(equation, x, y), [X, second], tolerance=1e-5)
  else:
    run_both(lambda x: jnp.einsum(equation, x, second), [X], tolerance=1e-5)


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


def test_bilinear_doubling_becomes_one_operator():
  ops = run_both(movenet_fpn.double, [floats(2, 7, 8, 3)])
  assert [op for op in ops if op not in ('Transpose', 'Identity')] == ['Resize']
  ops = run_both(lambda x: movenet_fpn.double(x) + movenet_fpn.double(2 * x), [floats(2, 3, 4, 3)])
  assert ops.count('Resize') == 2
  assert 'Slice' not in ops


@pytest.mark.parametrize('axis', [1, 2])
def test_what_only_looks_like_a_resize_is_none(axis):
  def fn(x):
    n = x.shape[axis]
    cut = lambda start, end: lax.slice_in_dim(x, start, end, axis=axis)  # noqa: E731
    before = jnp.concatenate([cut(0, 1), cut(0, n - 1)], axis)
    pairs = jnp.stack([0.7 * x + 0.3 * before, x], axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])

  assert 'Resize' not in run_both(fn, [floats(2, 4, 3, 2)])


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

  assert 'Cos' in run_both(fn, [X])


def test_a_number_that_several_convolutions_add_becomes_each_ones_bias():
  rng = np.random.default_rng(0)
  one, two = (rng.normal(size=(3, 3, *io)).astype(np.float32) for io in ((3, 8), (8, 4)))

  def fn(x):
    for kernel in (one, two):
      x = lax.conv_general_dilated(
        x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
      )
      x = x + 0.5
    return x

  run_both(fn, [floats(2, 9, 12, 3)], tolerance=1e-4)


def test_what_cannot_be_written_is_named():
  with pytest.raises(PosejaxError, match="computes 'while', which cannot be written to ONNX"):
    run_both(lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x), [X])
  with pytest.raises(PosejaxError, match="bfloat16 cannot be written.*dtype='float32'"):
    run_both(lambda x: x.astype(jnp.bfloat16) * 2, [X])
  with pytest.raises(PosejaxError, match="'cond' by what it sees"):
    run_both(lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), [X])


@pytest.mark.parametrize('options', [{'variant': 'wide', 'depth': 10, 'width': 1}, {}])
def test_classifiers(options):
  model = models.create('svhn_cnn', **options)
  images = floats(2, 16, 12, 3)
  variables = pipelines.draw(jax.eval_shape(model.init, jax.random.key(0), images))
  fn = lambda x: jax.nn.softmax(model.apply(variables, x)['logits'])  # noqa: E731
  run_both(fn, [images], tolerance=1e-5)
