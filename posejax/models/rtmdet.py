"""RTMDet, a detector of one stage: nano, tiny and s.

Source: configs/rtmdet/rtmdet_{tiny,s}_8xb32-300e_coco.py of open-mmlab/mmdetection and
projects/rtmpose/rtmdet/person/rtmdet_nano_320-8xb32_coco-person.py of open-mmlab/mmpose (Apache-2.0).
"""

from collections.abc import Mapping
from typing import NamedTuple

from posejax.models import compose
from posejax.models.net import Net

INPUT_MEAN = (103.53 / 255, 116.28 / 255, 123.675 / 255)
INPUT_STD = (57.375 / 255, 57.12 / 255, 58.395 / 255)
"""Of BGR in [0, 1], what the published weights were trained with."""


class Variant(NamedTuple):
  """What tells one RTMDet from another; as the parts of the net have it."""

  depth: float
  width: float
  features: int
  blocks: int
  depthwise: bool


VARIANTS: Mapping[str, Variant] = {
  'nano': Variant(0.33, 0.25, 64, 1, True),
  'tiny': Variant(0.167, 0.375, 96, 1, False),
  's': Variant(0.33, 0.5, 128, 1, False),
}


def rtmdet(
  variant: str,
  *,
  num_classes: int = 80,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
) -> Net:
  """Return RTMDet; pictures' height and width are multiples of 32, outputs as `RTMDetHead` says.

  Parameters: nano 993,779 for one class; tiny 4,896,168 and s 8,886,924 for 80.
  """
  v = VARIANTS[variant]
  return compose.net(
    backbone={'name': 'cspnext', 'depth': v.depth, 'width': v.width, 'depthwise': v.depthwise},
    neck={
      'name': 'cspnext_pafpn',
      'features': v.features,
      'blocks': v.blocks,
      'depthwise': v.depthwise,
    },
    head={
      'name': 'rtmdet',
      'features': v.features,
      'shared': not v.depthwise,
      'depthwise': v.depthwise,
    },
    num_classes=num_classes,
    dtype=dtype,
    bn_group_size=bn_group_size,
  )
