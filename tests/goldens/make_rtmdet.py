"""Compute what OpenMMLab's own code answers to seeded weights and seeded boxes: writes `rtmdet.npz`.

Only this needs PyTorch; the tests read the file. In an environment of its own, with a checkout of
open-mmlab/mmdetection (v3.3):

    pip install torch==2.13.0 numpy
    python tests/goldens/make_rtmdet.py --mmdet=CHECKOUT

Neither mmdet nor mmcv is installed: modules are loaded one by one, and the few things they take from
elsewhere stand here in their plainest form.
"""

import argparse
import importlib
import os
import sys
import types

import numpy as np
import seeded
import torch
from torch import nn

FOLDER = os.path.dirname(os.path.abspath(__file__))
SIZE = (96, 64)
NUM_CLASSES = 3
VARIANTS = {
  'nano': {'deepen_factor': 0.33, 'widen_factor': 0.25, 'use_depthwise': True},
  'tiny': {'deepen_factor': 0.167, 'widen_factor': 0.375, 'use_depthwise': False},
  's': {'deepen_factor': 0.33, 'widen_factor': 0.5, 'use_depthwise': False},
}


class ConvModule(nn.Module):
  """Convolution without bias, batch norm, activation, named as mmcv names them."""

  def __init__(self, inputs, outputs, size, stride=1, padding=0, groups=1, act_cfg=None, **unused):
    super().__init__()
    self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False)
    self.bn = nn.BatchNorm2d(outputs)
    assert act_cfg['type'] in ('SiLU', 'Swish')

  def forward(self, x):
    return nn.functional.silu(self.bn(self.conv(x)))


class DepthwiseSeparableConvModule(nn.Module):
  def __init__(self, inputs, outputs, size, stride=1, padding=0, **options):
    super().__init__()
    self.depthwise_conv = ConvModule(
      inputs, inputs, size, stride, padding, groups=inputs, **options
    )
    self.pointwise_conv = ConvModule(inputs, outputs, 1, **options)

  def forward(self, x):
    return self.pointwise_conv(self.depthwise_conv(x))


class BaseModule(nn.Module):
  def __init__(self, init_cfg=None):
    super().__init__()


class Registry:
  def register_module(self):
    return lambda cls: cls

  def build(self, config):
    return overlaps_calculator()


class Instances(types.SimpleNamespace):
  pass


class DenseHead(nn.Module):
  """What the head takes from its bases: fields, and its own layers."""

  def __init__(self, num_classes, in_channels, stacked_convs, feat_channels, norm_cfg,
               pred_kernel_size, **unused):  # fmt: skip
    given = {name: getattr(self, name) for name in ('act_cfg', 'with_objectness')}
    super().__init__()
    self.__dict__.update(given, train_cfg=None)
    self.num_classes = self.cls_out_channels = num_classes
    self.in_channels, self.feat_channels = in_channels, feat_channels
    self.stacked_convs, self.pred_kernel_size = stacked_convs, pred_kernel_size
    self.conv_cfg, self.norm_cfg = None, norm_cfg
    self.num_anchors = self.num_base_priors = 1
    self.prior_generator = types.SimpleNamespace(strides=[(8, 8), (16, 16), (32, 32)])
    self._init_layers()


def module(name, **members):
  """Put a stand-in where imports look; one without members is a package of files."""
  made = types.ModuleType(name)
  made.__dict__.update(members)
  sys.modules[name] = made
  return made


def package(name, folder):
  module(name).__path__ = [folder]


