"""MoveNet: MobileNetV2, a feature pyramid to stride 4, and heads after CenterNet's.

Source: the published graphs, tfhub.dev/google/movenet/singlepose/{lightning,thunder}/4 and
tfhub.dev/google/movenet/multipose/lightning/1 (Google, Apache-2.0); R. Votel and N. Li,
"Next-Generation Pose Detection with MoveNet and TensorFlow.js", 2021.
"""

import dataclasses

from posejax.models import compose
from posejax.models.net import Net

STRIDE = 4
"""Pixels of the input per cell of the outputs."""


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


def posejax_movenet(
  variant: str,
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  batch_norm: bool = False,
) -> Net:
  """Return a MoveNet, one of `VARIANTS`.

  Without `batch_norm` it has the published nets' parameters, batch norms folded into the convolutions:
  2,317,974 (lightning), 6,226,046 (thunder) and 4,723,346 (multipose) for 17 keypoints. With
  it the backbone's and neck's convolutions have batch norms again, to train them.
  """
  chosen = VARIANTS[variant]
  return compose.net(
    backbone={'name': 'mobilenet_v2', 'width': chosen.width, 'batch_norm': batch_norm},
    neck={'name': 'movenet_fpn', 'batch_norm': batch_norm},
    head={'name': 'movenet', 'boxes': chosen.boxes},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
  )
