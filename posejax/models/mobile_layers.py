"""Layers of nets for small devices: depthwise convolution, TensorFlow's padding, folded batch norm.

TensorFlow's `SAME` pads a stride-2 convolution of an even side by nothing before and one pixel after,
where the nets of `posejax.models.layers` pad one on either side.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from posejax.models import layers
from posejax.models.cpu.convolution import DIMENSIONS

Padding = tuple[tuple[int, int], tuple[int, int]]
"""Pixels before and after, along the height and along the width."""

BATCH_NORM_EPSILON = 1e-3
"""Source: MobileNetV2 of keras-team/keras keras/src/applications/mobilenet_v2.py."""


def same_padding(shape: tuple[int, int], size: int, stride: int) -> Padding:
  """Return TensorFlow's `SAME` padding for a map of `shape` (h, w) and a kernel of `size` pixels.

  Source: tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
  """

  def along(n):
    missing = max((-(-n // stride) - 1) * stride + size - n, 0)
    return missing // 2, missing - missing // 2

  return along(shape[0]), along(shape[1])


def conv2d_same(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
  """Return the cross-correlation of `x` `[B, h, w, C]` with `kernel` `[k, k, C, D]`, padded `SAME`."""
  (top, bottom), (left, right) = padding = same_padding(x.shape[1:3], kernel.shape[0], stride)
  if top == bottom == left == right:
    return layers.conv2d(x, kernel, stride, top)
  return layers.conv2d(jnp.pad(x, ((0, 0), *padding, (0, 0))), kernel, stride)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise_conv2d(
  x: jax.Array, kernel: jax.Array, stride: int = 1, padding: Padding | None = None
) -> jax.Array:
  """Return each channel of `x` `[B, h, w, C]` correlated with its own `kernel` `[k, k, 1, C]`.

  For CPUs it is a sum of shifted products, which XLA computes 10 to 40 times as fast there as a
  convolution in C groups (benchmarks/depthwise.py); for GPUs and TPUs the latter. What a program is
  compiled for decides.

  Args:
    x: of height h and width w.
    kernel: of k x k pixels.
    stride: of both axes.
    padding: pixels around the map; TensorFlow's `SAME` where None.
  """
  padding = padding or same_padding(x.shape[1:3], kernel.shape[0], stride)
  return lax.platform_dependent(
    x,
    kernel,
    cpu=partial(_shifted_products, stride=stride, padding=padding),
    default=partial(grouped_conv2d, stride=stride, padding=padding),
  )


def _depthwise_forward(x, kernel, stride, padding):
  return depthwise_conv2d(x, kernel, stride, padding), (x, kernel)


def _depthwise_backward(stride, padding, residuals, dy):
  x, kernel = residuals
  padding = padding or same_padding(x.shape[1:3], kernel.shape[0], stride)

  def default(x, kernel, dy):
    fn = partial(grouped_conv2d, stride=stride, padding=padding)
    (dx,) = jax.linear_transpose(lambda x: fn(x, kernel), x)(dy)
    (dkernel,) = jax.linear_transpose(lambda kernel: fn(x, kernel), kernel)(dy)
    return dx, dkernel

  def cpu(x, kernel, dy):
    return (
      _input_gradient(dy, kernel, x.shape[1:3], stride, padding),
      _kernel_gradient(x, dy, kernel.shape[0], stride, padding),
    )

  return lax.platform_dependent(x, kernel, dy, cpu=cpu, default=default)


depthwise_conv2d.defvjp(_depthwise_forward, _depthwise_backward)


def grouped_conv2d(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
  """Return the depthwise convolution as XLA's convolution in as many groups as channels."""
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    padding,
    dimension_numbers=DIMENSIONS,
    feature_group_count=x.shape[-1],
  )


