"""MoveNet's published weights, as TensorFlow.js graphs name them, and the variables they become.

Batch norms are folded into the convolutions there. `to_variables` fills a net without batch norms, and
`unfold` gives it some that compute the same, to train it on.

Source: the graphs of tfhub.dev/google/movenet/singlepose/{lightning,thunder}/4 and
tfhub.dev/google/movenet/multipose/lightning/1 in TensorFlow.js form.
"""

from collections.abc import Mapping
import re

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from posejax.errors import PosejaxError
from posejax.models import mobile_layers
from posejax.models.backbones import mobilenet_v2
from posejax.models.heads.movenet import channels
from posejax.models.movenet import VARIANTS
from posejax.models.necks import movenet_fpn
from posejax.models.net import Net
from posejax.types import Variables
from posejax.weights.families import strict

_ROOT = 'StatefulPartitionedCall/'
FEATURES = _ROOT + 'center_net_mobile_net_v2fpn_feature_extractor/model_1/'
_HEADS = {
  'center': 'center_0',
  'box_scale': 'box_scale_0',
  'box_offset': 'box_offset_0',
  'keypoint_heatmaps': 'kpt_heatmap_0',
  'keypoint_regression': 'kpt_regress_0',
  'keypoint_offsets': 'kpt_offset_0',
}
_NET = re.compile(
  re.escape(FEATURES) + '.*|' + re.escape(_ROOT) + f'({"|".join(_HEADS.values())})/.*'
)
"""What belongs to the net; whatever else a graph has are the numbers of its decoding."""
_STEM = FEATURES + 'model/Conv1/Conv2D_weights'

Tensors = Mapping[str, np.ndarray]


def variant(tensors: Tensors) -> str | None:
  """Return which of `posejax.models.movenet.VARIANTS` the tensors belong to, or None."""
  if _STEM not in tensors or tensors[_STEM].ndim != 4:
    return None
  boxes = any(name.startswith(f'{_ROOT}box_scale_0/') for name in tensors)
  found = (tensors[_STEM].shape[-1], boxes)
  for name, known in VARIANTS.items():
    if found == (mobilenet_v2.scaled(mobilenet_v2.STEM, known.width), known.boxes):
      return name
  return None


def to_variables(tensors: Tensors, model: Net, known: bool = False) -> Variables:
  """Return the variables of a net without batch norms: `{'params': ...}`, float32.

  Args:
    tensors: as `posejax.weights.readers.tfjs.read` gives them.
    model: of the same variant and number of keypoints.
    known: whether the file's digest said that they are the model's. Their shapes are then not compared:
      tracing the model to know its own takes most of a second.

  Raises:
    PosejaxError: the tensors are of another net, or lack a weight of the model, or have one too many,
      of another shape, or one that is not finite; the first differences are listed.
  """
  names = peer_names(model.head.boxes)
  shapes = {} if known else strict.param_shapes(model)
  if not known and set(shapes) != set(names):
    raise PosejaxError(
      "MoveNet's published weights have their batch norms folded in; fill a net without "
      '(batch_norm=False) and unfold it.'
    )
  differences = []
  flat = {}
  for path, name in names.items():
    value = tensors.get(name)
    expected = None if known else _stored_shape(path, shapes[path])
    if fault := strict.fault(name, value, expected):
      differences.append(fault)
      continue
    if _is_depthwise(path):
      value = value.transpose(0, 1, 3, 2)
    flat[path] = np.array(value, order='C')
  used = set(names.values())
  differences += [
    strict.unknown(name, value)
    for name, value in tensors.items()
    if name not in used and _NET.fullmatch(name) and value.dtype == np.float32
  ]
  if differences:
    raise PosejaxError(_message(tensors, differences))
  return {'params': traverse_util.unflatten_dict(flat, sep='/')}


