"""MoveNet: MobileNetV2, a feature pyramid to stride 4, and heads after CenterNet's.

Source: the published graphs, tfhub.dev/google/movenet/singlepose/{lightning,thunder}/4 and
tfhub.dev/google/movenet/multipose/lightning/1 (Google, Apache-2.0); R. Votel and N. Li,
"Next-Generation Pose Detection with MoveNet and TensorFlow.js", 2021.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.errors import PosejaxError
from posejax.models.backbones.mobilenet_v2 import MobileNetV2
from posejax.models.heads.movenet import MoveNetHead
from posejax.models.necks.movenet_fpn import MoveNetFpn

STRIDE = 4
"""Pixels of the input per cell of the outputs."""
_DEEPEST = 32


@dataclasses.dataclass(frozen=True)
class Variant:
  """One of the published nets.

  Attributes:
    width: of the MobileNetV2.
    boxes: whether it finds several people and their boxes.
    input_size: (H, W) that it was trained with; MultiPose takes any multiples of 32.
  """

  width: float
  boxes: bool
  input_size: tuple[int, int]


VARIANTS = {
  'lightning': Variant(1.0, False, (192, 192)),
  'thunder': Variant(1.75, False, (256, 256)),
  'multipose': Variant(1.5, True, (256, 256)),
}

INPUT_MEAN = INPUT_STD = (0.5, 0.5, 0.5)
"""Of RGB in [0, 1]: the nets see `x * 2 / 255 - 1`."""


class MoveNet(nn.Module):
  """Backbone, neck and head: `images [B, H, W, 3]` to raw maps at stride 4.

  `posejax.models.heads.movenet.channels` says which maps; decoded they are not.
  """

  backbone: nn.Module
  neck: nn.Module
  head: nn.Module

  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return float32 maps of normalised float images; `train` toggles batch statistics.

    Apply with `mutable=['batch_stats']` where `train` is true and the net has batch norms.

    Raises:
      PosejaxError: height or width is no multiple of 32.
    """
    H, W = images.shape[1:3]
    if H % _DEEPEST or W % _DEEPEST:
      raise PosejaxError(
        f'MoveNet takes pictures whose sides are multiples of {_DEEPEST}, not {H}x{W} (height x width).'
      )
    maps = self.neck(self.backbone(images, train), train)
    return {name: x.astype(jnp.float32) for name, x in self.head(maps, train).items()}


def posejax_movenet(
  variant: str,
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  norm: bool = False,
) -> MoveNet:
  """Return a MoveNet, one of `VARIANTS`.

  Without `norm` it has the published nets' parameters, batch norms folded into the convolutions:
  2,317,974 (lightning), 6,226,046 (thunder) and 4,723,346 (multipose) for 17 keypoints. With `norm`
  the backbone's and neck's convolutions have batch norms again, to train them.
  """
  chosen = VARIANTS[variant]
  common = {'norm': norm, 'dtype': dtype, 'bn_group_size': bn_group_size}
  return MoveNet(
    MobileNetV2(chosen.width, **common),
    MoveNetFpn(**common),
    MoveNetHead(num_keypoints, chosen.boxes, dtype),
  )
