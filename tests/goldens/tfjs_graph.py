"""Run a TensorFlow.js graph model in TensorFlow, with the weights it came with or with others."""

from collections.abc import Mapping
import json
import os

from google.protobuf import json_format
import numpy as np
import tensorflow as tf

_ACTIVATIONS = {b'Relu': 'Relu', b'Relu6': 'Relu6', b'LeakyRelu': 'LeakyRelu', b'Prelu': None}
_FUSED = {'_FusedConv2D': 'Conv2D', 'FusedDepthwiseConv2dNative': 'DepthwiseConv2dNative'}


def graph(path: str | os.PathLike, weights: Mapping[str, np.ndarray]) -> tf.Graph:
  """Return the graph of a model's JSON with its constants set; the input's shape is left open.

  Fused operations, some of which only TensorFlow.js has, are taken apart.
  """
  with open(path, encoding='utf-8') as file:
    topology = json.load(file)['modelTopology']
  definition = tf.compat.v1.GraphDef()
  json_format.ParseDict(topology, definition, ignore_unknown_fields=True)
  result = tf.compat.v1.GraphDef()
  result.versions.CopyFrom(definition.versions)
  for node in definition.node:
    if node.op in _FUSED:
      _unfuse(node, result)
      continue
    new = result.node.add()
    new.CopyFrom(node)
    if node.op == 'Const':
      # TensorFlow.js keeps 64-bit integers in 32.
      dtype = tf.as_dtype(node.attr['dtype'].type).as_numpy_dtype
      new.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(weights[node.name].astype(dtype)))
    if node.op == 'Placeholder':
      for side in new.attr['shape'].shape.dim:
        side.size = -1
  built = tf.Graph()
  with built.as_default():
    tf.import_graph_def(result, name='')
  return built


def _unfuse(node, result) -> None:
  """Add a convolution, its bias and its activation as operations of their own, the last by the name."""
  steps = list(node.attr['fused_ops'].list.s)
  conv = result.node.add()
  conv.CopyFrom(node)
  conv.op, conv.name = _FUSED[node.op], f'{node.name}/unfused'
  del conv.input[:]
  conv.input.extend(node.input[:2])
  for name in list(conv.attr):
    if name not in ('T', 'strides', 'padding', 'explicit_paddings', 'data_format', 'dilations'):
      del conv.attr[name]
  previous = conv.name
  for i, step in enumerate(steps):
    added = result.node.add()
    added.name = node.name if i == len(steps) - 1 else f'{node.name}/unfused_{i}'
    added.op = 'BiasAdd' if step == b'BiasAdd' else _ACTIVATIONS[step]
    added.attr['T'].type = tf.float32.as_datatype_enum
    added.input.append(previous)
    if step == b'BiasAdd':
      added.input.append(node.input[2])
    if step == b'LeakyRelu':
      added.attr['alpha'].f = node.attr['leakyrelu_alpha'].f
    previous = added.name


def run(built: tf.Graph, feed: Mapping[str, np.ndarray], fetch: list[str]) -> list[np.ndarray]:
  """Return the tensors called `fetch` for those fed."""
  with tf.compat.v1.Session(graph=built) as session:
    return session.run(fetch, feed)
