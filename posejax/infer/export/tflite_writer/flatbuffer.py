"""The FlatBuffer of a TensorFlow Lite model."""

from collections.abc import Mapping
from typing import Any

from ai_edge_litert import schema_py_generated as schema
import flatbuffers
import numpy as np

from posejax.infer.export.tflite_writer.graph import Model, Node, Tensor

SIGNATURE = 'serving_default'
"""What the one function of a model is called. Source: tensorflow.org/lite/guide/signatures."""
_IDENTIFIER = b'TFL3'
_VERSION = 3  # of the schema
_ALIGNMENT = 16  # of a buffer: `force_align` in the schema, which its Python does not heed
_OPTIONS = {
  **{f'ARG_{name.upper()}': f'Arg{name}Options' for name in ('Max', 'Min')},
  **{f'{name.upper()}': f'{name}Options' for name in ('Add', 'Div', 'Mul', 'Sub')},
  **dict.fromkeys(('MAX_POOL_2D', 'AVERAGE_POOL_2D'), 'Pool2DOptions'),
  **dict.fromkeys(('REDUCE_MAX', 'REDUCE_MIN', 'REDUCE_PROD', 'SUM'), 'ReducerOptions'),
  **dict.fromkeys(('REDUCE_ALL', 'REDUCE_ANY'), 'ReducerOptions'),
  'BATCH_MATMUL': 'BatchMatMulOptions',
  'CAST': 'CastOptions',
  'CONCATENATION': 'ConcatenationOptions',
  'CONV_2D': 'Conv2DOptions',
  'CUMSUM': 'CumsumOptions',
  'DEPTHWISE_CONV_2D': 'DepthwiseConv2DOptions',
  'FULLY_CONNECTED': 'FullyConnectedOptions',
  'GATHER': 'GatherOptions',
  'PACK': 'PackOptions',
  'RESHAPE': 'ReshapeOptions',
  'RESIZE_BILINEAR': 'ResizeBilinearOptions',
  'RESIZE_NEAREST_NEIGHBOR': 'ResizeNearestNeighborOptions',
  'STRIDED_SLICE': 'StridedSliceOptions',
  'TRANSPOSE_CONV': 'TransposeConvOptions',
}
"""Operators that have a table of options. Of the others, none says more than its inputs do."""


class _Buffer(schema.BufferT):
  """Bytes that begin where the schema wants them to."""

  def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the schema's name)
    content, self.data = self.data, None
    if content is None:
      return super().Pack(builder)
    builder.StartVector(1, len(content), _ALIGNMENT)
    builder.head -= len(content)
    builder.Bytes[builder.head : builder.head + len(content)] = content
    data = builder.EndVector()
    schema.BufferStart(builder)
    schema.BufferAddData(builder, data)
    return schema.BufferEnd(builder)


def serialize(model: Model, metadata: Mapping[str, str]) -> bytes:
  """Return a model as a file.

  Args:
    model: a whole graph.
    metadata: text for it to carry, by name.
  """
  buffers = [_Buffer()]  # the first is that of what is not known
  tensors, numbers, codes = [], {}, {}
  for name, tensor in model.tensors.items():
    numbers[name] = len(tensors)
    tensors.append(_tensor(name, tensor, buffers))
  operators = [_operator(node, model.tensors, numbers, codes) for node in model.nodes]
  graph = schema.SubGraphT()
  graph.name, graph.tensors, graph.operators = 'main', tensors, operators
  graph.inputs, graph.outputs = (
    [numbers[n] for n in names] for names in (model.inputs, model.outputs)
  )
  whole = schema.ModelT()
  whole.version, whole.description = _VERSION, 'posejax'
  whole.subgraphs, whole.operatorCodes = [graph], [_code(*key) for key in codes]
  whole.signatureDefs = [_signature(model, numbers)]
  whole.metadata = []
  for name, text in metadata.items():
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, _add(buffers, text.encode())
    whole.metadata.append(entry)
  whole.buffers = buffers
  builder = flatbuffers.Builder(1024)
  builder.Finish(whole.Pack(builder), _IDENTIFIER)
  return bytes(builder.Output())


def _add(buffers: list, content: bytes) -> int:
  buffer = _Buffer()
  buffer.data = content
  buffers.append(buffer)
  return len(buffers) - 1


def _tensor(name: str, tensor: Tensor, buffers: list) -> schema.TensorT:
  found = schema.TensorT()
  found.name, found.shape, found.hasRank = name, list(tensor.shape), True
  found.type = _type(tensor.dtype)
  if tensor.array is not None:
    found.buffer = _add(buffers, tensor.array.tobytes())
  return found


