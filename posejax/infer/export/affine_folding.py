"""Batch norm folded into the convolution before it: one operator less, and one to quantise."""

import numpy as np
import onnx
from onnx import numpy_helper


def fold(model: onnx.ModelProto) -> None:
  """Fold factors and offsets of channels that follow a convolution into its weights, in place."""
  graph = model.graph
  arrays = {tensor.name: tensor for tensor in graph.initializer}
  users: dict[str, list[onnx.NodeProto]] = {}
  for node in graph.node:
    for name in node.input:
      users.setdefault(name, []).append(node)
  made: dict[tuple, str] = {}
  gone = set()

  def store(key: tuple, array: np.ndarray) -> str:
    if key not in made:
      made[key] = '*'.join(key)
      tensor = numpy_helper.from_array(np.ascontiguousarray(array, np.float32), made[key])
      graph.initializer.append(tensor)
      arrays[made[key]] = graph.initializer[-1]
    return made[key]

  for node in graph.node:
    if node.op_type != 'Conv' or node.input[1] not in arrays:
      continue
    while True:
      found = _next(node, users, arrays)
      if found is None:
        break
      after, name = found
      channels = arrays[node.input[1]].dims[0]
      by_channel = np.broadcast_to(numpy_helper.to_array(arrays[name]).reshape(-1), channels)
      bias = numpy_helper.to_array(arrays[node.input[2]]) if len(node.input) > 2 else 0
      if after.op_type == 'Mul':
        weights = numpy_helper.to_array(arrays[node.input[1]])
        by_rank = by_channel.reshape(-1, *([1] * (weights.ndim - 1)))
        scaled = store((node.input[1], name), weights * by_rank)
        if len(node.input) > 2:
          node.input[2] = store((node.input[2], name), bias * by_channel)
        node.input[1] = scaled
      else:
        sign = -1 if after.op_type == 'Sub' else 1
        offset = store(
          (node.input[1], *list(node.input)[2:], after.op_type, name), bias + sign * by_channel
        )
        del node.input[2:]
        node.input.append(offset)
      node.output[0] = after.output[0]
      gone.add(id(after))
      gone_node = after
      gone_node.op_type = ''
  kept = [node for node in graph.node if node.op_type]
  del graph.node[:]
  graph.node.extend(kept)
  needed = {name for node in kept for name in node.input}
  used = [tensor for tensor in graph.initializer if tensor.name in needed]
  del graph.initializer[:]
  graph.initializer.extend(used)


def _next(node, users, arrays) -> tuple[onnx.NodeProto, str] | None:
  """Return the only user of a convolution, and its other input, if it is one number for each channel."""
  following = users.get(node.output[0], [])
  if len(following) != 1 or following[0].op_type not in ('Mul', 'Add', 'Sub'):
    return None
  after = following[0]
  others = [name for name in after.input if name != node.output[0]]
  if len(others) != 1 or others[0] not in arrays:
    return None
  if after.op_type == 'Sub' and after.input[0] != node.output[0]:
    return None
  dims = list(arrays[others[0]].dims)
  rank = len(arrays[node.input[1]].dims)
  channels = arrays[node.input[1]].dims[0]
  if len(dims) not in (0, rank) or (dims and dims[1] not in (1, channels)):
    return None
  if any(size != 1 for i, size in enumerate(dims) if i != 1):
    return None
  return after, others[0]
