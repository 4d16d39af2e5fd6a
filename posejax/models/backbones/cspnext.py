"""CSPNeXt, the backbone of RTMDet and RTMPose.

Source: mmdet/models/backbones/cspnext.py of open-mmlab/mmdetection (Apache-2.0), arch P5; Lyu et al.,
"RTMDet" (arXiv:2212.07784).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from posejax.models import layers
from posejax.models.csp_layers import ConvUnit, CspLayer, SppBottleneck, spatial

STAGES = ((128, 3), (256, 6), (512, 6), (1024, 3))
"""(channels, blocks) of the stages at width and depth 1; they begin with strides 4, 8, 16, 32."""
STEM = 64


class CSPNeXt(nn.Module):
  """Return maps at strides 8, 16 and 32, of 256, 512 and 1024 channels times `width`.

  Parameters: `stem0` … `stem2`, and for each stage `stage<n>_conv`, `stage4_spp`, `stage<n>_csp`.

  Attributes:
    conv, norm: constructors of layers.
    depth: factor of the numbers of blocks; tiny 0.167, s and nano 0.33, m 0.67.
    width: factor of the channels; nano 0.25, tiny 0.375, s 0.5, m 0.75.
    depthwise: whether 3x3 convolutions after the stem are depthwise, as nano's are.
    dtype: what it computes in.
    remat: see `posejax.models`; here for the CSP layer of each stage.
  """

  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  depth: float = 1.0
  width: float = 1.0
  depthwise: bool = False
  dtype: Any = 'float32'
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature maps of normalised `[B, H, W, 3]`, height and width multiples of 32."""
    rest = (self.conv, self.norm, self.dtype)
    half = int(STEM * self.width // 2)
    for i, (features, stride) in enumerate(((half, 2), (half, 1), (int(STEM * self.width), 1))):
      x = ConvUnit(features, 3, stride, *rest, name=f'stem{i}')(x, train)
    csp_layer = layers.rematerialized(CspLayer, self.remat and train)
    maps = {}
    for number, (channels, blocks) in enumerate(STAGES, 1):
      last = number == len(STAGES)
      features = int(channels * self.width)
      x = spatial(self.depthwise)(features, 3, 2, *rest, name=f'stage{number}_conv')(x, train)
      if last:
        x = SppBottleneck(*rest, name=f'stage{number}_spp')(x, train)
      x = csp_layer(
        features,
        max(round(blocks * self.depth), 1),
        shortcut=not last,
        attention=True,
        conv=self.conv,
        norm=self.norm,
        depthwise=self.depthwise,
        dtype=self.dtype,
        name=f'stage{number}_csp',
      )(x, train)
      if number > 1:
        maps[2 ** (number + 1)] = x
    return maps
