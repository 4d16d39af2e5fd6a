"""PyTorch twins of posejax's nets: the same layers under the same names, to be measured beside them.

`TWINS[name](num_keypoints)` (of `fcn8s`: classes) is a module that takes `[B, 3, H, W]` and gives what
the posejax net of that name does, channels first; `load_posejax` gives it the same weights. A new net
goes in a file of its own and a line of the table.
"""

from functools import partial

from twins.densenet import PoseDenseNet
from twins.fcn8s import Fcn8s
from twins.hrnet import PoseHRNet
from twins.regression import RegressionCNN
from twins.resnet import PoseResNet

TWINS = {
  'pose_resnet18': partial(PoseResNet, 18),
  'pose_resnet34': partial(PoseResNet, 34),
  'pose_resnet50': partial(PoseResNet, 50),
  'pose_resnet101': partial(PoseResNet, 101),
  'pose_resnet152': partial(PoseResNet, 152),
  'pose_densenet121': partial(PoseDenseNet, 121),
  'pose_densenet169': partial(PoseDenseNet, 169),
  'pose_densenet201': partial(PoseDenseNet, 201),
  'pose_hrnet_w32': partial(PoseHRNet, 32),
  'pose_hrnet_w48': partial(PoseHRNet, 48),
  'fcn8s': Fcn8s,
  'regression_cnn': RegressionCNN,
}