def load(mmdet):
  names = {
    'ConvModule': ConvModule,
    'DepthwiseSeparableConvModule': DepthwiseSeparableConvModule,
    'Scale': None,
    'is_norm': None,
  }
  module('mmcv')
  module('mmcv.cnn', **names)
  module('mmengine')
  module(
    'mmengine.utils',
    is_tuple_of=lambda t, kind: all(isinstance(v, kind) for v in t),
    digit_version=lambda text: tuple(map(int, text.split('+')[0].split('.'))),
  )
  module('mmengine.model', BaseModule=BaseModule, bias_init_with_prob=None, constant_init=None,
         normal_init=None)  # fmt: skip
  module('mmengine.structures', InstanceData=Instances)
  package('mmdet', f'{mmdet}/mmdet')
  module('mmdet.registry', MODELS=Registry(), TASK_UTILS=Registry())
  types_and_more = ('ConfigType', 'OptConfigType', 'OptMultiConfig', 'MultiConfig', 'InstanceList',
                    'OptInstanceList', 'reduce_mean')  # fmt: skip
  anything = dict.fromkeys(types_and_more, object)
  module('mmdet.utils', util_mixins=types.SimpleNamespace(NiceRepr=object), **anything)
  module('mmdet.utils.typing', **anything)
  for part in ('models', 'models.backbones', 'models.necks', 'models.dense_heads', 'models.losses',
               'models.task_modules', 'models.task_modules.assigners', 'structures'):  # fmt: skip
    package(f'mmdet.{part}', os.path.join(mmdet, 'mmdet', *part.split('.')))
  package('mmdet.structures.bbox', f'{mmdet}/mmdet/structures/bbox')
  overlaps = importlib.import_module('mmdet.structures.bbox.bbox_overlaps').bbox_overlaps
  sys.modules['mmdet.structures.bbox'].bbox_overlaps = overlaps
  sys.modules['mmdet.structures.bbox'].distance2bbox = None
  sys.modules['mmdet.structures.bbox'].BaseBoxes = type('BaseBoxes', (), {})  # 3.3.0 asks for it
  package('mmdet.models.layers', f'{mmdet}/mmdet/models/layers')
  csp_layer = importlib.import_module('mmdet.models.layers.csp_layer')
  sys.modules['mmdet.models.layers'].CSPLayer = csp_layer.CSPLayer
  module('mmdet.models.layers.transformer', inverse_sigmoid=None)
  sys.modules['mmdet.models.task_modules'].anchor_inside_flags = None
  module('mmdet.models.utils', images_to_levels=None, multi_apply=None, sigmoid_geometric_mean=None,
         unmap=None)  # fmt: skip
  module('mmdet.models.dense_heads.atss_head', ATSSHead=DenseHead)


def overlaps_calculator():
  return sys.modules['mmdet.structures.bbox'].bbox_overlaps


def net(variant):
  """Return (modules by their names' prefixes, the state dict's shapes)."""
  options = VARIANTS[variant]
  backbone = importlib.import_module('mmdet.models.backbones.cspnext').CSPNeXt
  neck = importlib.import_module('mmdet.models.necks.cspnext_pafpn').CSPNeXtPAFPN
  heads = importlib.import_module('mmdet.models.dense_heads.rtmdet_head')
  act = {'type': 'SiLU'}
  channels = [int(c * options['widen_factor']) for c in (256, 512, 1024)]
  depthwise = options['use_depthwise']
  parts = nn.ModuleDict({
    'backbone': backbone(out_indices=(2, 3, 4), act_cfg=act, **options),
    'neck': neck(in_channels=channels, out_channels=channels[0], num_csp_blocks=1, act_cfg=act,
                 use_depthwise=depthwise),
    'bbox_head': heads.RTMDetSepBNHead(
      num_classes=NUM_CLASSES, in_channels=channels[0], stacked_convs=2, feat_channels=channels[0],
      share_conv=not depthwise, use_depthwise=depthwise, with_objectness=False, act_cfg=act,
      norm_cfg=None),
  })  # fmt: skip
  return parts.eval()


def forward(variant, goldens):
  parts = net(variant)
  state = parts.state_dict()
  values = seeded.weights({name: tuple(tensor.shape) for name, tensor in state.items()})
  # Those that maps share are one tensor: the first one's values.
  for name in values:
    if name.startswith('bbox_head') and name.endswith('.conv.weight') and variant != 'nano':
      values[name] = values[name.replace(name.split('.')[2], '0', 1)]
  parts.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})
  goldens[f'{variant}/num_params'] = sum(p.numel() for p in parts.parameters())
  goldens[f'{variant}/names'] = sorted(n for n in state if not n.endswith('num_batches_tracked'))
  picture = seeded.uniform('picture', (1, *SIZE, 3)) * 2 - 1
  x = torch.from_numpy(picture).permute(0, 3, 1, 2)
  with torch.no_grad():
    maps = parts['backbone'](x)
    joined = parts['neck'](maps)
    classes, distances = parts['bbox_head'](joined)
  for stage, arrays in (
    ('backbone', maps),
    ('neck', joined),
    ('classes', classes),
    ('distances', distances),
  ):
    for stride, array in zip((8, 16, 32), arrays, strict=True):
      array = array.permute(0, 2, 3, 1).numpy()
      print(variant, stage, stride, array.shape, float(array.std()))
      goldens[f'{variant}/{stage}_{stride}'] = (
        array if stage in ('classes', 'distances') else array[..., ::16]
      )


