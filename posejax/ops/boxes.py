"""Boxes: areas, overlaps, clipping, and the coding of one box relative to another."""

import math

import jax
import jax.numpy as jnp

MAX_LOG_RATIO = math.log(1000 / 16)
"""No decoded side is more than e to this times its reference's.
Source: torchvision/models/detection/_utils.py, `BoxCoder`."""


def area(boxes: jax.Array) -> jax.Array:
  """Return `[...]` areas of `[..., 4]` boxes; 0 for one whose corners are in the wrong order."""
  sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
  return sides[..., 0] * sides[..., 1]


def iou(boxes: jax.Array, others: jax.Array) -> jax.Array:
  """Return `[N, M]` intersections over unions of `[N, 4]` boxes with `[M, 4]` others.

  0 where neither has an area.
  """
  common = _intersections(boxes, others)
  union = area(boxes)[:, None] + area(others)[None, :] - common
  return jnp.where(union > 0, common / jnp.where(union > 0, union, 1), 0)


def shares(boxes: jax.Array, others: jax.Array) -> jax.Array:
  """Return `[N, M]`: how much of the area of `[N, 4]` boxes lies in each of `[M, 4]` others.

  0 for a box without area.
  """
  whole = area(boxes)[:, None]
  return jnp.where(whole > 0, _intersections(boxes, others) / jnp.where(whole > 0, whole, 1), 0)


def clip(boxes: jax.Array, size_hw: jax.Array | tuple[int, int]) -> jax.Array:
  """Return `[..., 4]` boxes with what lies outside a picture of h by w pixels cut off.

  `size_hw` is `(h, w)`, numbers that may be traced.
  """
  h, w = size_hw
  x, y = boxes[..., 0::2], boxes[..., 1::2]
  x, y = jnp.clip(x, 0, w), jnp.clip(y, 0, h)
  return jnp.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)


def encode(
  boxes: jax.Array, references: jax.Array, weights: tuple[float, float, float, float]
) -> jax.Array:
  """Return the deltas `[..., 4]` that `decode` makes `boxes` from, relative to `references`.

  (dx, dy) are the distances of the middles in the reference's width and height, (dw, dh) logarithms of
  the ratios of the sides; each times its weight. Boxes and references have positive sides.
  Source: Girshick et al., arXiv:1311.2524, appendix C; the weights as torchvision's `BoxCoder` has them.
  """
  size, reference = _size(boxes), _size(references)
  shift = (_middle(boxes) - _middle(references)) / reference
  deltas = jnp.concatenate([shift, jnp.log(size / reference)], -1)
  return deltas * jnp.array(weights, deltas.dtype)


def decode(
  deltas: jax.Array, references: jax.Array, weights: tuple[float, float, float, float]
) -> jax.Array:
  """Return the boxes `[..., 4]` that deltas `[..., 4]` mean; the inverse of `encode`.

  Logarithms of ratios above `MAX_LOG_RATIO` are cut to it. References broadcast against the deltas.
  """
  deltas = deltas / jnp.array(weights, deltas.dtype)
  reference = _size(references)
  middle = deltas[..., :2] * reference + _middle(references)
  half = jnp.exp(jnp.minimum(deltas[..., 2:], MAX_LOG_RATIO)) * reference * 0.5
  return jnp.concatenate([middle - half, middle + half], -1)


def _intersections(boxes, others):
  x1, y1, x2, y2 = (boxes[:, None, i] for i in range(4))
  u1, v1, u2, v2 = (others[None, :, i] for i in range(4))
  w = jnp.maximum(jnp.minimum(x2, u2) - jnp.maximum(x1, u1), 0)
  h = jnp.maximum(jnp.minimum(y2, v2) - jnp.maximum(y1, v1), 0)
  return w * h


def _size(boxes):
  return boxes[..., 2:] - boxes[..., :2]


def _middle(boxes):
  return boxes[..., :2] + 0.5 * _size(boxes)
