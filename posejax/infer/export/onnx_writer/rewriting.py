"""What a written graph is rewritten to: one operator where several are one.

A deconvolution, which `posejax.models.layers.deconv2d` computes as a sub-pixel convolution, becomes
`ConvTranspose`. The factor and offset of batch norm go into the weights before them: fewer operators, and
what quantisation expects.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper


def rewrite(model: onnx.ModelProto) -> None:
  """Rewrite a model in place; what it computes stays the same up to rounding."""
  rewriter = _Rewriter(model.graph)
  rewriter.deconvolutions()
  rewriter.affine_maps()
  rewriter.finish()


class _Rewriter:
  def __init__(self, graph: onnx.GraphProto):
    self._graph = graph
    self._arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    self._new: dict[tuple, str] = {}
    self._gone: set[str] = set()  # names of nodes
    self._users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
      for name in node.input:
        self._users.setdefault(name, []).append(node)

  def finish(self) -> None:
    """Leave out what is not used any more."""
    nodes = [node for node in self._graph.node if node.name not in self._gone]
    needed = {name for node in nodes for name in node.input}
    tensors = [tensor for tensor in self._graph.initializer if tensor.name in needed]
    known = {tensor.name for tensor in tensors}
    for name in self._new.values():
      if name in needed - known:
        tensors.append(numpy_helper.from_array(self._arrays[name], name))
    for field, items in ((self._graph.node, nodes), (self._graph.initializer, tensors)):
      del field[:]
      field.extend(items)

  def deconvolutions(self) -> None:
    """Write as `ConvTranspose` what convolves to f * f phases, interleaves them and crops."""
    for node in self._graph.node:
      if node.op_type != 'Conv' or node.input[1] not in self._arrays:
        continue
      following = self._following(node, ('Reshape', 'Transpose', 'Reshape', 'Slice'))
      factor = following and self._interleaves(node, *following)
      if factor:
        weights = self._arrays[node.input[1]]
        kernel = _kernel_of_phases(weights, factor)
        pads = [factor // 2] * 4
        attributes = {'strides': [factor] * 2, 'pads': pads, 'kernel_shape': [2 * factor] * 2}
        inputs = [node.input[0], self._store((node.input[1], 'deconvolution'), kernel)]
        output = following[-1].output[0]
        node.CopyFrom(helper.make_node('ConvTranspose', inputs, [output], node.name, **attributes))
        self._gone.update(after.name for after in following)

  def _interleaves(self, conv, split, transpose, merge, crop) -> int:
    """Return the factor of the deconvolution that the nodes are, or 0."""
    wanted = {'kernel_shape': [2, 2], 'strides': [1, 1], 'pads': [1] * 4, 'dilations': [1, 1]}
    found = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
    if len(conv.input) > 2 or found['group'] != 1 or any(found[n] != v for n, v in wanted.items()):
      return 0
    (order,) = (list(a.ints) for a in transpose.attribute)
    sizes = self._arrays.get(split.input[1], np.zeros(0, np.int64)).tolist()
    if len(sizes) != 6 or sizes[1] != sizes[2] or order != [0, 3, 4, 1, 5, 2]:
      return 0
    _, f, _, d, h, w = sizes
    half = f // 2
    bounds = [[half] * 2, [f * h - half, f * w - half], [2, 3], [1, 1]]
    found = [self._arrays.get(name, np.zeros(0)).tolist() for name in crop.input[1:]]
    cropped = len(found) >= 3 and found == bounds[: len(found)]
    merged = self._arrays[merge.input[1]].tolist()[1:] == [d, f * h, f * w]
    return f if f % 2 == 0 and cropped and merged else 0

  def affine_maps(self) -> None:
    """Fold numbers for each channel that a convolution's result is multiplied by, or that are added."""
    for node in self._graph.node:
      if node.op_type not in ('Conv', 'ConvTranspose') or node.input[1] not in self._arrays:
        continue
      while following := self._following(node, ('Mul',)) or self._following(node, ('Add',)):
        (after,) = following
        if not self._fold(node, after):
          break
        node.output[0] = after.output[0]
        self._gone.add(after.name)

  def _fold(self, node: onnx.NodeProto, after: onnx.NodeProto) -> bool:
    weights, channel_axis = self._arrays[node.input[1]], int(node.op_type == 'ConvTranspose')
    channels, rank = weights.shape[channel_axis], weights.ndim
    name = next((name for name in after.input if name != node.output[0]), '')
    numbers = self._arrays.get(name)
    if numbers is None or any(a.name == 'group' and a.i != 1 for a in node.attribute):
      return False
    if numbers.shape not in ((), (1,) * rank, (1, channels, *([1] * (rank - 2)))):
      return False
    numbers = np.broadcast_to(numbers.reshape(-1), channels)
    names = list(node.input)
    if after.op_type == 'Mul':
      shape = [channels if axis == channel_axis else 1 for axis in range(rank)]
      node.input[1] = self._store((names[1], name), weights * numbers.reshape(shape))
      if len(names) > 2:
        node.input[2] = self._store((names[2], name), self._arrays[names[2]] * numbers)
    else:
      bias = self._arrays[names[2]] if len(names) > 2 else 0
      del node.input[2:]
      node.input.append(self._store((*names[2:], 'plus', name, channels), numbers + bias))
    return True

  def _following(self, node: onnx.NodeProto, ops: tuple[str, ...]) -> list[onnx.NodeProto] | None:
    """Return the nodes of a chain in which each is the only user of the one before."""
    chain = []
    for op in ops:
      users = self._users.get(node.output[0], [])
      if len(users) != 1 or users[0].op_type != op:
        return None
      node = users[0]
      chain.append(node)
    return chain

  def _store(self, key: tuple, array: np.ndarray) -> str:
    """Return the name of a new initialiser; what is made twice from the same is kept once."""
    if key not in self._new:
      self._new[key] = f'folded_{len(self._new)}'
      self._arrays[self._new[key]] = np.ascontiguousarray(array, np.float32)
    return self._new[key]


def _kernel_of_phases(weights: np.ndarray, factor: int) -> np.ndarray:
  """Return `[C, D, 2 f, 2 f]` of `[f * f * D, C, 2, 2]`; see posejax.models.layers.deconv2d."""
  f, c = factor, weights.shape[1]
  d = weights.shape[0] // (f * f)
  taps = weights[:, :, ::-1, ::-1].reshape(f, f, d, c, 2, 2)
  return taps.transpose(3, 2, 4, 0, 5, 1).reshape(c, d, 2 * f, 2 * f)
