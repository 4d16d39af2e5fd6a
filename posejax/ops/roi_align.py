"""RoIAlign: what feature maps show inside of boxes, at a fixed size.

Source: He et al., Mask R-CNN, arXiv:1703.06870; torchvision/ops/roi_align.py with `aligned=False` and
torchvision/ops/poolers.py, `LevelMapper`.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from posejax.ops import boxes as boxes_lib

_SAMPLES = 2
"""Points per bin and axis."""
_CANONICAL_SIDE, _CANONICAL_STRIDE = 224, 16
"""A box of this side belongs to the map of this stride. Source: Lin et al., arXiv:1612.03144, eq. 1."""


def level_of(boxes: jax.Array, strides: tuple[int, ...]) -> jax.Array:
  """Return int32 `[...]`: which of the strides, powers of 2 in order, boxes `[..., 4]` belong to."""
  levels = [stride.bit_length() - 1 for stride in strides]
  canonical = _CANONICAL_STRIDE.bit_length() - 1
  side = jnp.sqrt(boxes_lib.area(boxes))
  level = jnp.floor(canonical + jnp.log2(side / _CANONICAL_SIDE) + 1e-6)
  return (jnp.clip(level, levels[0], levels[-1]) - levels[0]).astype(jnp.int32)


def roi_align(maps: Mapping[int, jax.Array], boxes: jax.Array, size: int) -> jax.Array:
  """Return what the map that a box belongs to shows of it, in bins of 2x2 bilinear samples each.

  Args:
    maps: `{stride: [B, h, w, C]}`, strides powers of 2, each twice the one before.
    boxes: `[B, R, 4]` in pixels of the picture, within it. Sides are at least a cell of the map. Their
      gradient is not taken.
    size: bins per axis.

  Returns:
    `[B, R, size, size, C]`, differentiable by the maps.
  """
  strides = tuple(sorted(maps))
  level = level_of(boxes, strides)
  sizes = [maps[stride].shape[1:3] for stride in strides]
  starts = [sum(h * w for h, w in sizes[:i]) for i in range(len(sizes))]
  h, w, start, stride = (
    jnp.array(values)[level]
    for values in ([s[0] for s in sizes], [s[1] for s in sizes], starts, strides)
  )
  boxes = jax.lax.stop_gradient(boxes) * (1 / stride.astype(jnp.float32))[..., None]
  y, y_weight = _taps(boxes[..., 1], boxes[..., 3], h, size)
  x, x_weight = _taps(boxes[..., 0], boxes[..., 2], w, size)
  B, R, C = *boxes.shape[:2], maps[strides[0]].shape[-1]
  flat = [maps[s].reshape(B, h * w, C) for s, (h, w) in zip(strides, sizes, strict=True)]
  number = sum(h * w for h, w in sizes)
  flat = jnp.concatenate(flat, 1).reshape(B * number, C)
  pictures = jnp.arange(B)[:, None] * number
  rows = (pictures + start)[..., None, None] + y * w[..., None, None]
  places = rows[:, :, :, None, :, None] + x[:, :, None, :, None, :]
  weights = y_weight[:, :, :, None, :, None] * x_weight[:, :, None, :, None, :]
  places = places.reshape(B * R * size * size, (2 * _SAMPLES) ** 2)
  weights = weights.reshape(*places.shape, 1)
  pooled = 0
  for tap in range(places.shape[1]):
    pooled += flat.at[places[:, tap]].get(mode='promise_in_bounds') * weights[:, tap]
  return pooled.reshape(B, R, size, size, C)


def _taps(low, high, length, size):
  """Return which cells a bin's samples lie between on one axis, and their weights.

  `low`, `high`, `length` are `[B, R]`; the result is two `[B, R, size, 2 * _SAMPLES]`.
  """
  extent = jnp.maximum(high - low, 1)[..., None]
  step = extent / size
  offsets = (jnp.arange(_SAMPLES) + 0.5) * (step / _SAMPLES)
  bins = low[..., None] + jnp.arange(size) * step
  at = jnp.maximum(bins[..., None] + offsets[..., None, :], 0)
  last = (length - 1)[..., None, None]
  first = jnp.minimum(jnp.floor(at).astype(jnp.int32), last)
  second = jnp.minimum(first + 1, last)
  share = jnp.where(first == last, 0, at - first)
  cells = jnp.concatenate([first, second], -1)
  weights = jnp.concatenate([1 - share, share], -1) / _SAMPLES
  return cells, weights
