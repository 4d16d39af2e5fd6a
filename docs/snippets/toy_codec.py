"""A toy codec in one file: keypoints as the mean of their heatmaps instead of the maximum.

Import it, and `config.codec.name='mean'` takes it; the losses of heatmaps go with it.
"""

import dataclasses

import jax
import jax.numpy as jnp

from posejax import codecs
from posejax.codecs import Msra


@dataclasses.dataclass(frozen=True)
class Mean(Msra):
  """MSRA's targets, read off by the mean of what the net outputs, as a distribution over cells.

  Attributes:
    sharpness: what heatmaps are multiplied by before their softmax.
  """

  sharpness: float = 20.0

  def _decode(self, outputs):
    b, h, w, k = outputs.shape
    flat = outputs.astype(jnp.float32).reshape(b, h * w, k)
    share = jax.nn.softmax(self.sharpness * flat, axis=1).reshape(b, h, w, k)
    x = (share * jnp.arange(w)[:, None]).sum((1, 2))
    y = (share * jnp.arange(h)[:, None, None]).sum((1, 2))
    return jnp.stack([x, y], -1) * self.stride, flat.max(1)


codecs.CODECS['mean'] = Mean
