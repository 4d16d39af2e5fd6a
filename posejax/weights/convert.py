"""Turn the tensors of another project's checkpoint into Flax variables.

Strict both ways: a tensor is used, or on a list of what is known not to be needed; a variable is
filled, or on a list of what starts anew. Anything else is an error that names it.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import os
import re

from flax import traverse_util
import flax.linen as nn
import jax
import numpy as np

from posejax import models
from posejax.errors import PosejaxError, nearest
from posejax.labels import COCO_CATEGORIES
from posejax.models import heads, rcnn
from posejax.models.rtmdet import INPUT_MEAN, INPUT_STD
from posejax.types import Variables
from posejax.weights.families import names, rtmdet, strict
from posejax.weights.families.identify import (
  Checkpoint,
  Inputs,
  Tensors,
  backbone_name,
  identify,
  of_coco_classes,
  present_names,
)
from posejax.weights.load import load

_HEAD_ROWS = {
  heads.SimpleBaselineHead: names.SIMPLE_BASELINE_HEAD,
  heads.FinalHead: names.FINAL_HEAD,
}
_OF_REGIONS = 'box_head/fc6/kernel'
_shapes = functools.lru_cache(maxsize=4)(strict.shapes)


@dataclasses.dataclass(frozen=True)
class Converted:
  """A checkpoint as variables.

  Attributes:
    variables: `{'params': ..., 'batch_stats': ...}`, float32, of the model that was asked for.
    checkpoint: what the file holds.
    used: names of the tensors that the variables have their values from.
    dropped: names of the tensors that were not used.
    initialised: paths of variables that were not in the file, as in 'params/head/final/kernel'.
  """

  variables: Variables
  checkpoint: Checkpoint
  used: tuple[str, ...]
  dropped: tuple[str, ...]
  initialised: tuple[str, ...]

  @property
  def inputs(self) -> Inputs:
    """What the net was trained to see; belongs into `config.inputs` of whoever goes on with it."""
    return self.checkpoint.inputs

  def summary(self) -> str:
    """Return what was done, in lines: both lists, batch norm's counters as a number."""
    count = sum(a.size for a in jax.tree.leaves(self.variables['params']))
    counters = [n for n in self.dropped if re.fullmatch(names.NEVER_USED, n)]
    others = [n for n in self.dropped if n not in counters]
    dropped = others + ([f'{len(counters)} num_batches_tracked'] if counters else [])
    return '\n'.join(
      [
        f'{self.checkpoint}: {count:,} parameters, {self.inputs.channels.upper()} input',
        f'used: {len(self.used)} tensors',
        f'not used: {", ".join(dropped) or "nothing"}',
        f'newly initialised: {", ".join(self.initialised) or "nothing"}',
      ]
    )


def from_file(
  path: str | os.PathLike,
  model: nn.Module | str,
  *,
  init: Callable[[], Variables] | None = None,
  fresh: Sequence[str] = (),
) -> Converted:
  """Return the variables of `model` with the values of a checkpoint file; see `from_tensors`.

  Raises:
    PosejaxError: the file cannot be read, or does not fit the model.
  """
  tensors = load(path)
  try:
    return from_tensors(tensors, model, init=init, fresh=fresh)
  except PosejaxError as error:
    raise PosejaxError(f'{path}: {error}') from error


