"""RTMDet's path aggregation: CSP layers down and up the pyramid.

Source: mmdet/models/necks/cspnext_pafpn.py of open-mmlab/mmdetection (Apache-2.0).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models import layers
from posejax.models.csp_layers import ConvUnit, CspLayer, spatial


class CSPNeXtPAFPN(nn.Module):
  """Return maps at strides 8, 16 and 32 of maps at these, all of `features` channels.

  Parameters: `reduce<i>` and `top_down<i>` from the deepest map on, `down<i>` and `bottom_up<i>` from the
  shallowest on, `out<i>`.

  Attributes:
    features: channels of the results.
    conv, norm: constructors of layers.
    blocks: in each CSP layer.
    depthwise: whether 3x3 convolutions are depthwise.
    dtype: what it computes in.
  """

  features: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  blocks: int = 1
  depthwise: bool = False
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[int, jax.Array]:
    """Join the maps, first from the deepest on, then from the shallowest on."""
    rest = (self.conv, self.norm, self.dtype)

    def csp(features: int, name: str) -> CspLayer:
      return CspLayer(
        features,
        self.blocks,
        False,
        False,
        self.conv,
        self.norm,
        self.depthwise,
        self.dtype,
        name=name,
      )

    inner = dict(maps)
    for i, (deep, shallow) in enumerate(((32, 16), (16, 8))):
      channels = maps[shallow].shape[-1]
      inner[deep] = ConvUnit(channels, 1, 1, *rest, name=f'reduce{i}')(inner[deep], train)
      both = jnp.concatenate([layers.upsample(inner[deep], 2), maps[shallow]], -1)
      inner[shallow] = csp(channels, f'top_down{i}')(both, train)
    joined = {8: inner[8]}
    for i, (shallow, deep) in enumerate(((8, 16), (16, 32))):
      below = joined[shallow]
      down = spatial(self.depthwise)(below.shape[-1], 3, 2, *rest, name=f'down{i}')(below, train)
      both = jnp.concatenate([down, inner[deep]], -1)
      joined[deep] = csp(maps[deep].shape[-1], f'bottom_up{i}')(both, train)
    return {
      stride: spatial(self.depthwise)(self.features, 3, 1, *rest, name=f'out{i}')(x, train)
      for i, (stride, x) in enumerate(joined.items())
    }
