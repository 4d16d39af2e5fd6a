"""MoveNet's outputs for one person, read and mirrored.

Outputs are a dict of raw maps on a grid of h x w cells, `stride` pixels of the crop each:

| name | shape | value |
|---|---|---|
| `center` | `[B, h, w, 1]` | logit of a person's centre |
| `keypoint_heatmaps` | `[B, h, w, K]` | logits of keypoints |
| `keypoint_regression` | `[B, h, w, 2 K]` | from the centre's cell to every keypoint, cells |
| `keypoint_offsets` | `[B, h, w, 2 K]` | from a keypoint's cell to the keypoint in it, cells |

Pairs are (dy, dx), keypoint j's in channels 2 j and 2 j + 1. A keypoint's place in cells is its cell's
number plus the offset, 0 at the crop's edge and w at the other. Edges lie half a pixel outside of the
outermost pixels' centres, so x pixels of the crop are `stride * cells - 0.5`.

Source: the graphs of tfhub.dev/google/movenet/singlepose/{lightning,thunder}/4.
"""

import jax
import jax.numpy as jnp
import numpy as np

from posejax.codecs import peaks
from posejax.types import Array

Outputs = dict[str, Array]

REACH = 1.8
"""Cells: a cell so far from where a thing is expected counts half as much. The graphs hold 1.7998."""


def decode(outputs: Outputs, stride: int = 4, reach: float = REACH) -> tuple[jax.Array, jax.Array]:
  """Read the keypoints of the one person who is nearest the middle of the crop.

  The centre is the cell with the largest probability over 1.8 plus its distance, in cells, from the
  middle of the grid; there the regression says roughly where each keypoint is. A keypoint's cell is in
  the same way that of the largest probability over `reach` plus its distance from that place. Of equals
  the first in row order wins. Every keypoint is placed, also one that cannot be seen.

  Args:
    outputs: the four maps.
    stride: pixels of the crop per cell.
    reach: in cells; 1.8 as published. The larger, the less the regression says.

  Returns:
    `(keypoints_crop [B, K, 2], scores [B, K])`: (x, y) with pixel centres at integers, finite whatever
    comes, and the probability in the keypoint's cell, in [0, 1]. The published threshold is 0.3.
  """
  center, heatmaps, regression, offsets = _maps(outputs)
  h, w = heatmaps.shape[1:3]
  middle = jnp.array([w / 2, h / 2], jnp.float32)
  x, y, _ = peaks.maximum(jax.nn.sigmoid(center) / (_distances(middle, (h, w)) + REACH)[..., None])
  rough = jnp.stack([x, y], -1) + at_cells(regression, x, y)[:, 0]
  likely = jax.nn.sigmoid(heatmaps)
  near = jnp.moveaxis(_distances(rough, (h, w)), 1, -1)
  x, y, _ = peaks.maximum(likely / (near + reach))
  fine = at_own_cells(offsets, x, y)
  keypoints = to_pixels(jnp.stack([x, y], -1) + fine, stride)
  scores = at_own_cells(likely[..., None], x, y)[..., 0]
  return jnp.where(jnp.isfinite(keypoints), keypoints, 0.0), jnp.where(scores >= 0, scores, 0.0)


def flip(outputs: Outputs, flip_permutation: Array) -> Outputs:
  """Turn the outputs for a mirrored crop into outputs for the crop, for the flip test's average.

  A place x cells from the crop's left edge lies w - x from it in the mirrored one, so that a pair
  counted from the left edge of its cell has 1 - dx there. Cells are symmetric about the crop's middle:
  nothing is left to shift.

  Args:
    outputs: for the crop mirrored by x -> W - 1 - x; the maps for boxes may be among them.
    flip_permutation: `[K]`, `Skeleton.flip_permutation`.
  """
  permutation = np.asarray(flip_permutation)
  turned = {name: jnp.asarray(maps)[:, :, ::-1] for name, maps in outputs.items()}
  turned['keypoint_heatmaps'] = turned['keypoint_heatmaps'][..., permutation]
  for name in ('keypoint_regression', 'keypoint_offsets'):
    turned[name] = _mirror_pairs(pairs(turned[name])[..., permutation, :])
  if 'box_offset' in turned:
    turned['box_offset'] = _mirror_pairs(pairs(turned['box_offset']))
  return turned


def _mirror_pairs(values: jax.Array) -> jax.Array:
  """Return (dy, dx) as (dy, 1 - dx), `[B, h, w, n, 2] -> [B, h, w, 2 n]`."""
  mirrored = jnp.stack([values[..., 0], 1 - values[..., 1]], axis=-1)
  return mirrored.reshape(*mirrored.shape[:-2], -1)


def pairs(maps: Array) -> jax.Array:
  """Return maps `[B, h, w, 2 n]` as `[B, h, w, n, 2]`, (dy, dx)."""
  return jnp.reshape(maps, (*maps.shape[:-1], -1, 2))


def to_pixels(cells: jax.Array, stride: int) -> jax.Array:
  """Return places counted from the crop's edge in cells as pixels, pixel centres at integers."""
  return stride * cells - 0.5


def at_cells(maps: Array, x: jax.Array, y: jax.Array) -> jax.Array:
  """Return the pairs that stand in cells (x, y), as (dx, dy).

  Args:
    maps: `[B, h, w, 2 n]`.
    x: int `[B, P]`.
    y: the same.

  Returns:
    `[B, P, n, 2]`.
  """
  B, h, w, channels = maps.shape
  flat = jnp.reshape(maps, (B, h * w, channels))
  picked = jnp.take_along_axis(flat, (y * w + x)[..., None], axis=1)
  return picked.reshape(B, -1, channels // 2, 2)[..., ::-1]


def at_own_cells(maps: Array, x: jax.Array, y: jax.Array) -> jax.Array:
  """Return what each keypoint has in its own cell; pairs as (dx, dy).

  Args:
    maps: `[B, h, w, 2 K]`, or `[B, h, w, K, 1]` for single numbers.
    x: int `[B, K]` or `[B, P, K]`.
    y: the same.

  Returns:
    `[..., 2]` or `[..., 1]`, of x's leading axes.
  """
  B, h, w = maps.shape[:3]
  K = x.shape[-1]
  flat = jnp.reshape(maps, (B, h * w, K, -1))
  cells = (y * w + x).reshape(B, -1, K)
  picked = jnp.take_along_axis(flat, cells[..., None], axis=1)[..., ::-1]
  return picked.reshape(*x.shape, -1)


def _distances(places: jax.Array, grid_hw: tuple[int, int]) -> jax.Array:
  """Return how far every cell of the grid is from places (x, y) `[..., 2]`, `[..., h, w]` in cells."""
  return jnp.sqrt(squared_distances(places, grid_hw))


def squared_distances(places: jax.Array, grid_hw: tuple[int, int]) -> jax.Array:
  """Return the square of every cell's distance from places (x, y) `[..., 2]`, `[..., h, w]`."""
  h, w = grid_hw
  along_x = (jnp.arange(w, dtype=jnp.float32) - places[..., 0:1]) ** 2
  along_y = (jnp.arange(h, dtype=jnp.float32) - places[..., 1:2]) ** 2
  return along_y[..., :, None] + along_x[..., None, :]


def _maps(outputs: Outputs) -> tuple[jax.Array, ...]:
  names = ('center', 'keypoint_heatmaps', 'keypoint_regression', 'keypoint_offsets')
  return tuple(jnp.asarray(outputs[name], jnp.float32) for name in names)
