"""NanoDet's head: classes, and each side of a box as a distribution over distances.

Source: `NanoDetHead` of RangiLyu/nanodet nanodet/model/head/nanodet_head.py (Apache-2.0).
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax

from posejax.models import layers
from posejax.models.backbones.nanodet_g import ConvBlock

BINS = 11
"""Distances of a side from a cell's middle: 0 to 10 strides."""


class NanoDetHead(nn.Module):
  """For each map a 3x3 convolution and a 1x1.

  Parameters: `hidden_p<l>`, `final_p<l>` for stride 2 ** l.
  """

  num_classes: int = 80
  features: int = 128
  dtype: Any = 'float32'

  multiple: ClassVar[int] = 32

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return logits at strides 8, 16 and 32.

    Returns:
      `classes_<stride>` `[B, h, w, num_classes]`; `sides_<stride>` `[B, h, w, 44]`: of 11 distances for
      the left, top, right and bottom side of a box.
    """
    del train
    outputs = {}
    for level in (3, 4, 5):
      x = ConvBlock(self.features, dtype=self.dtype, name=f'hidden_p{level}')(maps[2**level])
      channels = self.num_classes + 4 * BINS
      x = layers.Conv(channels, 1, bias=True, dtype=self.dtype, name=f'final_p{level}')(x)
      outputs[f'classes_{2**level}'] = x[..., : self.num_classes]
      outputs[f'sides_{2**level}'] = x[..., self.num_classes :]
    return outputs
