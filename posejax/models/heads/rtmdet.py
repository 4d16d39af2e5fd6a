"""RTMDet's head: for every cell the classes of what it lies on, and how far that reaches.

Source: RTMDetSepBNHead of mmdet/models/dense_heads/rtmdet_head.py of open-mmlab/mmdetection
(Apache-2.0), without objectness.
"""

from collections.abc import Callable
import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models import layers
from posejax.models.csp_layers import spatial

_STACKED = 2
_PRIOR = 0.01
"""Probability that a cell is of a class, where training begins."""
_init = nn.initializers.normal(0.01)


class RTMDetHead(nn.Module):
  """Two convolutions for classes and two for distances, for each map; then a 1x1 convolution each.

  Parameters: with `shared`, `classes<i>_conv` and `distances<i>_conv` for all maps and
  `p<l>_classes<i>_bn`, `p<l>_distances<i>_bn` for each, l such that its stride is 2 ** l; else
  `p<l>_classes<i>` and `p<l>_distances<i>`, whole convolution units. `p<l>_classes`, `p<l>_distances`.

  Attributes:
    features: channels between the convolutions.
    conv, norm: constructors of layers.
    num_classes: C.
    shared: whether the maps share convolutions, and have batch norms of their own.
    depthwise: whether convolutions are depthwise; not `shared`.
    exponential: whether distances are exponentials of what the last convolution gives, as in l.
    dtype: what it computes in.
  """

  features: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  num_classes: int = 80
  shared: bool = True
  depthwise: bool = False
  exponential: bool = False
  dtype: Any = 'float32'

  multiple: ClassVar[int] = 32

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return logits and distances at strides 8, 16 and 32.

    Returns:
      `classes_<stride>` `[B, h, w, C]`, logits; `distances_<stride>` `[B, h, w, 4]`, pixels from the
      cell's point (`posejax.codecs.rtmdet`) to the left, top, right and bottom side of a box.
    """
    units = {}
    if self.shared:
      units = {
        (branch, i): self.conv(self.features, 3, kernel_init=_init, name=f'{branch}{i}_conv')
        for branch in ('classes', 'distances')
        for i in range(_STACKED)
      }

    def branch(x: jax.Array, name: str, level: int) -> jax.Array:
      for i in range(_STACKED):
        if self.shared:
          x = nn.silu(self.norm(name=f'p{level}_{name}{i}_bn')(units[name, i](x), train))
        else:
          unit = spatial(self.depthwise)
          rest = (self.conv, self.norm, self.dtype, _init)
          x = unit(self.features, 3, 1, *rest, name=f'p{level}_{name}{i}')(x, train)
      return x

    outputs = {}
    for level in (3, 4, 5):
      stride = 2**level
      x = branch(maps[stride], 'classes', level)
      logits = _Final(
        self.num_classes, -math.log(1 / _PRIOR - 1), self.dtype, name=f'p{level}_classes'
      )
      outputs[f'classes_{stride}'] = logits(x)
      x = branch(maps[stride], 'distances', level)
      # In float32 whatever the net computes in: bfloat16 has steps of 2 pixels from 256 on.
      x = _Final(4, 0.0, 'float32', name=f'p{level}_distances')(x)
      outputs[f'distances_{stride}'] = (jnp.exp(x) if self.exponential else x) * stride
    return outputs


class _Final(nn.Module):
  """A 1x1 convolution whose bias begins with one value. Parameters: `kernel`, `bias`."""

  features: int
  bias: float
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Map `[B, h, w, C]` to `[B, h, w, features]`."""
    kernel = layers.kernel_of(self, _init, (1, 1, x.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.constant(self.bias), (self.features,), jnp.float32)
    y = x.astype(self.dtype) @ kernel[0, 0].astype(self.dtype)
    return y + bias.astype(self.dtype)
