"""Heads: feature maps by their stride to what a net outputs, `{name: array}`.

Where a variable or an output has several values for each keypoint, a keypoint's lie together, in the
keypoints' order; `config.init_from` takes them over to another skeleton by that.
"""

import flax.linen as nn

from posejax.models.heads.fcn8s import Fcn8sHead
from posejax.models.heads.final import FinalHead
from posejax.models.heads.movenet import MoveNetHead
from posejax.models.heads.nanodet import NanoDetHead
from posejax.models.heads.regression import RegressionHead
from posejax.models.heads.rtmdet import RTMDetHead
from posejax.models.heads.simple_baseline import SimpleBaselineHead
from posejax.models.heads.skip import SkipHead

__all__ = [
  'HEADS',
  'Fcn8sHead',
  'FinalHead',
  'MoveNetHead',
  'NanoDetHead',
  'RTMDetHead',
  'RegressionHead',
  'SimpleBaselineHead',
  'SkipHead',
]

HEADS: dict[str, type[nn.Module]] = {
  'fcn8s': Fcn8sHead,
  'final': FinalHead,
  'regression': RegressionHead,
  'simple_baseline': SimpleBaselineHead,
  'skip': SkipHead,
  'movenet': MoveNetHead,
  'nanodet': NanoDetHead,
  'rtmdet': RTMDetHead,
}
