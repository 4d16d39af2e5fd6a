"""Tell from the names and shapes of a checkpoint's tensors which net they belong to."""

from collections.abc import Mapping
import dataclasses
import re

import flax.linen as nn
import numpy as np

from posejax import labels
from posejax.errors import PosejaxError
from posejax.models import rcnn
from posejax.models.backbones import densenet, hrnet, resnet, vgg
from posejax.weights.families import names

Tensors = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Inputs:
  """What a net was trained to see; the fields of `config.inputs`.

  Attributes:
    mean, std: per channel in [0, 1], in the net's order of channels.
    channels: 'rgb' or 'bgr'.
  """

  mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
  std: tuple[float, float, float] = (0.229, 0.224, 0.225)
  channels: str = 'rgb'


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """Which net a file holds.

  Attributes:
    family: whose names it has: 'torchvision', 'SimpleBaseline', 'HRNet' or 'mmpose'.
    backbone: e.g. 'resnet50', 'densenet121', 'vgg16', 'vgg16_bn', 'hrnet_w32'; of a detector the whole
      net, e.g. 'faster_rcnn_resnet50_fpn'.
    num_keypoints: of its heatmaps; None where it has none.
    inputs: what the family's published nets were trained to see.
    backbone_prefix, head_prefix: before every name of either.
    num_classes: of a detector, without the background; else None.
  """

  family: str
  backbone: str
  num_keypoints: int | None
  inputs: Inputs
  backbone_prefix: str = ''
  head_prefix: str = ''
  num_classes: int | None = None

  def __str__(self) -> str:
    if self.num_classes is not None:
      keypoints = '' if self.num_keypoints is None else f' and {self.num_keypoints} keypoints'
      plural = 'es' * (self.num_classes != 1)
      return (
        f'{self.backbone} for {self.num_classes} class{plural}{keypoints} ({self.family} names)'
      )
    if self.num_keypoints is None:
      return f'{self.backbone} without heatmaps ({self.family} names)'
    return f'{self.backbone} for {self.num_keypoints} keypoints ({self.family} names)'


def identify(tensors: Tensors) -> Checkpoint:
  """Return which net the tensors belong to.

  The SimpleBaseline project fed pictures as OpenCV reads them, BGR, normalised by ImageNet's RGB means
  and deviations in that order; the nets of the other families see RGB.
  Source: lib/dataset/JointsDataset.py and pose_estimation/valid.py of
  microsoft/human-pose-estimation.pytorch; COLOR_RGB in leoxiaobin/deep-high-resolution-net.pytorch
  experiments/coco; data_preprocessor in mmpose's configs.

  Raises:
    PosejaxError: no net that posejax has goes by these names.
  """
  present = present_names(tensors)
  if (classes := present.get('roi_heads.box_predictor.cls_score.weight')) is not None:
    heatmaps = present.get('roi_heads.keypoint_predictor.kps_score_lowres.weight')
    kind = 'faster_rcnn' if heatmaps is None else 'keypoint_rcnn'
    body = {n.removeprefix('backbone.body.'): t for n, t in present.items()}
    name = f'{kind}_{_backbone(body)}_fpn'
    keypoints = None if heatmaps is None else heatmaps.shape[1]
    return Checkpoint('torchvision', name, keypoints, Inputs(), num_classes=len(classes) - 1)
  mmpose = any(name.startswith('backbone.') for name in present)
  prefix = 'backbone.' if mmpose else ''
  backbone = _backbone({n.removeprefix(prefix): t for n, t in present.items()})
  heads = ('head.', 'keypoint_head.') if mmpose else ('',)
  for head in heads:
    final = present.get(f'{head}final_layer.weight')
    if final is not None and final.ndim == 4:
      family = 'HRNet' if backbone.startswith('hrnet') else 'SimpleBaseline'
      family = 'mmpose' if mmpose else family
      inputs = Inputs(channels='bgr' if family == 'SimpleBaseline' else 'rgb')
      return Checkpoint(family, backbone, final.shape[0], inputs, prefix, head)
  family = 'HRNet' if backbone.startswith('hrnet') else 'torchvision'
  return Checkpoint('mmpose' if mmpose else family, backbone, None, Inputs(), prefix)


