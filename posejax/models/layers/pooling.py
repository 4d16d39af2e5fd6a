"""Pooling over windows."""

import jax

from posejax.models.cpu import pooling


def max_pool(x: jax.Array, window: int, stride: int = 2, padding: int = 0) -> jax.Array:
  """Return the maximum over windows of 2x2 or 3x3 at stride 2; `padding` counts as -inf.

  Equal to `nn.max_pool`. The gradient goes to the first maximum in row-major order, as in PyTorch.
  On every platform in the form that CPUs need, so that ties go the same way.
  """
  if window not in (2, 3) or stride != 2:
    raise ValueError(f'max_pool knows windows 2 and 3 at stride 2, not {window} at {stride}')
  return pooling.max_pool2(x, padding) if window == 2 else pooling.max_pool3(x, padding)


def avg_pool2(x: jax.Array) -> jax.Array:
  """Return the mean over 2x2 windows; an odd last row or column is dropped, as in PyTorch."""
  b, h, w, c = x.shape
  x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
  return x.mean((2, 4))