def peer_names(boxes: bool) -> dict[str, str]:
  """Return 'module/.../variable' of a net's params -> the graph's name, for every variable.

  Args:
    boxes: whether the net has the two heads for boxes.
  """
  names: dict[str, str] = {}

  def conv(path, kernel, bias=None):
    names[f'{path}/kernel'] = kernel
    if bias:
      names[f'{path}/bias'] = bias

  def folded(path, layer, kind='Conv2D'):
    conv(path, f'{FEATURES}{layer}/{kind}_weights', f'{FEATURES}{layer}/{kind}_bn_offset')

  folded('backbone/conv1/conv', 'model/Conv1')
  for i, (_, _, expanded) in enumerate(mobilenet_v2.blocks(1.0)):
    layer = f'model/block_{i}' if expanded else 'model/expanded_conv'
    if expanded:
      folded(f'backbone/block{i}/expand/conv', f'{layer}_expand')
    folded(f'backbone/block{i}/depthwise/conv', f'{layer}_depthwise', 'depthwise')
    folded(f'backbone/block{i}/project/conv', f'{layer}_project')
  folded('backbone/conv_last/conv', 'model/Conv_1')

  for n, stride in enumerate((32, *(stride for stride, _, _ in movenet_fpn.LEVELS))):
    layer = f'{FEATURES}conv2d{_number(n)}'
    conv(
      f'neck/lateral_{movenet_fpn.level(stride)}',
      f'{layer}/Conv2D/ReadVariableOp',
      f'{layer}/BiasAdd/ReadVariableOp',
    )
  for n, (stride, _, _) in enumerate(movenet_fpn.LEVELS):
    level = movenet_fpn.level(stride)
    layer = f'separable_conv2d{_number(n)}'
    conv(f'neck/depthwise_{level}', f'{FEATURES}{layer}/separable_conv2d/ReadVariableOp')
    folded(f'neck/pointwise_{level}/conv', layer, 'separable_conv2d')

  for n, name in enumerate(channels(1, boxes)):
    head = f'{_ROOT}{_HEADS[name]}/'
    separable, last = f'{head}separable_conv2d_{n + 3}', f'{head}conv2d_{n + 4}'
    conv(f'head/{name}/depthwise', f'{separable}/separable_conv2d/ReadVariableOp')
    conv(
      f'head/{name}/hidden',
      f'{separable}/separable_conv2d/ReadVariableOp_1',
      f'{separable}/BiasAdd/ReadVariableOp',
    )
    conv(f'head/{name}/final', f'{last}/Conv2D/ReadVariableOp', f'{last}/BiasAdd/ReadVariableOp')
  return names


def _number(n: int) -> str:
  """Return what Keras puts behind the name of the nth layer of a kind."""
  return f'_{n}' if n else ''


def unfold(model: Net, variables: Variables, images: jax.Array) -> Variables:
  """Return variables of a net with batch norms that computes what one without them does.

  Each batch norm's statistics are those of its convolution's outputs on `images`, and its scale and
  offset undo them: so the outputs stay, for other images too, while training goes on with layers that
  are normalised. With statistics of few images it begins with a jolt; give some dozens.

  Args:
    model: the net with batch norms.
    variables: of the same net without, as `to_variables` returns.
    images: normalised `[B, H, W, 3]`, of the kind the net will be trained on.
  """
  folded = model.clone(
    backbone=model.backbone.clone(batch_norm=False), neck=model.neck.clone(batch_norm=False)
  )
  convolutions = (mobile_layers.Conv, mobile_layers.DepthwiseConv)
  _, state = jax.jit(
    lambda v, x: folded.apply(
      v,
      x,
      capture_intermediates=lambda module, _: isinstance(module, convolutions),
      mutable=['intermediates'],
    )
  )({'params': variables['params']}, images)
  outputs = traverse_util.flatten_dict(state['intermediates'], sep='/')
  params = traverse_util.flatten_dict(variables['params'], sep='/')
  shapes = strict.param_shapes(model)
  flat = {path: value for path, value in params.items() if path in shapes}
  statistics = {}
  for path in shapes:
    module, _, leaf = path.rpartition('/')
    if not module.endswith('/bn') or leaf != 'scale':
      continue
    conv = module.removesuffix('bn') + 'conv'
    (y,) = outputs[f'{conv}/__call__']
    offset = params[f'{conv}/bias']
    mean, var = y.mean((0, 1, 2)) - offset, y.var((0, 1, 2))
    flat[f'{module}/scale'] = np.asarray(jnp.sqrt(var + mobile_layers.BATCH_NORM_EPSILON))
    flat[f'{module}/bias'] = np.asarray(offset + mean)
    statistics |= {f'{module}/mean': np.asarray(mean), f'{module}/var': np.asarray(var)}
  return {
    'params': traverse_util.unflatten_dict(flat, sep='/'),
    'batch_stats': traverse_util.unflatten_dict(statistics, sep='/'),
  }


def _is_depthwise(path: str) -> bool:
  """Whether a variable is a depthwise kernel, `[3, 3, 1, C]` here and `[3, 3, C, 1]` there."""
  return 'depthwise' in path and path.endswith('/kernel')


def _stored_shape(path: str, shape: tuple[int, ...]) -> list[int]:
  return [*shape[:2], shape[3], shape[2]] if _is_depthwise(path) else list(shape)


def _message(tensors: Tensors, differences: list[str]) -> str:
  found = variant(tensors)
  what = f'MoveNet {found}' if found else 'no MoveNet that is known here'
  head = f'The file holds {what}; the model differs from it in:'
  end = f'Use the variant that the file holds, one of {", ".join(VARIANTS)}, with its 17 keypoints.'
  return strict.message(head, differences, end)