def _operator(node: Node, tensors: Mapping[str, Tensor], numbers, codes) -> schema.OperatorT:
  """Return an operator; its code, if it is a new one, is added to `codes`."""
  found = schema.OperatorT()
  found.opcodeIndex = codes.setdefault((node.op, _op_version(node, tensors)), len(codes))
  found.inputs = [numbers[name] for name in node.inputs]
  found.outputs = [numbers[name] for name in node.outputs]
  if node.op in _OPTIONS:
    kind = _OPTIONS[node.op]
    found.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    found.builtinOptions = options = getattr(schema, f'{kind}T')()
    for field, value in node.options.items():
      if not hasattr(options, field):
        raise AttributeError(f'{kind} of TensorFlow Lite has no {field!r}')
      setattr(options, field, _option(field, value))
  return found


def _option(field: str, value: Any) -> Any:
  if field == 'padding':
    return getattr(schema.Padding, value)
  if field == 'fusedActivationFunction':
    return getattr(schema.ActivationFunctionType, value)
  if isinstance(value, np.dtype):
    return _type(value)
  return value


def _type(dtype: np.dtype) -> int:
  return getattr(schema.TensorType, str(dtype).upper())


def _code(op: str, version: int) -> schema.OperatorCodeT:
  found = schema.OperatorCodeT()
  found.builtinCode = getattr(schema.BuiltinOperator, op)
  # Where readers of before 2020 look for it.
  found.deprecatedBuiltinCode = min(found.builtinCode, 127)
  found.version = version
  return found


def _signature(model: Model, numbers: Mapping[str, int]) -> schema.SignatureDefT:
  found = schema.SignatureDefT()
  found.signatureKey = SIGNATURE
  found.inputs, found.outputs = (
    [_named(name, numbers[name]) for name in names] for names in (model.inputs, model.outputs)
  )
  return found


def _named(name: str, number: int) -> schema.TensorMapT:
  found = schema.TensorMapT()
  found.name, found.tensorIndex = name, number
  return found


def _op_version(node: Node, tensors: Mapping[str, Tensor]) -> int:
  """Return the version of an operator that has what is used of it, by which older runtimes refuse it.

  Source: `GetBuiltinOperatorVersion` of tensorflow/tensorflow
  tensorflow/lite/tools/versioning/op_version.cc.
  """
  x = tensors[node.inputs[0]]
  dtype, rank = str(x.dtype), len(x.shape)
  match node.op:
    case 'CONV_2D':
      return 6 if tensors[node.inputs[1]].shape[-1] != x.shape[-1] else 1
    case 'DEPTHWISE_CONV_2D':
      apart = node.options['dilationHFactor'] != 1 or node.options['dilationWFactor'] != 1
      return 2 if apart else 1
    case 'TRANSPOSE_CONV':
      return 4 if 'fusedActivationFunction' in node.options else 3
    case 'TRANSPOSE':
      return 6 if rank > 5 else 4 if rank > 4 else 3 if dtype == 'bool' else 1
    case 'SLICE' | 'STRIDED_SLICE' | 'PAD' | 'PADV2' if rank > 4:
      return 5 if node.op == 'SLICE' else 4
    case 'RESIZE_BILINEAR' | 'DEQUANTIZE':
      return 3
    case 'ABS':
      return 5 if dtype == 'int32' else 1
    case 'SIGN' | 'BROADCAST_TO':
      return 2 if dtype == 'int32' or node.op == 'BROADCAST_TO' else 1
    case 'FLOOR_MOD' | 'REVERSE_V2' | 'GATHER' | 'STRIDED_SLICE':
      of_bool = {'GATHER': 3, 'REVERSE_V2': 2, 'STRIDED_SLICE': 3}
      of_int8 = {'GATHER': 2, 'REVERSE_V2': 3, 'STRIDED_SLICE': 2, 'FLOOR_MOD': 2}
      return {'bool': of_bool, 'int8': of_int8}.get(dtype, {}).get(node.op, 1)
    case 'ADD' | 'SUB' | 'MUL':
      return {'ADD': 4, 'SUB': 4, 'MUL': 5}[node.op] if dtype == 'int64' else 1
    case 'CAST':
      return 3 if 'int8' in (dtype, str(tensors[node.outputs[0]].dtype)) else 1
  return 2 if dtype == 'int8' else 1
