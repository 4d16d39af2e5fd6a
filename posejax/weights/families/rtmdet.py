"""RTMDet's published weights: the names of mmdet's state dicts, both ways, strictly.

Source: mmdet/models/{backbones/cspnext,necks/cspnext_pafpn,dense_heads/rtmdet_head}.py of
open-mmlab/mmdetection (Apache-2.0). Where the maps share convolutions a state dict has them three times.
"""

from collections.abc import Mapping
import re

from flax import traverse_util
import numpy as np

from posejax.errors import PosejaxError
from posejax.models.net import Net
from posejax.types import Variables
from posejax.weights.families import names, strict

_UNITS = (
  (r'/(depthwise|pointwise)(?=/)', r'.\1_conv'),
  (r'/block(\d+)(?=/)', r'.blocks.\1'),
)
_PARTS = (
  (r'backbone/stem(\d)', r'backbone.stem.\1'),
  (r'backbone/stage(\d)_conv', r'backbone.stage\1.0'),
  (r'backbone/stage4_spp', r'backbone.stage4.1'),
  (r'backbone/stage4_csp', r'backbone.stage4.2'),
  (r'backbone/stage(\d)_csp', r'backbone.stage\1.1'),
  (r'neck/reduce(\d)', r'neck.reduce_layers.\1'),
  (r'neck/top_down(\d)', r'neck.top_down_blocks.\1'),
  (r'neck/down(\d)', r'neck.downsamples.\1'),
  (r'neck/bottom_up(\d)', r'neck.bottom_up_blocks.\1'),
  (r'neck/out(\d)', r'neck.out_convs.\1'),
)
_BRANCHES = {'classes': 'cls', 'distances': 'reg'}
_LEVELS = (3, 4, 5)
_MARK = 'bbox_head.rtm_cls.0.weight'


def is_rtmdet(tensors: Mapping[str, np.ndarray]) -> bool:
  """Return whether tensors have RTMDet's names."""
  return _MARK in tensors


def num_classes(tensors: Mapping[str, np.ndarray]) -> int:
  """Return how many classes the net in a state dict tells."""
  return len(tensors[_MARK])


def peer_modules(module: str) -> tuple[str, ...]:
  """Return what mmdet calls a module of the net, by its path; several where the maps share it."""
  if match := re.fullmatch(r'head/(\w+?)(\d)_conv', module):
    branch, i = _BRANCHES[match[1]], match[2]
    return tuple(f'bbox_head.{branch}_convs.{level - 3}.{i}.conv' for level in _LEVELS)
  if match := re.fullmatch(r'head/p(\d)_(classes|distances)', module):
    return (f'bbox_head.rtm_{_BRANCHES[match[2]]}.{int(match[1]) - 3}',)
  if match := re.fullmatch(r'head/p(\d)_(classes|distances)(\d)(?:_bn|/(.*))', module):
    level, branch, i, rest = match.groups()
    module = f'bbox_head.{_BRANCHES[branch]}_convs.{int(level) - 3}.{i}/{rest or "bn"}'
  for pattern, name in _PARTS:
    module = re.sub(f'^{pattern}(?=/)', name, module)
  for pattern, name in _UNITS:
    module = re.sub(pattern, name, module)
  return (module.replace('/', '.'),)


def to_variables(
  tensors: Mapping[str, np.ndarray], model: Net, anew: Mapping[str, np.ndarray] | None = None
) -> Variables:
  """Return the net's variables, `{'params': ..., 'batch_stats': ...}`, float32.

  Args:
    tensors: a state dict as `posejax.weights.load` gives it.
    model: of the variant and number of classes in it.
    anew: 'collection/module/variable' -> value of those that the state dict is not asked for.

  Raises:
    PosejaxError: the tensors are of another net, or lack one, or have one too many, of another shape or
      one that is not finite, or those that the maps share differ; the first differences are listed.
  """
  anew = anew or {}
  differences, flat, used = [], dict(anew), set()
  for path, shape in strict.shapes(model).items():
    peers = _peers(path)
    used.update(peers)
    if path in anew:
      continue
    values = [tensors.get(name) for name in peers]
    expected = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
    faults = [
      strict.fault(name, value, expected, strict.FLOATS)
      for name, value in zip(peers, values, strict=True)
    ]
    if not any(faults) and any(not np.array_equal(values[0], value) for value in values):
      faults.append(f'{", ".join(peers)} are one and differ')
    differences += filter(None, faults)
    if not any(faults):
      value = np.asarray(values[0], np.float32)
      flat[path] = np.array(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value, order='C')
  differences += [
    strict.unknown(name, value)
    for name, value in tensors.items()
    if name not in used and not re.fullmatch(names.NEVER_USED, name)
  ]
  if differences:
    remedy = ''
    if model.head.num_classes != num_classes(tensors):
      remedy = (
        f" Set the model's num_classes={num_classes(tensors)}, or start what tells classes anew, "
        "fresh=['head/p3_classes', 'head/p4_classes', 'head/p5_classes'] (--fresh=...)."
      )
    head = f'The file does not hold this RTMDet.{remedy} It differs from the model in:'
    raise PosejaxError(strict.message(head, differences))
  return traverse_util.unflatten_dict(flat, sep='/')


def to_tensors(variables: Variables) -> dict[str, np.ndarray]:
  """Return the state dict that `to_variables` reads; batch norms' counters, of no use, are not there."""
  tensors = {}
  for path, value in traverse_util.flatten_dict(dict(variables), sep='/').items():
    value = np.asarray(value)
    value = np.array(value.transpose(3, 2, 0, 1) if value.ndim == 4 else value, order='C')
    tensors |= dict.fromkeys(_peers(path), value)
  return tensors


def _peers(path: str) -> list[str]:
  collection, _, rest = path.partition('/')
  module, _, leaf = rest.rpartition('/')
  return [f'{peer}.{names.LEAVES[collection, leaf]}' for peer in peer_modules(module)]
