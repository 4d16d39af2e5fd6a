"""The maximum of a heatmap to a fraction of a cell. Heatmaps are `[B, h, w, K]`, float32.

A peak's position is (x, y) in cells, `[B, K]` each.
"""

import jax
import jax.numpy as jnp
import numpy as np


def maximum(heatmaps: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Return each heatmap's highest cell as int32 `(x, y)` and its value, `[B, K]` each.

  The first in row order wins among equals. A heatmap whose maximum is not above 0 says nothing: its
  peak is (0, 0), as in `get_max_preds` of the MSRA code.
  """
  B, h, w, K = heatmaps.shape
  flat = heatmaps.reshape(B, h * w, K)
  index = jnp.argmax(flat, axis=1)
  value = jnp.take_along_axis(flat, index[:, None], axis=1)[:, 0]
  index = jnp.where(value > 0, index, 0)
  return index % w, index // w, value


def neighbours(heatmaps: jax.Array, x: jax.Array, y: jax.Array):
  """Return a function (dx, dy) -> value `[B, K]` of the cell that far from (x, y).

  Beyond the border stands the nearest cell's value (edge padding).
  """
  B, h, w, K = heatmaps.shape
  flat = heatmaps.reshape(B, h * w, K)

  def at(dx: int, dy: int) -> jax.Array:
    index = jnp.clip(y + dy, 0, h - 1) * w + jnp.clip(x + dx, 0, w - 1)
    return jnp.take_along_axis(flat, index[:, None], axis=1)[:, 0]

  return at


def blur(heatmaps: jax.Array, radius: int) -> jax.Array:
  """Smooth with a Gaussian of `2 * radius + 1` cells and give each heatmap its old maximum back.

  Zeros lie beyond the border. The Gaussian's sigma is the one OpenCV gives to that kernel size, 2.0
  at radius 5 and 2.9 at 8.

  Source: `gaussian_blur` of open-mmlab/mmpose mmpose/codecs/utils/post_processing.py.
  """
  _, h, w, _ = heatmaps.shape
  # Two products with banded matrices: on CPUs XLA is slow at convolutions of one channel.
  blurred = jnp.einsum(
    'yY,bYXk->byXk', _blur_matrix(h, radius), heatmaps, precision=jax.lax.Precision.HIGHEST
  )
  blurred = jnp.einsum(
    'xX,byXk->byxk', _blur_matrix(w, radius), blurred, precision=jax.lax.Precision.HIGHEST
  )
  old = heatmaps.max(axis=(1, 2), keepdims=True)
  new = blurred.max(axis=(1, 2), keepdims=True)
  return blurred * jnp.where(new > 0, old / jnp.where(new > 0, new, 1.0), 1.0)


def _blur_matrix(length: int, radius: int) -> np.ndarray:
  sigma = 0.3 * (radius - 1) + 0.8
  kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
  kernel /= kernel.sum()
  distance = np.arange(length)[None] - np.arange(length)[:, None] + radius
  inside = (distance >= 0) & (distance <= 2 * radius)
  return np.where(inside, kernel[np.clip(distance, 0, 2 * radius)], 0).astype(np.float32)


def newton_step(
  dx: jax.Array, dy: jax.Array, dxx: jax.Array, dxy: jax.Array, dyy: jax.Array, limit: float
) -> tuple[jax.Array, jax.Array]:
  """Return the step `-inverse(Hessian) @ gradient` to where the gradient vanishes, in cells.

  No step is taken where the Hessian is singular, and none longer than `limit`, which only a flat
  heatmap asks for.
  """
  determinant = dxx * dyy - dxy * dxy
  usable = determinant != 0
  determinant = jnp.where(usable, determinant, 1.0)
  step_x = (dxy * dy - dyy * dx) / determinant
  step_y = (dxy * dx - dxx * dy) / determinant
  # Written so that NaN fails the test as well.
  usable &= (jnp.abs(step_x) <= limit) & (jnp.abs(step_y) <= limit)
  return jnp.where(usable, step_x, 0.0), jnp.where(usable, step_y, 0.0)
