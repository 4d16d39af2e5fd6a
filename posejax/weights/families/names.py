"""Tables: what other projects call the variables of the nets that posejax has in common with them.

A row is `(module, peer's module)`: a regular expression for a posejax module's path, whole, and the
peer's name for it. Below the modules the names are the same everywhere: `LEAVES`.

Sources: torchvision/models/{resnet,densenet,vgg}.py and torchvision/models/detection 0.28;
microsoft/human-pose-estimation.pytorch lib/models/pose_resnet.py;
leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_hrnet.py and, for the ImageNet weights,
HRNet/HRNet-Image-Classification lib/models/cls_hrnet.py; open-mmlab/mmpose
mmpose/models/{backbones,heads}.
"""

from posejax.models.backbones import vgg

Rows = tuple[tuple[str, str], ...]

LEAVES = {
  ('params', 'kernel'): 'weight',
  ('params', 'scale'): 'weight',
  ('params', 'bias'): 'bias',
  ('batch_stats', 'mean'): 'running_mean',
  ('batch_stats', 'var'): 'running_var',
  # Of a norm that is frozen.
  ('batch_stats', 'scale'): 'weight',
  ('batch_stats', 'bias'): 'bias',
}
"""(collection, variable) -> the peer's name for it, in every PyTorch project."""


def _conv_bn(module: str, peer: str) -> Rows:
  """Return the rows of a convolution and its batch norm, which peers keep in an nn.Sequential."""
  return ((module + '_conv', peer + '.0'), (module + '_bn', peer + '.1'))


RESNET: Rows = (
  (r'(conv1|bn1)', r'\1'),
  (r'layer(\d)_(\d+)/(conv\d|bn\d)', r'layer\1.\2.\3'),
  *_conv_bn(r'layer(\d)_(\d+)/downsample', r'layer\1.\2.downsample'),
)

DENSENET: Rows = (
  (r'(conv0|norm0|norm5)', r'features.\1'),
  (r'denseblock(\d)_layer(\d+)/(conv\d|norm\d)', r'features.denseblock\1.denselayer\2.\3'),
  (r'transition(\d)_(conv|norm)', r'features.transition\1.\2'),
)

HRNET: Rows = (
  (r'(conv1|bn1|conv2|bn2)', r'\1'),
  (r'layer1_(\d)/(conv\d|bn\d)', r'layer1.\1.\2'),
  *_conv_bn(r'layer1_(\d)/downsample', r'layer1.\1.downsample'),
  *_conv_bn(r'transition1_0', r'transition1.0'),
  *_conv_bn(r'transition(\d)_([123])', r'transition\1.\2.0'),
  (r'stage(\d)_(\d)/branch(\d)_(\d)/(conv\d|bn\d)', r'stage\1.\2.branches.\3.\4.\5'),
  *_conv_bn(r'stage(\d)_(\d)/fuse(\d)_(\d)', r'stage\1.\2.fuse_layers.\3.\4'),
  *_conv_bn(r'stage(\d)_(\d)/fuse(\d)_(\d)_(\d)', r'stage\1.\2.fuse_layers.\3.\4.\5'),
)


def _vgg16(batch_norm: bool) -> Rows:
  """Return VGG16's rows; torchvision numbers all layers, ReLU and pooling included, in one list."""
  rows, at = [], 0
  for block, (_, count) in enumerate(vgg.BLOCKS, 1):
    for layer in range(1, count + 1):
      rows.append((f'conv{block}_{layer}', f'features.{at}'))
      if batch_norm:
        rows.append((f'bn{block}_{layer}', f'features.{at + 1}'))
      at += 3 if batch_norm else 2
    at += 1
  return tuple(rows)


VGG16, VGG16_BN = _vgg16(False), _vgg16(True)

_MAX_DECONVS = 8
SIMPLE_BASELINE_HEAD: Rows = (
  *((f'deconv{i + 1}', f'deconv_layers.{3 * i}') for i in range(_MAX_DECONVS)),
  *((f'bn{i + 1}', f'deconv_layers.{3 * i + 1}') for i in range(_MAX_DECONVS)),
  ('final', 'final_layer'),
)
FINAL_HEAD: Rows = (('final', 'final_layer'),)

_KEYPOINT_CONVS = 8
RCNN: Rows = (
  *((f'backbone/{module}', f'backbone.body.{peer}') for module, peer in RESNET),
  *(
    (rf'neck/{part}_c{i + 2}', f'backbone.fpn.{part}_blocks.{i}.0')
    for part in ('inner', 'layer')
    for i in range(4)
  ),
  ('rpn/conv', 'rpn.head.conv.0.0'),
  ('rpn/objectness', 'rpn.head.cls_logits'),
  ('rpn/deltas', 'rpn.head.bbox_pred'),
  (r'box_head/(fc\d)', r'roi_heads.box_head.\1'),
  ('box_head/classes', 'roi_heads.box_predictor.cls_score'),
  ('box_head/deltas', 'roi_heads.box_predictor.bbox_pred'),
  *((f'keypoint_head/conv{i}', f'roi_heads.keypoint_head.{2 * i}') for i in range(_KEYPOINT_CONVS)),
  ('keypoint_head/deconv', 'roi_heads.keypoint_predictor.kps_score_lowres'),
)
"""Of whole nets, with their prefixes."""

OLD_NAMES: Rows = (
  # DenseNets saved before torchvision 0.3.
  (r'(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)', r'\1\2'),
  # Detectors saved before torchvision 0.13.
  (r'(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)', r'\1.0.\2'),
  (r'rpn\.head\.conv\.(weight|bias)', r'rpn.head.conv.0.0.\1'),
)
"""A peer's earlier name, whole -> its present one."""

NEVER_USED = r'.*\.num_batches_tracked'
_CLASSIFIERS = {
  'resnet': r'fc\..*',
  'densenet': r'classifier\..*',
  'vgg16': r'classifier\..*',
  # The classifier also goes on with the branches that a pose net's last exchange leaves out.
  'hrnet': r'(?:incre_modules|downsamp_modules|final_layer|classifier)\..*'
  r'|stage4\.2\.fuse_layers\.[123]\..*',
}


def rows(backbone: str) -> Rows:
  """Return the table of a backbone by its name, e.g. 'resnet50', or of a detector."""
  exact = {'vgg16': VGG16, 'vgg16_bn': VGG16_BN}
  exact |= dict.fromkeys(('faster_rcnn_resnet50_fpn', 'keypoint_rcnn_resnet50_fpn'), RCNN)
  kinds = {'resnet': RESNET, 'densenet': DENSENET, 'hrnet': HRNET}
  return exact.get(backbone) or _of_kind(kinds, backbone)


def classifier(backbone: str) -> str:
  """Return a regular expression of what only the backbone's ImageNet classifier uses."""
  return _of_kind(_CLASSIFIERS, backbone)


def _of_kind(table, backbone):
  return next(value for kind, value in table.items() if backbone.startswith(kind))
