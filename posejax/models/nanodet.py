"""NanoDet-g: a small detector of COCO's 80 classes, here for people.

Source: RangiLyu/nanodet, config/legacy_v0.x_configs/nanodet-g.yml (Apache-2.0).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.errors import PosejaxError
from posejax.models.backbones.nanodet_g import NanoDetG
from posejax.models.heads.nanodet import NanoDetHead
from posejax.models.necks.nanodet_pan import NanoDetPan

INPUT_SIZE = (416, 416)
INPUT_MEAN = (103.53 / 255, 116.28 / 255, 123.675 / 255)
INPUT_STD = (57.375 / 255, 57.12 / 255, 58.395 / 255)
"""Of BGR in [0, 1]."""
_DEEPEST = 32


class NanoDet(nn.Module):
  """Backbone, neck and head: `images [B, H, W, 3]`, BGR, to logits at strides 8, 16 and 32."""

  backbone: nn.Module
  neck: nn.Module
  head: nn.Module

  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return float32 logits of normalised float images; see `NanoDetHead`.

    Raises:
      PosejaxError: height or width is no multiple of 32.
    """
    H, W = images.shape[1:3]
    if H % _DEEPEST or W % _DEEPEST:
      raise PosejaxError(
        f'NanoDet takes pictures whose sides are multiples of {_DEEPEST}, not {H}x{W} (height x width).'
      )
    maps = self.neck(self.backbone(images, train), train)
    return {name: x.astype(jnp.float32) for name, x in self.head(maps, train).items()}


def nanodet_g(*, num_classes: int = 80, dtype: str = 'float32') -> NanoDet:
  """Return NanoDet-g with its batch norms folded in: 3,786,068 parameters for 80 classes."""
  return NanoDet(NanoDetG(dtype), NanoDetPan(dtype=dtype), NanoDetHead(num_classes, dtype=dtype))
