"""Convolution and the transposed one, as functions and as layers.

Padding is always explicit and symmetric, as in the PyTorch models whose weights can be loaded: `SAME`
pads a stride-2 convolution by (0, 1) where they pad (1, 1).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from posejax.models.cpu import convolution

he_normal_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
"""N(0, 2 / (kh * kw * C_out)). Source: torchvision/models/resnet.py (kaiming_normal_, fan_out)."""


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv2d(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 0) -> jax.Array:
  """Return the cross-correlation of `x` `[B, h, w, C]` with `kernel` `[k, k, C, D]`.

  For CPUs it and its gradients have the forms of posejax.models.cpu.convolution, which XLA's own are no
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


def kernel_of(module: nn.Module, init: Callable, shape: tuple[int, ...]) -> jax.Array:
  """Return the parameter `kernel`, float32, of the module that calls; `init` makes it if there is none.

  Flax traces what would make a parameter that is there, to compare shapes. Of random numbers that is
  most of what it takes to trace a net.
  """
  if module.has_variable('params', 'kernel'):
    init = nn.initializers.zeros
  return module.param('kernel', init, shape, jnp.float32)


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
    kernel = kernel_of(self, self.kernel_init, shape)
    padding = self.size // 2 if self.padding is None else self.padding
    x = conv2d(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
    if self.bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
      x = x + bias.astype(self.dtype)
    return x


class Deconv(nn.Module):
  """Transposed convolution that makes height and width `factor` times as large.

  The kernel is twice the factor wide: 4x4, stride 2, padding 1 where it doubles. The factor is even.
  """

  features: int
  dtype: Any = 'float32'
  kernel_init: Callable = he_normal_fan_out
  factor: int = 2
  bias: bool = False

  @nn.compact
  def __call__(self, x):
    """Return `[B, factor * h, factor * w, features]`."""
    shape = (2 * self.factor, 2 * self.factor, x.shape[-1], self.features)
    kernel = kernel_of(self, self.kernel_init, shape)
    x = deconv2d(x.astype(self.dtype), kernel.astype(self.dtype))
    if self.bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
      x = x + bias.astype(self.dtype)
    return x
