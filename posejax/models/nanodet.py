"""NanoDet-g: a small detector of COCO's 80 classes, here for people.

Source: RangiLyu/nanodet, config/legacy_v0.x_configs/nanodet-g.yml (Apache-2.0).
"""

from posejax.models import compose
from posejax.models.net import Net

INPUT_SIZE = (416, 416)
INPUT_MEAN = (103.53 / 255, 116.28 / 255, 123.675 / 255)
INPUT_STD = (57.375 / 255, 57.12 / 255, 58.395 / 255)
"""Of BGR in [0, 1]."""


def nanodet_g(*, num_classes: int = 80, dtype: str = 'float32') -> Net:
  """Return NanoDet-g with its batch norms folded in: 3,786,068 parameters for 80 classes.

  Pictures are BGR, their height and width multiples of 32; outputs as `NanoDetHead` says.
  """
  return compose.net(
    backbone={'name': 'nanodet_g'},
    neck={'name': 'nanodet_pan'},
    head={'name': 'nanodet'},
    num_classes=num_classes,
    dtype=dtype,
  )