def from_tensors(
  tensors: Tensors,
  model: nn.Module | str,
  *,
  init: Callable[[], Variables] | None = None,
  fresh: Sequence[str] = (),
) -> Converted:
  """Return the variables of `model` with the values of a checkpoint.

  Args:
    tensors: as `posejax.weights.load` gives them.
    model: a net of `posejax.models` or one of its backbones; or its name, for a net with as many
      keypoints and classes as the checkpoint. A detector of COCO's 80 classes takes from torchvision's
      91 outcomes, one for each number, those that stand for a class.
    init: returns the model's variables before training. Called only where some start anew: a head
      that the checkpoint lacks, and those in `fresh`.
    fresh: modules that keep their initial variables although the checkpoint may have them, e.g.
      'head/final' for another set of keypoints.

  Raises:
    PosejaxError: the checkpoint is of another net, depth or number of keypoints, lacks a tensor, has
      one too many, or one of another shape or type or that is not finite; the first differences are
      listed.
  """
  if rtmdet.is_rtmdet(tensors):
    return _from_rtmdet(tensors, model, init, fresh)
  checkpoint = identify(tensors)
  if isinstance(model, str):
    counts = {'num_keypoints': checkpoint.num_keypoints, 'num_classes': checkpoint.num_classes}
    model = models.create(model, **{k: count for k, count in counts.items() if count is not None})
  target = _Target(model)
  if target.backbone_name is None:
    raise PosejaxError(
      f'The file holds a {checkpoint}; no other project has weights for a '
      f'{type(target.backbone).__name__}.'
    )
  tensors = present_names(tensors)
  if (checkpoint.num_classes, target.num_classes) == (max(COCO_CATEGORIES), len(COCO_CATEGORIES)):
    checkpoint = dataclasses.replace(checkpoint, num_classes=target.num_classes)
    tensors = of_coco_classes(tensors)
  shapes = _shapes(model)
  anew = _anew(shapes, checkpoint, target, fresh)
  peers = {path: _peer_name(path, checkpoint, target) for path in shapes}

  filled = {path: name for path, name in peers.items() if path not in anew}
  differences = _misfits(filled, shapes, tensors)
  used = set(filled.values())
  dropped = [name for name in tensors if name not in used]
  may_drop = {peers[path] for path in anew}
  differences += [
    strict.unknown(name, tensors[name])
    for name in dropped
    if name not in may_drop and not _not_needed(name, checkpoint, target)
  ]
  if differences:
    raise PosejaxError(_message(checkpoint, target, differences))
  if anew and init is None:
    raise PosejaxError(
      f'The checkpoint holds a {checkpoint}, which leaves {len(anew)} variables of the model without '
      f'a value, from {anew[0]} on; give `init` for them.'
    )

  flat = {path: _converted(tensors[name], path) for path, name in filled.items()}
  if anew:
    start = traverse_util.flatten_dict(dict(init()), sep='/')
    flat |= {path: start[path] for path in anew}
  return Converted(
    variables=traverse_util.unflatten_dict({path: flat[path] for path in shapes}, sep='/'),
    checkpoint=checkpoint,
    used=tuple(filled.values()),
    dropped=tuple(dropped),
    initialised=tuple(anew),
  )


def _from_rtmdet(
  tensors: Tensors,
  model: nn.Module | str,
  init: Callable[[], Variables] | None,
  fresh: Sequence[str],
) -> Converted:
  """Return RTMDet's variables; see `from_tensors`."""
  if isinstance(model, str):
    model = models.create(model, num_classes=rtmdet.num_classes(tensors))
  if not isinstance(getattr(model, 'head', None), heads.RTMDetHead):
    raise PosejaxError(
      f"The file holds an RTMDet (mmdet's names) for {rtmdet.num_classes(tensors)} classes, and the "
      f"model is a {type(model).__name__}; use one such as 'rtmdet_tiny'."
    )
  anew = {}
  if fresh:
    paths = [p for p in strict.shapes(model) if p.partition('/')[2].startswith(
      tuple(f'{module}/' for module in fresh))]  # fmt: skip
    if not paths:
      raise PosejaxError(f'The model has no modules {list(fresh)} to start anew.')
    start = traverse_util.flatten_dict(dict(init()), sep='/')
    anew = {path: start[path] for path in paths}
  variables = rtmdet.to_variables(tensors, model, anew)
  dropped = tuple(name for name in tensors if re.fullmatch(names.NEVER_USED, name))
  return Converted(
    variables=variables,
    checkpoint=Checkpoint('mmdet', 'rtmdet', None, Inputs(INPUT_MEAN, INPUT_STD, 'bgr')),
    used=tuple(name for name in tensors if name not in dropped),
    dropped=dropped,
    initialised=tuple(anew),
  )


class _Target:
  """The model to fill: a net of backbone, neck and head, a detector as a whole, or a backbone alone."""

  def __init__(self, model: nn.Module):
    self.model = model
    self.num_classes = model.box_head.num_outcomes - 1 if isinstance(model, rcnn.RCNN) else None
    self.backbone = model if self.num_classes else getattr(model, 'backbone', model)
    self.head = getattr(model, 'head', None)
    self.backbone_name = backbone_name(self.backbone)
    self.has_neck = getattr(model, 'neck', None) is not None
    # A head of another kind than the peers', or behind a neck, has no rows, and starts anew.
    self.head_rows = () if self.has_neck else _HEAD_ROWS.get(type(self.head), ())

  def __str__(self) -> str:
    if self.num_classes is not None:
      return f'{self.backbone_name} with num_classes={self.num_classes}'
    keypoints = getattr(self.head, 'num_keypoints', None)
    return self.backbone_name + ('' if keypoints is None else f' for {keypoints} keypoints')