def _shifted_products(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
  size = kernel.shape[0]
  h, w = (
    (n + sum(around) - size) // stride + 1 for n, around in zip(x.shape[1:3], padding, strict=True)
  )
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  # Primitives of lax: a net has hundreds of these, and jax.numpy's take several times as long to trace.
  taps = kernel.reshape(size * size, 1, 1, 1, -1)
  parts = []
  for i in range(size):
    rows = lax.slice_in_dim(x, i, i + (h - 1) * stride + 1, stride, axis=1)
    for j in range(size):
      pixels = lax.slice_in_dim(rows, j, j + (w - 1) * stride + 1, stride, axis=2)
      tap = lax.index_in_dim(taps, i * size + j, keepdims=False)
      parts.append(lax.mul(pixels, lax.broadcast_in_dim(tap, pixels.shape, (0, 1, 2, 3))))
  return reduce(lax.add, parts)


def _input_gradient(
  dy: jax.Array, kernel: jax.Array, size: tuple[int, int], stride: int, padding: Padding
) -> jax.Array:
  """Return the gradient of the input of `size` (h, w): shifted products of `dy`, spread by the stride."""
  k, zero = kernel.shape[0], jnp.zeros((), dy.dtype)
  widths = [(0, 0, 0)]
  for side, outputs, (before, _) in zip(size, dy.shape[1:3], padding, strict=True):
    spread = (outputs - 1) * stride + 1
    low = k - 1 - before
    widths.append((low, side + k - 1 - spread - low, stride - 1))
  dy = lax.pad(dy, zero, (*widths, (0, 0, 0)))
  return _shifted_products(dy, kernel[::-1, ::-1], 1, ((0, 0), (0, 0)))


def _kernel_gradient(
  x: jax.Array, dy: jax.Array, size: int, stride: int, padding: Padding
) -> jax.Array:
  """Return the gradient of the kernel, a row at a time.

  A row's products are summed by one reduction of several operands: half the time, and half the time to
  compile, of one for each of them.
  """
  h, w = dy.shape[1:3]
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  rows = []
  for i in range(size):
    part = x[:, i : i + (h - 1) * stride + 1 : stride]
    products = tuple(part[:, :, j : j + (w - 1) * stride + 1 : stride] * dy for j in range(size))
    zeros = (jnp.zeros((), dy.dtype),) * size
    sums = lax.reduce(products, zeros, lambda a, b: tuple(map(jnp.add, a, b)), (0, 1, 2))
    rows.append(jnp.stack(sums))
  return jnp.stack(rows)[:, :, None]


class DepthwiseConv(nn.Module):
  """Depthwise convolution; `kernel` is `[size, size, 1, C]`.

  Attributes:
    size: odd with `symmetric`.
    stride: of both axes.
    bias: whether there is one.
    dtype: what it computes in.
    symmetric: pad by `size // 2` on either side, as nets of PyTorch do, not by TensorFlow's `SAME`.
    kernel_init: every output sees size * size inputs, whatever the number of channels.
  """

  size: int = 3
  stride: int = 1
  bias: bool = False
  dtype: Any = 'float32'
  symmetric: bool = False
  kernel_init: Callable = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolve `[B, h, w, C]` to `[B, ceil(h / stride), ceil(w / stride), C]`."""
    shape = (self.size, self.size, 1, x.shape[-1])
    kernel = layers.kernel_of(self, self.kernel_init, shape)
    along = (self.size // 2,) * 2
    padding = (along, along) if self.symmetric else None
    x = depthwise_conv2d(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
    if self.bias:
      x += self.param('bias', nn.initializers.zeros, shape[-1:], jnp.float32).astype(self.dtype)
    return x


class Conv(nn.Module):
  """Convolution with TensorFlow's `SAME` padding; `kernel` is `[size, size, C, features]`."""

  features: int
  size: int = 1
  stride: int = 1
  bias: bool = False
  dtype: Any = 'float32'
  kernel_init: Callable = layers.he_normal_fan_out
  bias_init: Callable = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolve `[B, h, w, C]` to `[B, ceil(h / stride), ceil(w / stride), features]`."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = layers.kernel_of(self, self.kernel_init, shape)
    x = conv2d_same(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
    if self.bias:
      x += self.param('bias', self.bias_init, shape[-1:], jnp.float32).astype(self.dtype)
    return x


class Normed(nn.Module):
  """A convolution whose batch norm is folded into it, as a bias, or stands behind it.

  Parameters: `conv`, and `bn` with `norm`.

  Attributes:
    conv: makes the convolution: `Conv` or `DepthwiseConv` with all but `bias`, `dtype` and `name`.
    batch_norm: one behind a convolution without bias, for training; without, the bias alone, as in
      published weights for inference.
  """

  conv: Callable[..., nn.Module]
  batch_norm: bool = False
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """Convolve and normalise `[B, h, w, C]`."""
    x = self.conv(bias=not self.batch_norm, dtype=self.dtype, name='conv')(x)
    if not self.batch_norm:
      return x
    norm = layers.BatchNorm(
      self.bn_group_size, epsilon=BATCH_NORM_EPSILON, dtype=self.dtype, name='bn'
    )
    return norm(x, train)


def normed(
  features: int | None,
  size: int,
  stride: int = 1,
  *,
  batch_norm: bool,
  dtype: Any,
  bn_group_size: int | None,
  name: str,
) -> Normed:
  """Return a `Normed` convolution to `features` channels, depthwise where that is None."""
  depthwise = partial(DepthwiseConv, size, stride)
  conv = depthwise if features is None else partial(Conv, features, size, stride)
  return Normed(conv, batch_norm, dtype, bn_group_size, name=name)