def assignment(goldens):
  """Record who answers for whom, and the losses, for boxes near and far from the truth."""
  assigner = importlib.import_module(
    'mmdet.models.task_modules.assigners.dynamic_soft_label_assigner'
  )
  qfl = importlib.import_module('mmdet.models.losses.gfocal_loss').quality_focal_loss
  giou = importlib.import_module('mmdet.models.losses.iou_loss').giou_loss
  grids = [
    np.meshgrid(np.arange(SIZE[1] // s) * s, np.arange(SIZE[0] // s) * s) for s in (8, 16, 32)
  ]
  points = np.concatenate([np.stack(grid, -1).reshape(-1, 2) for grid in grids])
  strides = np.concatenate([np.full(SIZE[0] * SIZE[1] // s**2, s) for s in (8, 16, 32)])
  priors = torch.tensor(
    np.concatenate([points, strides[:, None], strides[:, None]], 1), dtype=torch.float32
  )
  assign = assigner.DynamicSoftLabelAssigner(topk=13)
  for case, number in enumerate((1, 4, 9, 0)):
    seed = f'assign{case}'
    low = seeded.uniform(f'{seed}/low', (number, 2)) * np.float32([48, 70])
    size = 6 + seeded.uniform(f'{seed}/size', (number, 2)) * np.float32([40, 60])
    truth = np.concatenate([low, np.minimum(low + size, np.float32([64, 96]))], 1)
    labels = (seeded.uniform(f'{seed}/labels', (number,)) * NUM_CLASSES).astype(np.int64)
    logits = seeded.uniform(f'{seed}/logits', (len(points), NUM_CLASSES)) * 8 - 6
    if number:  # boxes about a true one each, more or less shifted
      which = (seeded.uniform(f'{seed}/which', (len(points),)) * number).astype(int)
      boxes = truth[which] + seeded.uniform(f'{seed}/shift', (len(points), 4)) * 16 - 8
    else:
      boxes = seeded.uniform(f'{seed}/shift', (len(points), 4)) * 60
    boxes = boxes.astype(np.float32)
    pair = (torch.from_numpy(v) for v in (boxes, logits))
    found = assign.assign(
      Instances(**dict(zip(('bboxes', 'scores'), pair, strict=True)), priors=priors),
      Instances(bboxes=torch.from_numpy(truth), labels=torch.from_numpy(labels)),
    )
    answers = found.gt_inds.numpy().astype(np.int32) - 1
    overlap = np.where(answers >= 0, found.max_overlaps.numpy(), 0).astype(np.float32)
    classes = np.where(answers >= 0, labels[answers] if number else 0, NUM_CLASSES)
    class_loss = qfl(
      torch.from_numpy(logits),
      (torch.from_numpy(classes), torch.from_numpy(overlap)),
      reduction='sum',
    )
    positive = answers >= 0
    box_loss = giou(
      torch.from_numpy(boxes[positive]),
      torch.from_numpy(truth[answers[positive]]),
      torch.from_numpy(overlap[positive]),
      eps=1e-6,
      reduction='sum',
    ) if positive.any() else torch.zeros(())  # fmt: skip
    for name, value in (('truth', truth), ('labels', labels), ('answers', answers), ('overlap', overlap),
                        ('class_loss', class_loss.numpy()), ('box_loss', box_loss.numpy())):  # fmt: skip
      goldens[f'{seed}/{name}'] = value
    goldens[f'{seed}/boxes'], goldens[f'{seed}/logits'] = boxes, logits
    print(seed, int(positive.sum()), float(class_loss), float(box_loss))


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument('--mmdet', required=True)
  arguments = parser.parse_args()
  load(arguments.mmdet)
  goldens = {}
  for variant in VARIANTS:
    forward(variant, goldens)
  assignment(goldens)
  np.savez_compressed(os.path.join(FOLDER, 'rtmdet.npz'), **goldens)


if __name__ == '__main__':
  main()
