"""MoveNet MultiPose's outputs: several people, their boxes and keypoints.

To the maps of `posejax.codecs.movenet` come two, on the same grid of h x w cells:

| name | shape | value |
|---|---|---|
| `box_scale` | `[B, h, w, 2]` | height and width of the box of the person centred here, cells |
| `box_offset` | `[B, h, w, 2]` | (dy, dx) from the cell to the middle of the box, cells |

Source: the graph of tfhub.dev/google/movenet/multipose/lightning/1.
"""

from functools import reduce

import jax
import jax.numpy as jnp

from posejax.codecs import movenet, peaks
from posejax.types import Array

Outputs = dict[str, Array]

MAX_PEOPLE = 6
"""As the published graph finds; up to 30 pay on pictures of crowds."""
NEIGHBOURHOOD = 5
"""Cells a side of the square in which a person's centre is the highest."""
SAME = 1e-6
"""Difference up to which a probability is that square's highest."""
SPREAD = 0.3
"""Of the grid's shorter side: how fast a keypoint farther from its expected place counts less."""
SURE = 0.127
"""Scores above count in a person's; they are products with a Gaussian, lower than probabilities."""


def decode_multi(
  outputs: Outputs, max_people: int = MAX_PEOPLE, stride: int = 4
) -> dict[str, jax.Array]:
  """Read people off MultiPose's maps, the surest centres first.

  Centres are the cells whose probability is the highest of the 5x5 around them; the `max_people`
  highest are taken. A keypoint of a person is in the cell, inside the person's box, where the
  keypoint's probability times `exp(-d**2 / (0.3 * min(h, w)))` is largest, d being the distance in cells
  from where the regression expects it. Its score is the largest such product that any of the people
  has in that cell. A person's score is the centre's probability times the mean of the keypoint scores
  above 0.127, and 0 where none is.

  Args:
    outputs: the six maps.
    max_people: P. Where there are fewer centres, the rest of the people have score 0 and mean nothing.
    stride: pixels of the crop per cell.

  Returns:
    `keypoints_crop [B, P, K, 2]`, `keypoint_scores [B, P, K]`, `boxes_crop [B, P, 4]` xyxy within the
    crop, and `scores [B, P]`. Points are (x, y) with pixel centres at integers, finite whatever comes;
    scores are in [0, 1].
  """
  maps = {name: jnp.asarray(value, jnp.float32) for name, value in outputs.items()}
  h, w = grid = maps['center'].shape[1:3]
  centers, x, y = _centers(jax.nn.sigmoid(maps['center'])[..., 0], max_people)
  cells = jnp.stack([x, y], -1).astype(jnp.float32)

  middle = cells + movenet.at_cells(maps['box_offset'], x, y)[:, :, 0]
  half = jnp.maximum(movenet.at_cells(maps['box_scale'], x, y)[:, :, 0], 0) / 2
  corners = jnp.concatenate([middle - half, middle + half], -1)
  corners = jnp.clip(corners, 0, jnp.array([w, h, w, h], jnp.float32))

  rough = cells[:, :, None] + movenet.at_cells(maps['keypoint_regression'], x, y)
  likely = jax.nn.sigmoid(maps['keypoint_heatmaps'])
  near = jnp.exp(-movenet.squared_distances(rough, grid) / (SPREAD * min(h, w)))
  # [B, P, K, h, w] -> [B, h, w, P, K], as heatmaps lie.
  fit = likely[:, :, :, None] * jnp.moveaxis(near, (1, 2), (3, 4))
  fit *= jnp.moveaxis(_inside(corners, grid), 1, 3)[..., None]
  x, y, _ = peaks.maximum(fit.reshape(*fit.shape[:3], -1))
  x, y = (i.reshape(*rough.shape[:3]) for i in (x, y))

  fine = movenet.at_own_cells(maps['keypoint_offsets'], x, y)
  keypoints = movenet.to_pixels(jnp.stack([x, y], -1) + fine, stride)
  scores = movenet.at_own_cells(fit.max(axis=3)[..., None], x, y)[..., 0]
  sure = scores > SURE
  mean = jnp.where(sure, scores, 0).sum(-1) / jnp.maximum(sure.sum(-1), 1)
  results = {
    'keypoints_crop': keypoints,
    'keypoint_scores': scores,
    'boxes_crop': movenet.to_pixels(corners, stride),
    'scores': centers * mean,
  }
  return {name: jnp.where(jnp.isfinite(value), value, 0.0) for name, value in results.items()}


def _centers(likely: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Return the probabilities and places (x, y) of the highest peaks of `[B, h, w]`, `[B, P]` each."""
  B, h, w = likely.shape
  highest, reach = likely, NEIGHBOURHOOD // 2
  for axis in (1, 2):
    around = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
    padded = jnp.pad(highest, around, constant_values=-jnp.inf)
    length = likely.shape[axis]
    shifted = (jax.lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(NEIGHBOURHOOD))
    highest = reduce(jnp.maximum, shifted)
  peak = jnp.where(highest - likely < SAME, likely, 0.0).reshape(B, h * w)
  values, places = jax.lax.top_k(peak, count)
  return values, places % w, places // w


def _inside(corners: jax.Array, grid_hw: tuple[int, int]) -> jax.Array:
  """Return which cells lie in boxes `[B, P, 4]` xyxy, bool `[B, P, h, w]`."""
  h, w = grid_hw
  x, y = jnp.arange(w), jnp.arange(h)
  columns = (x >= corners[..., 0:1]) & (x < corners[..., 2:3])
  rows = (y >= corners[..., 1:2]) & (y < corners[..., 3:4])
  return rows[..., :, None] & columns[..., None, :]
