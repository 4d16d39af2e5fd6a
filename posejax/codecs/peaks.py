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
  # The row first and then the cell in it: XLA's argmax over whole heatmaps is slow on CPUs.
  rows = heatmaps.max(axis=2)
  y = jnp.argmax(rows, axis=1)
  value = rows.max(axis=1)
  x = jnp.argmax(jnp.take_along_axis(heatmaps, y[:, None, None], axis=1)[:, 0], axis=1)
  found = value > 0
  return jnp.where(found, x, 0), jnp.where(found, y, 0), value


def patch(heatmaps: jax.Array, x: jax.Array, y: jax.Array, radius: int) -> jax.Array:
  """Return the cells around (x, y), `[2 * radius + 1, 2 * radius + 1, B, K]`: rows, then columns.

  Beyond the border stands the nearest cell's value (edge padding).
  """
  B, h, w, K = heatmaps.shape
  offsets = np.arange(-radius, radius + 1)[:, None, None]
  rows = jnp.clip(y + offsets, 0, h - 1)
  columns = jnp.clip(x + offsets, 0, w - 1)
  index = rows[:, None] * w + columns[None]
  side = 2 * radius + 1
  index = jnp.moveaxis(index.reshape(side * side, B, K), 0, 1)
  cells = jnp.take_along_axis(heatmaps.reshape(B, h * w, K), index, axis=1)
  return jnp.moveaxis(cells, 1, 0).reshape(side, side, B, K)


def shift_right(heatmaps: jax.Array) -> jax.Array:
  """Move by one cell to the right; column 0 is kept."""
  return jnp.concatenate([heatmaps[:, :, :1], heatmaps[:, :, :-1]], axis=2)


def blur(heatmaps: jax.Array, radius: int) -> jax.Array:
  """Smooth with a Gaussian of `2 * radius + 1` cells and give each heatmap its old maximum back.

  Zeros lie beyond the border. The Gaussian's sigma is the one OpenCV gives to that kernel size, 2.0
  at radius 5 and 2.9 at 8.

  Source: `gaussian_blur` of open-mmlab/mmpose mmpose/codecs/utils/post_processing.py.
  """
  sigma = 0.3 * (radius - 1) + 0.8
  kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
  kernel = (kernel / kernel.sum()).astype(np.float32)
  blurred = heatmaps
  # Sums of shifted maps: on CPUs XLA is slow at convolutions of one channel, and products with banded
  # matrices take half as long again and lose bits on accelerators.
  for axis in (1, 2):
    length = heatmaps.shape[axis]
    padding = [(radius, radius) if a == axis else (0, 0) for a in range(4)]
    padded = jnp.pad(blurred, padding)
    blurred = sum(
      weight * jax.lax.slice_in_dim(padded, start, start + length, axis=axis)
      for start, weight in enumerate(kernel)
    )
  old = heatmaps.max(axis=(1, 2), keepdims=True)
  new = blurred.max(axis=(1, 2), keepdims=True)
  return blurred * jnp.where(new > 0, old / jnp.where(new > 0, new, 1.0), 1.0)


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
