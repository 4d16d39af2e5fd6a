"""PyTorch's bicubic resizing, also to sizes that are not known when a program is compiled.

Source: aten/src/ATen/native/UpSample.h of PyTorch: a = -0.75, `align_corners=False`, no antialiasing;
what lies outside is as the nearest edge. `jax.image.resize` has a = -0.5 and renormalises at the edges.
"""

import jax
from jax import lax
import jax.numpy as jnp

_A = -0.75
_HIGHEST = lax.Precision.HIGHEST
_TILE = 64


def cubic_weights(places: jax.Array, length: int, new_length: jax.Array | int) -> jax.Array:
  """Return `[P, length]`: what each old pixel gives to the new pixels at `places` `[P]` of one axis."""
  at = (places + 0.5) * (length / jnp.asarray(new_length, jnp.float32)) - 0.5
  first = jnp.floor(at)
  t = at - first
  weights = [_far(t + 1), _near(t), _near(1 - t), _far(2 - t)]
  total = 0
  for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
    cell = jnp.clip(first.astype(jnp.int32) + offset, 0, length - 1)
    total += weight[:, None] * (cell[:, None] == jnp.arange(length))
  return total


def peaks(maps: jax.Array, size_hw: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
  """Return where maps are highest when they are resized to h by w pixels, and how high.

  Nothing of the new size is ever held: tiles are made and looked at one after the other, as many as
  the size needs. Not differentiable.

  Args:
    maps: `[K, h', w']`.
    size_hw: int32 `(h, w)`, traced; where either is 0 nothing is computed.

  Returns:
    `(points int32 [K, 2], values [K])`: pixels (x, y) of the resized maps, of equal ones the first in
    row-major order of the tiles; (0, 0) and -inf where nothing is computed.
  """
  K, old_h, old_w = maps.shape
  h, w = size_hw
  tiles_y, tiles_x = -(-h // _TILE), -(-w // _TILE)
  offsets = jnp.arange(_TILE)

  def strip(i, best):
    y = i * _TILE + offsets
    rows = jnp.einsum('yi,kij->kyj', cubic_weights(y, old_h, h), maps, precision=_HIGHEST)

    def tile(j, best):
      points, values = best
      x = j * _TILE + offsets
      resized = jnp.einsum('kyj,xj->kyx', rows, cubic_weights(x, old_w, w), precision=_HIGHEST)
      resized = jnp.where((y < h)[:, None] & (x < w), resized, -jnp.inf).reshape(K, -1)
      place = resized.argmax(1)
      value = jnp.take_along_axis(resized, place[:, None], 1)[:, 0]
      point = jnp.stack([x[place % _TILE], y[place // _TILE]], -1)
      better = value > values
      return jnp.where(better[:, None], point, points), jnp.where(better, value, values)

    return lax.fori_loop(0, tiles_x, tile, best)

  nothing = jnp.zeros((K, 2), jnp.int32), jnp.full(K, -jnp.inf, maps.dtype)
  return lax.fori_loop(0, jnp.where(w > 0, tiles_y, 0), strip, nothing)


def _near(d):
  """Return the weight at distance d, at most 1."""
  return ((_A + 2) * d - (_A + 3)) * d * d + 1


def _far(d):
  """Return the weight at distance d between 1 and 2."""
  return ((_A * d - 5 * _A) * d + 8 * _A) * d - 4 * _A
