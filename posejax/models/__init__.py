"""Nets by name: `create('pose_resnet50', num_keypoints=17)`, `create('svhn_cnn', variant='wide')`.

Every pose net takes `num_keypoints` (17), `dtype` ('float32' or 'bfloat16': what it computes in;
parameters, batch statistics and heatmaps are float32 always) and `bn_group_size` (None: batch norm
over the whole batch; g: over groups of g examples, as on devices that hold g each).
"""

from collections.abc import Callable
from functools import partial
import inspect

import flax.linen as nn

from posejax.errors import PosejaxError, nearest
from posejax.models import (
  densenet,
  fcn8s,
  heads,
  hrnet,
  layers,
  regression,
  resnet,
  svhn_cnn,
  vgg,
)


def pose_resnet(
  depth: int,
  version: int = 1,
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  head_features: tuple[int, ...] = (256, 256, 256),
) -> nn.Module:
  """Return a ResNet with the SimpleBaseline head: heatmaps at stride 32 / 2 ** deconvolutions."""
  common = {'dtype': dtype, 'bn_group_size': bn_group_size}
  backbone = resnet.ResNet(depth, version, **common)
  return heads.HeatmapNet(
    backbone, heads.SimpleBaselineHead(num_keypoints, tuple(head_features), **common)
  )


def pose_densenet(
  depth: int,
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  head_features: tuple[int, ...] = (256, 256, 256),
) -> nn.Module:
  """Return a DenseNet with the SimpleBaseline head: heatmaps at stride 32 / 2 ** deconvolutions."""
  common = {'dtype': dtype, 'bn_group_size': bn_group_size}
  backbone = densenet.DenseNet(depth, **common)
  return heads.HeatmapNet(
    backbone, heads.SimpleBaselineHead(num_keypoints, tuple(head_features), **common)
  )


def pose_hrnet(
  width: int,
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  modules: tuple[int, int, int] = (1, 4, 3),
  blocks: int = 4,
) -> nn.Module:
  """Return an HRNet with heatmaps at stride 4. Height and width must be divisible by 32.

  `modules` per stage and `blocks` per branch are the published ones; fewer compile faster.
  """
  backbone = hrnet.HRNet(width, tuple(modules), blocks, dtype, bn_group_size)
  return heads.HeatmapNet(backbone, hrnet.FinalHead(num_keypoints, dtype))


def pose_densenet_compact(
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  growth: int = 16,
  block_layers: tuple[int, ...] = (2, 4, 6),
  stem_features: int = 32,
  compression: float = 0.5,
  head_features: int = 64,
) -> nn.Module:
  """Return the compact DenseNet with a top-down head: heatmaps at stride 4.

  Height and width must be divisible by `4 * 2 ** (len(block_layers) - 1)`.
  """
  common = {'dtype': dtype, 'bn_group_size': bn_group_size}
  backbone = densenet.CompactDenseNet(
    growth, tuple(block_layers), stem_features, compression, **common
  )
  return heads.HeatmapNet(backbone, heads.SkipHead(num_keypoints, head_features, **common))


def fcn8s_net(
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  batch_norm: bool = True,
  width: float = 1.0,
) -> nn.Module:
  """Return FCN-8s on a VGG16: logits of the background and every keypoint at input size.

  Height and width must be divisible by 32. `width` 1.0 takes torchvision's weights, of `vgg16_bn`
  with `batch_norm` and of `vgg16` without; a quarter of the channels (0.25) is for a CPU.
  """
  backbone = vgg.VGG16(batch_norm, dtype, bn_group_size, width)
  return fcn8s.SegmentationNet(backbone, fcn8s.Fcn8sHead(num_keypoints + 1, dtype))


def regression_cnn(
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  sigmas: bool = False,
  features: tuple[int, ...] = (32, 64, 128, 192, 256),
  blocks: int = 1,
  hidden: int = 256,
) -> nn.Module:
  """Return a residual CNN with max-pooling that outputs coordinates, through a dense layer."""
  common = {'dtype': dtype, 'bn_group_size': bn_group_size}
  backbone = regression.ResidualCNN(tuple(features), blocks, **common)
  head = regression.RegressionHead(num_keypoints, sigmas, 'flatten', hidden, dtype)
  return regression.RegressionNet(backbone, head)


def regression_resnet(
  depth: int,
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  sigmas: bool = False,
) -> nn.Module:
  """Return a ResNet that outputs coordinates from the mean of its deepest map, as published."""
  common = {'dtype': dtype, 'bn_group_size': bn_group_size}
  backbone = resnet.ResNet(depth, **common)
  head = regression.RegressionHead(num_keypoints, sigmas, dtype=dtype)
  return regression.RegressionNet(backbone, head)


_TABLE: dict[str, Callable[..., nn.Module]] = {
  'pose_resnet18': partial(pose_resnet, 18),
  'pose_resnet34': partial(pose_resnet, 34),
  'pose_resnet50': partial(pose_resnet, 50),
  'pose_resnet101': partial(pose_resnet, 101),
  'pose_resnet152': partial(pose_resnet, 152),
  'pose_resnet18_v2': partial(pose_resnet, 18, 2),
  'pose_resnet34_v2': partial(pose_resnet, 34, 2),
  'pose_resnet50_v2': partial(pose_resnet, 50, 2),
  'pose_resnet101_v2': partial(pose_resnet, 101, 2),
  'pose_resnet152_v2': partial(pose_resnet, 152, 2),
  'pose_densenet121': partial(pose_densenet, 121),
  'pose_densenet169': partial(pose_densenet, 169),
  'pose_densenet201': partial(pose_densenet, 201),
  'pose_densenet_compact': pose_densenet_compact,
  'pose_hrnet_w32': partial(pose_hrnet, 32),
  'pose_hrnet_w48': partial(pose_hrnet, 48),
  'fcn8s': fcn8s_net,
  'regression_cnn': regression_cnn,
  'regression_resnet18': partial(regression_resnet, 18),
  'regression_resnet34': partial(regression_resnet, 34),
  'regression_resnet50': partial(regression_resnet, 50),
  'regression_resnet101': partial(regression_resnet, 101),
  'regression_resnet152': partial(regression_resnet, 152),
  'svhn_cnn': svhn_cnn.create,
}

NAMES = tuple(_TABLE)


def create(name: str, **kwargs) -> nn.Module:
  """Return the net called `name`, one of `NAMES`, with its constructor's keyword arguments.

  Raises:
    PosejaxError: an unknown name, keyword or dtype; says the nearest known one.
  """
  if name not in _TABLE:
    raise PosejaxError(f'There is no model {name!r}.{nearest(name, NAMES)}')
  constructor = _TABLE[name]
  known = [
    p.name
    for p in inspect.signature(constructor).parameters.values()
    if p.kind is inspect.Parameter.KEYWORD_ONLY
  ]
  for key in kwargs:
    if key not in known:
      raise PosejaxError(f'Model {name!r} has no field {key!r}.{nearest(key, known)}')
  dtype = kwargs.get('dtype', 'float32')
  if dtype not in layers.DTYPES:
    raise PosejaxError(f'dtype={dtype!r} must be one of {", ".join(layers.DTYPES)}')
  return constructor(**kwargs)
