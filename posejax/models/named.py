"""The nets that have a name of their own: compositions that were published or are trained here.

Every one of pose takes `num_keypoints` (17), `dtype` and `bn_group_size`, as `posejax.models` says.
"""

import flax.linen as nn

from posejax.models import compose


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
  return compose.net(
    backbone={'name': 'resnet', 'depth': depth, 'version': version},
    head={'name': 'simple_baseline', 'features': tuple(head_features)},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
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
  return compose.net(
    backbone={'name': 'densenet', 'depth': depth},
    head={'name': 'simple_baseline', 'features': tuple(head_features)},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
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
  return compose.net(
    backbone={'name': 'hrnet', 'width': width, 'modules': tuple(modules), 'blocks': blocks},
    head={'name': 'final'},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
  )


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
  return compose.net(
    backbone={
      'name': 'densenet_compact',
      'growth': growth,
      'block_layers': tuple(block_layers),
      'stem_features': stem_features,
      'compression': compression,
    },
    head={'name': 'skip', 'features': head_features},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
  )


def fcn8s(
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
  return compose.net(
    backbone={'name': 'vgg16', 'batch_norm': batch_norm, 'width': width},
    head={'name': 'fcn8s'},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
  )


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
  return compose.net(
    backbone={'name': 'residual_cnn', 'features': tuple(features), 'blocks': blocks},
    head={'name': 'regression', 'sigmas': sigmas, 'pooling': 'flatten', 'hidden': hidden},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
  )


def regression_resnet(
  depth: int,
  *,
  num_keypoints: int = 17,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  sigmas: bool = False,
) -> nn.Module:
  """Return a ResNet that outputs coordinates from the mean of its deepest map, as published."""
  return compose.net(
    backbone={'name': 'resnet', 'depth': depth},
    head={'name': 'regression', 'sigmas': sigmas},
    num_keypoints=num_keypoints,
    dtype=dtype,
    bn_group_size=bn_group_size,
  )
