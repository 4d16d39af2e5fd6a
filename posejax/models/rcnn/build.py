"""The two-stage detectors that have a name: torchvision's, and a light one for CPUs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from posejax.errors import PosejaxError, nearest
from posejax.models import compose, layers
from posejax.models.backbones import BACKBONES
from posejax.models.necks.fpn import Fpn
from posejax.models.rcnn.heads import BoxHead, KeypointHead, RpnHead
from posejax.models.rcnn.net import RCNN
from posejax.models.rcnn.proposals import RATIOS

NORMS = ('frozen', 'batch', 'group')
_RESNET50 = {'name': 'resnet', 'depth': 50}
_LIGHT_BACKBONE = {'name': 'densenet_compact'}
_LIGHT = {
  'num_proposals': 64,
  'num_detections': 20,
  'train_proposals': 256,
  'anchor_samples': 128,
  'region_samples': 64,
  'keypoint_samples': 8,
}


def faster_rcnn(
  *,
  num_classes: int = 90,
  norm: str = 'frozen',
  norm_epsilon: float = 1e-5,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
) -> RCNN:
  """Return Faster R-CNN with a ResNet-50 and a feature pyramid: 41,755,286 parameters for 90 classes.

  Args:
    num_classes: of things, without the background. COCO's published weights are for its 90 numbers of
      categories, 10 of which are of no category.
    norm: 'frozen' for converted weights, 'batch' or 'group' for training from scratch.
    norm_epsilon: of a frozen norm: 0.0 for torchvision's COCO_V1, 1e-5 for its others.
    dtype: what it computes in.
    bn_group_size: of live batch norm, see `posejax.models`.
  """
  return _rcnn(_RESNET50, num_classes, None, norm, norm_epsilon, dtype, bn_group_size)


def keypoint_rcnn(
  *,
  num_classes: int = 1,
  num_keypoints: int = 17,
  norm: str = 'frozen',
  norm_epsilon: float = 1e-5,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
) -> RCNN:
  """Return Keypoint R-CNN with a ResNet-50 and a feature pyramid: 59,137,258 parameters.

  Arguments as `faster_rcnn` has them.
  """
  return _rcnn(_RESNET50, num_classes, num_keypoints, norm, norm_epsilon, dtype, bn_group_size)


def faster_rcnn_light(
  *,
  num_classes: int = 1,
  norm: str = 'batch',
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  backbone: Mapping[str, Any] = _LIGHT_BACKBONE,
  features: int = 64,
  hidden: int = 256,
) -> RCNN:
  """Return `keypoint_rcnn_light` without its keypoints."""
  sizes = {'features': features, 'hidden': hidden, **_LIGHT}
  return _rcnn(backbone, num_classes, None, norm, 1e-5, dtype, bn_group_size, **sizes)


def keypoint_rcnn_light(
  *,
  num_classes: int = 1,
  num_keypoints: int = 17,
  norm: str = 'batch',
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  backbone: Mapping[str, Any] = _LIGHT_BACKBONE,
  features: int = 64,
  hidden: int = 256,
  keypoint_features: Sequence[int] = (128,) * 4,
) -> RCNN:
  """Return a Keypoint R-CNN for canvases of up to 320 pixels a side and for CPUs.

  64 regions a picture, in training as in use; keypoints are learnt from 8 of them, as their head takes
  most of the time.

  Args:
    num_classes: of things, without the background.
    num_keypoints: of each.
    norm: as `faster_rcnn` has it.
    dtype: what it computes in.
    bn_group_size: of live batch norm, see `posejax.models`.
    backbone: one of `posejax.models.BACKBONES` with its options.
    features: channels of the pyramid.
    hidden: of the box head.
    keypoint_features: of each convolution of the head for keypoints.
  """
  sizes = {'features': features, 'hidden': hidden, 'keypoint_features': tuple(keypoint_features)}
  sizes |= _LIGHT
  return _rcnn(backbone, num_classes, num_keypoints, norm, 1e-5, dtype, bn_group_size, **sizes)


def _rcnn(
  backbone,
  num_classes,
  num_keypoints,
  norm,
  norm_epsilon,
  dtype,
  bn_group_size,
  features=256,
  hidden=1024,
  keypoint_features=(512,) * 8,
  **limits,
) -> RCNN:
  if norm not in NORMS:
    raise PosejaxError(
      f'config.model.norm={norm!r} must be one of {", ".join(NORMS)}.{nearest(norm, NORMS)}'
    )
  given = dict(compose.layers_of(dtype, bn_group_size))
  conv, deconv, dense = given['conv'], given['deconv'], given['dense']
  given['norm'] = {
    'frozen': partial(layers.FrozenBatchNorm, epsilon=norm_epsilon, dtype=dtype),
    'batch': given['norm'],
    'group': partial(layers.GroupNorm, dtype=dtype),
  }[norm]
  keypoint_head = None
  if num_keypoints is not None:
    keypoint_head = KeypointHead(num_keypoints, keypoint_features, conv=conv, deconv=deconv)
  return RCNN(
    backbone=compose.part('backbone', backbone, BACKBONES, given),
    neck=Fpn(features, conv=conv),
    rpn=RpnHead(len(RATIOS), conv=conv),
    box_head=BoxHead(num_classes + 1, hidden, dense=dense),
    keypoint_head=keypoint_head,
    **limits,
  )