def present_names(tensors: Tensors) -> dict[str, np.ndarray]:
  """Return the tensors with a peer's earlier names replaced by its present ones.

  Raises:
    PosejaxError: a tensor goes by both.
  """
  renamed = {}
  for name, tensor in tensors.items():
    for old, new in names.OLD_NAMES:
      if match := re.fullmatch(old, name):
        name = match.expand(new)
    if name in renamed:
      raise PosejaxError(f'The checkpoint has {name!r} twice, by its old and by its new name.')
    renamed[name] = tensor
  return renamed


def of_coco_classes(tensors: Tensors) -> dict[str, np.ndarray]:
  """Return a detector's tensors for the background and COCO's 80 classes, of 91 numbers' outcomes.

  torchvision's nets learnt none of the ten numbers that stand for no class.
  """
  outcomes = [0, *labels.COCO_CATEGORIES]
  chosen = dict(tensors)
  for part, each in (('cls_score', 1), ('bbox_pred', 4)):
    rows = np.add.outer(each * np.array(outcomes), np.arange(each)).ravel()
    for leaf in ('weight', 'bias'):
      name = f'roi_heads.box_predictor.{part}.{leaf}'
      if name in tensors:
        chosen[name] = tensors[name][rows]
  return chosen


def backbone_name(module: nn.Module) -> str | None:
  """Return `Checkpoint.backbone` of a backbone or a detector, or None where no peer has such weights."""
  if isinstance(module, rcnn.RCNN):
    kind = 'faster_rcnn' if module.keypoint_head is None else 'keypoint_rcnn'
    return f'{kind}_{backbone_name(module.backbone)}_fpn'
  if isinstance(module, resnet.ResNet) and module.version == 1:
    return f'resnet{module.depth}'
  if isinstance(module, densenet.DenseNet):
    return f'densenet{module.depth}'
  if isinstance(module, hrnet.HRNet):
    return f'hrnet_w{module.width}'
  if isinstance(module, vgg.VGG16):
    return 'vgg16_bn' if module.batch_norm else 'vgg16'
  return None


def _backbone(tensors: Tensors) -> str:
  if (branch := tensors.get('stage2.0.branches.0.0.conv1.weight')) is not None:
    return f'hrnet_w{branch.shape[0]}'
  if 'layer1.0.conv1.weight' in tensors:
    kind = 'bottleneck' if 'layer1.0.conv3.weight' in tensors else 'basic'
    blocks = _counts(tensors, r'layer(\d)\.(\d+)\.conv1\.weight')
    return _by_blocks('resnet', {d: b for d, (k, b) in resnet.BLOCKS.items() if k == kind}, blocks)
  if 'features.denseblock1.denselayer1.conv1.weight' in tensors:
    blocks = _counts(tensors, r'features\.denseblock(\d)\.denselayer(\d+)\.conv1\.weight')
    return _by_blocks('densenet', densenet.BLOCKS, blocks)
  convolutions = [n for n in tensors if re.fullmatch(r'features\.\d+\.weight', n)]
  if convolutions:
    layers = sum(tensors[n].ndim == 4 for n in convolutions)
    name = 'vgg16_bn' if 'features.1.running_mean' in tensors else 'vgg16'
    if layers != sum(count for _, count in vgg.BLOCKS):
      raise PosejaxError(
        f'The checkpoint looks like a VGG with {layers} convolutions; only VGG16, with 13, is known.'
      )
    return name
  raise PosejaxError(
    'The checkpoint holds no net that posejax has: neither a ResNet, DenseNet, VGG16 nor HRNet by '
    f'its {len(tensors)} names, which begin {", ".join(list(tensors)[:5])}.'
  )


def _counts(tensors: Tensors, pattern: str) -> tuple[int, ...]:
  """Return how many names match for each value of the pattern's first group, in its order."""
  stages = [m.group(1) for name in tensors if (m := re.fullmatch(pattern, name))]
  return tuple(stages.count(stage) for stage in sorted(set(stages)))


def _by_blocks(kind: str, table: Mapping[int, tuple[int, ...]], blocks: tuple[int, ...]) -> str:
  for depth, known in table.items():
    if known == blocks:
      return f'{kind}{depth}'
  known = ', '.join(f'{kind}{depth} with {blocks}' for depth, blocks in table.items())
  raise PosejaxError(
    f'The checkpoint looks like a {kind} with {blocks} blocks per stage; known are {known}.'
  )
