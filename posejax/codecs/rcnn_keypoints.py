"""Keypoints as cells of heatmaps that lie in boxes, as Keypoint R-CNN has them.

Coordinates are continuous, as in `posejax.ops`.
Source: torchvision/models/detection/roi_heads.py, `keypoints_to_heatmap`, `heatmaps_to_keypoints`.
"""

import jax
from jax import lax
import jax.numpy as jnp

from posejax.ops import resize


def encode(
  keypoints: jax.Array, visibility: jax.Array, boxes: jax.Array, side: int
) -> tuple[jax.Array, jax.Array]:
  """Return the cells of heatmaps that keypoints lie in.

  Args:
    keypoints: `[..., K, 2]` on the canvas.
    visibility: `[..., K]`, 0 where not labelled.
    boxes: `[..., 4]` on the canvas.
    side: of the heatmaps.

  Returns:
    `(cells int32 [..., K], valid bool [..., K])`: `y * side + x`; a keypoint counts where it is labelled
    and in its box, on whose right and lower edge it belongs to the last cell; else its cell is 0.
  """
  low, high = boxes[..., None, :2], boxes[..., None, 2:]
  cell = jnp.floor((keypoints - low) * (side / jnp.maximum(high - low, 1e-6)))
  cell = jnp.where(keypoints == high, side - 1, cell).astype(jnp.int32)
  valid = ((cell >= 0) & (cell < side)).all(-1) & (visibility > 0)
  return jnp.where(valid, cell[..., 1] * side + cell[..., 0], 0), valid


def decode(heatmaps: jax.Array, boxes: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Return where heatmaps are highest when they are resized to the pixels of their boxes.

  Args:
    heatmaps: `[B, R, s, s, K]` logits.
    boxes: `[B, R, 4]` on the canvas.
    valid: bool `[B, R]`: of the others nothing is computed, and all is 0.

  Returns:
    `(keypoints [B, R, K, 2] on the canvas, scores [B, R, K])`; a score is the logit at its keypoint.
  """
  B, R, side, _, K = heatmaps.shape
  extent = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 1)
  pixels = jnp.where(valid[..., None], jnp.ceil(extent), 0).astype(jnp.int32)

  def of_region(region):
    maps, (w, h) = region
    return resize.peaks(maps.transpose(2, 0, 1), (h, w))

  flat = heatmaps.reshape(B * R, side, side, K).astype(jnp.float32), pixels.reshape(B * R, 2)
  points, scores = lax.map(of_region, flat)
  points, scores = points.reshape(B, R, K, 2), scores.reshape(B, R, K)
  step = extent / jnp.maximum(pixels, 1)
  keypoints = (points + 0.5) * step[:, :, None] + boxes[:, :, None, :2]
  keep = valid[:, :, None]
  return jnp.where(keep[..., None], keypoints, 0), jnp.where(keep, scores, 0)
