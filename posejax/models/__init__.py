"""Nets: by name, `create('pose_resnet50', num_keypoints=17)`, or composed, `create('net', ...)`.

A net is a backbone, a neck or none, and a head, each of one table; what joins them is `Net`:

    create('net', backbone={'name': 'resnet', 'depth': 18}, neck={'name': 'top_down'},
           head={'name': 'final'}, num_keypoints=17)

Backbones return maps by their stride, `{4: ..., 8: ..., 16: ..., 32: ...}`, necks turn maps into maps,
and heads turn maps into what the net outputs, `{name: array}`: so that each goes with each. A part of
one's own is a module in a table, `BACKBONES['mine'] = Mine`.

Every net takes `dtype` ('float32' or 'bfloat16': what it computes in; parameters, batch statistics and
outputs are float32 always) and `bn_group_size` (None: batch norm over the whole batch; g: over groups of
g examples, as on devices that hold g each); every net of poses `num_keypoints` (17). Nets with a backbone
of blocks take `remat`: a training step then keeps what goes into a block, and computes what is within it
once more for the gradients. Parameters and results stay.
"""

from collections.abc import Callable
from functools import partial
import inspect

import flax.linen as nn

from posejax.errors import PosejaxError, nearest
from posejax.models import compose, layers, movenet, named, nanodet, rcnn, rtmdet, svhn_cnn
from posejax.models.backbones import BACKBONES
from posejax.models.heads import HEADS
from posejax.models.necks import NECKS
from posejax.models.net import Net

__all__ = ['BACKBONES', 'HEADS', 'NAMES', 'NECKS', 'Net', 'create']

_TABLE: dict[str, Callable[..., nn.Module]] = {
  'pose_resnet18': partial(named.pose_resnet, 18),
  'pose_resnet34': partial(named.pose_resnet, 34),
  'pose_resnet50': partial(named.pose_resnet, 50),
  'pose_resnet101': partial(named.pose_resnet, 101),
  'pose_resnet152': partial(named.pose_resnet, 152),
  'pose_resnet18_v2': partial(named.pose_resnet, 18, 2),
  'pose_resnet34_v2': partial(named.pose_resnet, 34, 2),
  'pose_resnet50_v2': partial(named.pose_resnet, 50, 2),
  'pose_resnet101_v2': partial(named.pose_resnet, 101, 2),
  'pose_resnet152_v2': partial(named.pose_resnet, 152, 2),
  'pose_densenet121': partial(named.pose_densenet, 121),
  'pose_densenet169': partial(named.pose_densenet, 169),
  'pose_densenet201': partial(named.pose_densenet, 201),
  'pose_densenet_compact': named.pose_densenet_compact,
  'pose_hrnet_w32': partial(named.pose_hrnet, 32),
  'pose_hrnet_w48': partial(named.pose_hrnet, 48),
  'fcn8s': named.fcn8s,
  'regression_cnn': named.regression_cnn,
  'regression_resnet18': partial(named.regression_resnet, 18),
  'regression_resnet34': partial(named.regression_resnet, 34),
  'regression_resnet50': partial(named.regression_resnet, 50),
  'regression_resnet101': partial(named.regression_resnet, 101),
  'regression_resnet152': partial(named.regression_resnet, 152),
  'posejax_movenet_lightning': partial(movenet.posejax_movenet, 'lightning'),
  'posejax_movenet_thunder': partial(movenet.posejax_movenet, 'thunder'),
  'posejax_movenet_multipose': partial(movenet.posejax_movenet, 'multipose'),
  'nanodet_g': nanodet.nanodet_g,
  'rtmdet_nano': partial(rtmdet.rtmdet, 'nano'),
  'rtmdet_tiny': partial(rtmdet.rtmdet, 'tiny'),
  'rtmdet_s': partial(rtmdet.rtmdet, 's'),
  'faster_rcnn_resnet50_fpn': rcnn.faster_rcnn,
  'keypoint_rcnn_resnet50_fpn': rcnn.keypoint_rcnn,
  'faster_rcnn_light': rcnn.faster_rcnn_light,
  'keypoint_rcnn_light': rcnn.keypoint_rcnn_light,
  'svhn_cnn': svhn_cnn.create,
  'net': compose.net,
}

NAMES = tuple(_TABLE)


def create(name: str, *, remat: bool = False, **kwargs) -> nn.Module:
  """Return the net called `name`, one of `NAMES`, with its constructor's keyword arguments.

  Raises:
    PosejaxError: an unknown name, keyword or dtype (says the nearest known one), or a missing keyword.
  """
  if name not in _TABLE:
    raise PosejaxError(f'There is no model {name!r}.{nearest(name, NAMES)}')
  constructor = _TABLE[name]
  known = {
    p.name: p.default is p.empty
    for p in inspect.signature(constructor).parameters.values()
    if p.kind is inspect.Parameter.KEYWORD_ONLY
  }
  for key in kwargs:
    if key not in known:
      raise PosejaxError(f'Model {name!r} has no field {key!r}.{nearest(key, known)}')
  for key, required in known.items():
    if required and key not in kwargs:
      raise PosejaxError(f'Model {name!r} needs the field {key!r}, which is not set.')
  dtype = kwargs.get('dtype', 'float32')
  if dtype not in layers.DTYPES:
    raise PosejaxError(f'dtype={dtype!r} must be one of {", ".join(layers.DTYPES)}')
  net = constructor(**kwargs)
  return compose.rematerialized(net, name) if remat else net
