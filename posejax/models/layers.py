"""Layers that every net here is built from: convolution, deconvolution, batch norm and pooling.

Arrays are `[B, h, w, C]`. Padding is always explicit and symmetric, as in the PyTorch models whose
weights can be loaded: `SAME` pads a stride-2 convolution by (0, 1) where they pad (1, 1).
Parameters and batch statistics are float32; `dtype` is what convolutions compute in.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from posejax.models import convolution, fusion

DTYPES = ('float32', 'bfloat16')

he_normal_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
"""N(0, 2 / (kh * kw * C_out)). Source: torchvision/models/resnet.py (kaiming_normal_, fan_out)."""


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 0) -> jax.Array:
  """Return the cross-correlation of `x` `[B, h, w, C]` with `kernel` `[k, k, C, D]`.

  For CPUs it and its gradients have the forms of posejax.models.convolution, which XLA's own are no
  match for there; for GPUs and TPUs they are XLA's. What a program is compiled for decides.
  """
  return lax.platform_dependent(
    x,
    kernel,
    cpu=partial(convolution.forward, stride=stride, padding=padding),
    default=partial(convolution.plain, stride=stride, padding=padding),
  )


def _conv2d_forward(x, kernel, stride, padding):
  return conv2d(x, kernel, stride, padding), (x, kernel)


def _conv2d_backward(stride, padding, residuals, dy):
  def cpu(x, kernel, dy):
    return (
      convolution.input_gradient(dy, kernel, x.shape[1:3], stride, padding),
      convolution.kernel_gradient(x, dy, kernel.shape[0], stride, padding),
    )

  def default(x, kernel, dy):
    plain = partial(convolution.plain, stride=stride, padding=padding)
    (dx,) = jax.linear_transpose(lambda x: plain(x, kernel), x)(dy)
    (dkernel,) = jax.linear_transpose(lambda kernel: plain(x, kernel), kernel)(dy)
    return dx, dkernel

  return lax.platform_dependent(*residuals, dy, cpu=cpu, default=default)


conv2d.defvjp(_conv2d_forward, _conv2d_backward)


def deconv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Return the transposed convolution that makes h and w f times as large, f even.

  `kernel` is `[2 f, 2 f, C, D]` in PyTorch's orientation, its stride f, its padding f / 2: input pixel
  i adds `x[i] * kernel[k]` to output pixel `f i + k - f / 2`. Computed exactly as a sub-pixel
  convolution: every output phase sees two of the taps per axis, so one 2x2 convolution to f * f * D
  channels gives all phases, which are then interleaved. XLA's own transposed convolution has a
  pathologically slow weight gradient on CPUs.
  """
  batch, h, w, c = x.shape
  d, f = kernel.shape[-1], kernel.shape[0] // 2
  # Tap k = f u + p belongs to phase p; a cross-correlation meets the later tap first, hence the flip.
  phases = kernel.reshape(2, f, 2, f, c, d)[::-1, :, ::-1]
  phases = phases.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c, f * f * d)
  y = conv2d(x, phases, padding=1).reshape(batch, h + 1, w + 1, f, f, d)
  y = y.transpose(0, 1, 3, 2, 4, 5).reshape(batch, f * (h + 1), f * (w + 1), d)
  return y[:, f // 2 : -f // 2, f // 2 : -f // 2]


def _max(a: jax.Array, b: jax.Array) -> jax.Array:
  """Return the larger; unlike `jnp.maximum`, the gradient of a tie goes to `a` alone."""
  return jnp.where(a >= b, a, b)


def max_pool(x: jax.Array, window: int, stride: int = 2, padding: int = 0) -> jax.Array:
  """Return the maximum over windows of 2x2 or 3x3 at stride 2; `padding` counts as -inf.

  Equal to `nn.max_pool`. The gradient goes to the first maximum in row-major order, as in PyTorch.
  Written as pairwise maxima because the backward pass of `reduce_window` is slow.
  """
  if window not in (2, 3) or stride != 2:
    raise ValueError(f'max_pool knows windows 2 and 3 at stride 2, not {window} at {stride}')
  if window == 2:
    around = (padding, padding)
    return _max_pool2(jnp.pad(x, ((0, 0), around, around, (0, 0)), constant_values=-jnp.inf))
  # Columns before rows: the row-major first of the window's maxima then wins.
  return _max_pool3_axis(_max_pool3_axis(x, 2, padding), 1, padding)


@jax.custom_vjp
def _max_pool2(x: jax.Array) -> jax.Array:
  return _max_and_place(x)[0]


def _max_and_place(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Return the maxima of 2x2 windows, and where in its window each stands: 0 to 3 in row-major order."""
  b, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
  corners = [x[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]
  y, place = corners[0], jnp.int8(0)
  for i, corner in enumerate(corners[1:], 1):
    place = jnp.where(corner > y, jnp.int8(i), place)
    y = _max(y, corner)
  return y, place


def _max_pool2_forward(x):
  y, place = _max_and_place(x)
  return y, (place, x.shape)


def _max_pool2_backward(residuals, dy):
  # One pass over the gradient; that of the slices above is four of them, padded with zeros and added.
  place, (b, h, w, c) = residuals
  corner = jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
  here = place[:, :, None, :, None] == corner
  dx = jnp.where(here, dy[:, :, None, :, None], jnp.zeros((), dy.dtype))
  dx = dx.reshape(b, h // 2 * 2, w // 2 * 2, c)
  return (jnp.pad(dx, ((0, 0), (0, h % 2), (0, w % 2), (0, 0))),)


_max_pool2.defvjp(_max_pool2_forward, _max_pool2_backward)


def _max_pool3_axis(x: jax.Array, axis: int, padding: int) -> jax.Array:
  size = x.shape[axis]
  out = (size + 2 * padding - 3) // 2 + 1
  pairs = out + 1
  # Pad (or crop) to whole pairs; a padded value never wins.
  after = 2 * pairs - size - padding
  widths = [(0, 0, 0)] * x.ndim
  widths[axis] = (padding, after, 0)
  x = lax.pad(x, jnp.array(-jnp.inf, x.dtype), widths)
  x = x.reshape(*x.shape[:axis], pairs, 2, *x.shape[axis + 1 :])
  first, second = (lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in (0, 1))
  y = _max(lax.slice_in_dim(first, 0, out, axis=axis), lax.slice_in_dim(second, 0, out, axis=axis))
  return _max(y, lax.slice_in_dim(first, 1, out + 1, axis=axis))


def avg_pool2(x: jax.Array) -> jax.Array:
  """Return the mean over 2x2 windows; an odd last row or column is dropped, as in PyTorch."""
  b, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
  return x.mean((2, 4))


def upsample(x: jax.Array, factor: int) -> jax.Array:
  """Return `x` `[B, h, w, C]` with every pixel repeated `factor` times both ways."""
  b, h, w, c = x.shape
  x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, factor, w, factor, c))
  return x.reshape(b, h * factor, w * factor, c)


@fusion.alone
def concatenate(x: jax.Array, y: jax.Array) -> jax.Array:
  """Return `x` with the channels of `y` behind its own."""
  return jnp.concatenate([x, y], -1)


@fusion.alone
def add(x: jax.Array, y: jax.Array) -> jax.Array:
  """Return the sum of two arrays of one shape."""
  return x + y


def add_relu(*xs: jax.Array) -> jax.Array:
  """Return the rectified sum of maps `[B, h, w, C]`, smaller ones upsampled to the first one's size."""
  return _add_relu(_factors(xs), *xs)


def _factors(xs):
  return tuple(xs[0].shape[1] // x.shape[1] for x in xs)


@fusion.alone
def _rectified_sum(*xs):
  same_size = [upsample(x, f) if f > 1 else x for x, f in zip(xs, _factors(xs), strict=True)]
  return nn.relu(reduce(jnp.add, same_size))


@fusion.alone
def _where_positive(y, dy):
  return jnp.where(y > 0, dy, jnp.zeros((), dy.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _add_relu(factors, *xs):
  del factors
  return _rectified_sum(*xs)


def _add_relu_forward(factors, *xs):
  y = _add_relu(factors, *xs)
  return y, y  # which tells where the sum was positive, so that the sum need not be kept


def _add_relu_backward(factors, y, dy):
  dx = _where_positive(y, dy)
  b, h, w, c = y.shape
  return tuple(
    dx if f == 1 else dx.reshape(b, h // f, f, w // f, f, c).sum((2, 4)) for f in factors
  )


_add_relu.defvjp(_add_relu_forward, _add_relu_backward)


@fusion.alone
def _scale_add_relu(x, factor, offset, shortcut):
  y = x.astype(jnp.float32) * factor + offset
  return nn.relu(y.astype(shortcut.dtype) + shortcut)


class Conv(nn.Module):
  """Convolution with explicit symmetric padding (default: `size // 2`)."""

  features: int
  size: int = 3
  stride: int = 1
  padding: int | None = None
  bias: bool = False
  dtype: Any = 'float32'
  kernel_init: Callable = he_normal_fan_out

  @nn.compact
  def __call__(self, x):
    """Convolve `[B, h, w, C]` to `[B, h', w', features]`."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    padding = self.size // 2 if self.padding is None else self.padding
    x = conv2d(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
    if self.bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
      x = x + bias.astype(self.dtype)
    return x


class Deconv(nn.Module):
  """Transposed convolution without bias that makes height and width `factor` times as large.

  The kernel is twice the factor wide: 4x4, stride 2, padding 1 where it doubles. The factor is even.
  """

  features: int
  dtype: Any = 'float32'
  kernel_init: Callable = he_normal_fan_out
  factor: int = 2

  @nn.compact
  def __call__(self, x):
    """Return `[B, factor * h, factor * w, features]`."""
    shape = (2 * self.factor, 2 * self.factor, x.shape[-1], self.features)
    kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
    return deconv2d(x.astype(self.dtype), kernel.astype(self.dtype))


class BatchNorm(nn.Module):
  """Batch normalisation over all axes but the last, with float32 statistics.

  `group_size=g` splits the batch into consecutive groups of g examples, each normalised by its own
  statistics: what training on B / g devices with local batch norm computes. Running statistics then
  move towards the mean over groups of the means and of the variances. Under `jit` a sharded batch is
  normalised as one; under `shard_map` each shard by itself.

  The running variance is the unbiased one, `n / (n - 1)` times the variance that normalises, as
  PyTorch stores it (Flax stores the biased one): it estimates the population's variance, which is
  what evaluation needs, and converted weights mean the same. momentum .9 here is PyTorch's .1.
  """

  group_size: int | None = None
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x, train: bool, shortcut: jax.Array | None = None):
    """Normalise; `train` uses the batch's statistics and updates the running ones.

    With a `shortcut` of the same shape, return the rectified sum of both, as residual blocks end.
    """
    c = x.shape[-1]
    scale = self.param('scale', nn.initializers.ones, (c,), jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, (c,), jnp.float32)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, (c,), jnp.float32)
    running_var = self.variable('batch_stats', 'var', jnp.ones, (c,), jnp.float32)
    shape = x.shape
    if shortcut is not None:
      shortcut = shortcut.astype(self.dtype)
    if train:
      group = self.group_size or shape[0]
      if shape[0] % group:
        raise ValueError(
          f'bn_group_size={group} must divide the batch of {shape[0]} examples that batch norm sees'
        )
      x = x.reshape(shape[0] // group, group, *shape[1:])
      axes = tuple(range(1, x.ndim - 1))
      x32 = x.astype(jnp.float32)
      mean = x32.mean(axes, keepdims=True)
      var = jnp.square(x32 - mean).mean(axes, keepdims=True)
      if not self.is_initializing():
        n = x.size // (x.shape[0] * c)
        m = self.momentum
        batch_mean = mean.reshape(-1, c).mean(0)
        batch_var = var.reshape(-1, c).mean(0) * (n / max(n - 1, 1))
        running_mean.value = m * running_mean.value + (1 - m) * batch_mean
        running_var.value = m * running_var.value + (1 - m) * batch_var
    else:
      mean, var = running_mean.value, running_var.value
    factor = scale * lax.rsqrt(var + self.epsilon)
    offset = bias - mean * factor
    if shortcut is not None and not train:
      return _scale_add_relu(x, factor, offset, shortcut)
    y = (x.astype(jnp.float32) * factor + offset).reshape(shape).astype(self.dtype)
    # Training keeps what it normalised for the gradients, so that joining in the sum saves nothing.
    return y if shortcut is None else add_relu(y, shortcut)
