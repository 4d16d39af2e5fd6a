"""Backbones: pictures `[B, H, W, 3]` to feature maps by their stride, `{4: [B, H / 4, W / 4, C], ...}`.

Whoever has one more adds it to `BACKBONES`: a module whose fields are its options, beside `conv` and
`norm`, which it is handed.
"""

import flax.linen as nn

from posejax.models.backbones.cspnext import CSPNeXt
from posejax.models.backbones.densenet import DenseNet
from posejax.models.backbones.densenet_compact import CompactDenseNet
from posejax.models.backbones.hrnet import HRNet
from posejax.models.backbones.mobilenet_v2 import MobileNetV2
from posejax.models.backbones.nanodet_g import NanoDetG
from posejax.models.backbones.residual_cnn import ResidualCNN
from posejax.models.backbones.resnet import ResNet
from posejax.models.backbones.vgg import VGG16

__all__ = [
  'BACKBONES',
  'VGG16',
  'CSPNeXt',
  'CompactDenseNet',
  'DenseNet',
  'HRNet',
  'MobileNetV2',
  'NanoDetG',
  'ResNet',
  'ResidualCNN',
]

BACKBONES: dict[str, type[nn.Module]] = {
  'densenet': DenseNet,
  'densenet_compact': CompactDenseNet,
  'hrnet': HRNet,
  'residual_cnn': ResidualCNN,
  'resnet': ResNet,
  'vgg16': VGG16,
  'mobilenet_v2': MobileNetV2,
  'nanodet_g': NanoDetG,
  'cspnext': CSPNeXt,
}