def _anew(
  shapes: dict[str, tuple[int, ...]],
  checkpoint: Checkpoint,
  target: _Target,
  fresh: Sequence[str],
) -> list[str]:
  """Return the variables that keep their initial values."""

  def within(path: str, module: str) -> bool:
    return path.partition('/')[2].startswith(module + '/')

  modules = {path.partition('/')[2].rpartition('/')[0] for path in shapes}
  for module in fresh:
    if not any(within(path, module) for path in shapes):
      raise PosejaxError(
        f'The model has no module {module!r} to start anew.{nearest(module, modules)}'
      )
  if target.head is not None and (checkpoint.num_keypoints is None or not target.head_rows):
    fresh = [*fresh, 'head', *(['neck'] if target.has_neck else [])]
  return [path for path in shapes if any(within(path, module) for module in fresh)]


def _peer_name(path: str, checkpoint: Checkpoint, target: _Target) -> str | None:
  """Return the checkpoint's name for a variable; None for one of a part that no peer has."""
  collection, _, rest = path.partition('/')
  module, _, variable = rest.rpartition('/')
  rows, prefix = names.rows(target.backbone_name), checkpoint.backbone_prefix
  if target.head is not None:
    part, _, module = module.partition('/')
    if part != 'backbone':
      rows, prefix = target.head_rows, checkpoint.head_prefix
  for pattern, template in rows:
    if match := re.fullmatch(pattern, module):
      return f'{prefix}{match.expand(template)}.{names.LEAVES[collection, variable]}'
  return None


def _misfits(
  filled: dict[str, str], shapes: dict[str, tuple[int, ...]], tensors: Tensors
) -> list[str]:
  """Return a line for every tensor that is missing, not finite, or of a wrong shape or type."""
  lines = []
  for path, name in filled.items():
    expected = shapes[path]
    if layout := _layout(path, expected):
      expected = tuple(expected[layout.index(axis)] for axis in range(len(layout)))
    lines.append(strict.fault(name, tensors.get(name), expected, strict.FLOATS))
  return list(filter(None, lines))


def _layout(path: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
  """Return the order in which a variable has its peer's axes, None for vectors.

  PyTorch keeps convolutions as output, input, height, width, transposed ones as input, output, height,
  width, and dense layers as output, input; kernels here are height, width, input, output.
  `layers.deconv2d` places a kernel as PyTorch does, so it is not flipped.
  """
  if not path.endswith('/kernel'):
    return None
  if len(shape) == 2:
    return (1, 0)
  return (2, 3, 0, 1) if '/deconv' in path else (2, 3, 1, 0)


def _converted(tensor: np.ndarray, path: str) -> np.ndarray:
  """Return a float32 array of its own memory."""
  layout = _layout(path, tensor.shape)
  tensor = tensor if layout is None else tensor.transpose(layout)
  if path.endswith(_OF_REGIONS):
    # A region lies flat as channels, rows, columns there, and as rows, columns, channels here.
    bins = rcnn.BOX_BINS
    regions = tensor.reshape(-1, bins, bins, tensor.shape[-1])
    tensor = regions.transpose(1, 2, 0, 3).reshape(tensor.shape)
  return np.array(tensor, np.float32, order='C')


def _not_needed(name: str, checkpoint: Checkpoint, target: _Target) -> bool:
  """Return whether a tensor is known to be of no use to the model."""
  if re.fullmatch(names.NEVER_USED, name):
    return True
  if checkpoint.num_classes is not None:
    return False
  if checkpoint.num_keypoints is None:
    return re.fullmatch(names.classifier(checkpoint.backbone), name) is not None
  # The heatmaps' layers, for a model that has none of the kind.
  prefix = checkpoint.head_prefix
  return not target.head_rows and name.startswith(
    (f'{prefix}deconv_layers.', f'{prefix}final_layer.')
  )


def _message(checkpoint: Checkpoint, target: _Target, differences: list[str]) -> str:
  keypoints = getattr(target.head, 'num_keypoints', None)
  remedy = 'It may be damaged, or a variant of that net which posejax does not have.'
  if checkpoint.num_classes and target.num_classes not in (None, checkpoint.num_classes):
    remedy = (
      f"Set the model's num_classes={checkpoint.num_classes}, or start what tells classes anew, "
      "fresh=['box_head/classes', 'box_head/deltas'] (--fresh=...)."
    )
  elif checkpoint.backbone != target.backbone_name:
    such = [name for name in models.NAMES if name.endswith(checkpoint.backbone)]
    remedy = 'Use a model with that backbone' + (f', such as {such[0]!r}.' if such else '.')
  elif checkpoint.num_keypoints is not None and keypoints not in (None, checkpoint.num_keypoints):
    remedy = (
      f"Set the model's num_keypoints={checkpoint.num_keypoints}, or start its last convolution anew, "
      "fresh=['head/final'] (--fresh=head/final)."
    )
  head = f'The file holds a {checkpoint}, the model is a {target}. {remedy} They differ in:'
  return strict.message(head, differences)
