"""Anchors: boxes of a few shapes at every cell of a feature map.

Source: torchvision/models/detection/anchor_utils.py, `AnchorGenerator`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def cell_anchors(size: float, ratios: Sequence[float]) -> np.ndarray:
  """Return `[A, 4]` boxes around the point (0, 0) of `size ** 2` square pixels, a ratio each.

  A ratio is height by width. Corners are rounded to whole pixels, halves to even ones.
  """
  h = np.sqrt(np.array(ratios, np.float32))
  w = 1 / h
  sides = np.stack([-w, -h, w, h], 1) * np.float32(size)
  return np.round(sides / 2)


def grid_anchors(
  grid_hw: tuple[int, int], stride_hw: tuple[int, int], cells: np.ndarray
) -> jax.Array:
  """Return `[h * w * A, 4]` anchors: `cells` at every cell of a map, row by row.

  The first cell's are around the point (0, 0), as torchvision has them, and not around its middle.
  """
  y = jnp.arange(grid_hw[0], dtype=jnp.float32) * stride_hw[0]
  x = jnp.arange(grid_hw[1], dtype=jnp.float32) * stride_hw[1]
  x, y = jnp.meshgrid(x, y)
  shifts = jnp.stack([x, y, x, y], -1)
  return (shifts[:, :, None, :] + cells).reshape(-1, 4)
