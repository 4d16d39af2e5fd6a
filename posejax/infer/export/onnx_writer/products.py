"""Rules for convolutions and products of matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np

from posejax.infer.export.onnx_writer import layout
from posejax.infer.export.onnx_writer.graph import Graph
from posejax.infer.export.program.values import Value, constant, full_const, normalized_shape


def _convolution(graph: Graph, values: list[Value], outs: list, **params: Any) -> Value:
  x, kernel = values
  if params['batch_group_count'] != 1:
    raise graph.no_rule('a convolution in groups of examples (batch_group_count)')
  numbers = params['dimension_numbers']
  ends = dict(zip(numbers.lhs_spec[2:], params['padding'], strict=True))
  between = {
    axis: n - 1 for axis, n in zip(numbers.lhs_spec[2:], params['lhs_dilation'], strict=True)
  }
  if any(between.values()) or any(min(pair) < 0 for pair in ends.values()):
    config = [(*ends.get(axis, (0, 0)), between.get(axis, 0)) for axis in range(len(x.shape))]
    x = layout.padded(graph, x, constant(np.zeros((), x.dtype)), config)
    ends = dict.fromkeys(ends, (0, 0))
  x = graph.whole(x, numbers.lhs_spec)
  if kernel.is_const:
    weights = graph.initializer(full_const(kernel).transpose(numbers.rhs_spec))
  else:
    weights = graph.whole(kernel, numbers.rhs_spec).name
  pairs = [ends[axis] for axis in numbers.lhs_spec[2:]]
  name = graph.node(
    'Conv',
    [x.name, weights],
    kernel_shape=[kernel.shape[axis] for axis in numbers.rhs_spec[2:]],
    strides=params['window_strides'],
    dilations=params['rhs_dilation'],
    pads=[int(low) for low, _ in pairs] + [int(high) for _, high in pairs],
    group=params['feature_group_count'],
  )
  return graph.laid(name, normalized_shape(outs[0].shape), outs[0].dtype, numbers.out_spec)


def _dot_general(
  graph: Graph, values: list[Value], outs: list, dimension_numbers, **params
) -> Value:
  del params
  a, b = values
  ((sum_a, sum_b), (batch_a, batch_b)) = dimension_numbers
  free_a = [axis for axis in range(len(a.shape)) if axis not in (*sum_a, *batch_a)]
  free_b = [axis for axis in range(len(b.shape)) if axis not in (*sum_b, *batch_b)]
  shape = normalized_shape(outs[0].shape)
  matrices = len(sum_a) == 1 and len(free_b) == 1 and len(free_a) >= 1
  if matrices and (len(free_a) == 1 or not batch_a):
    left = graph.whole(a, (*batch_a, *free_a, *sum_a))
    right = graph.whole(b, (*batch_b, *sum_b, *free_b))
    return graph.laid(graph.node('MatMul', [left.name, right.name]), shape, outs[0].dtype)
  letters = iter('abcdefghijklmnopqrstuvwxyz')
  of_a, of_b = {}, {}
  for pair in (*zip(batch_a, batch_b, strict=True), *zip(sum_a, sum_b, strict=False)):
    of_a[pair[0]] = of_b[pair[1]] = next(letters)
  of_a.update((axis, next(letters)) for axis in free_a)
  of_b.update((axis, next(letters)) for axis in free_b)
  x, y = graph.whole(a), graph.whole(b)
  result = ''.join([of_a[axis] for axis in (*batch_a, *free_a)] + [of_b[axis] for axis in free_b])
  left, right = (''.join(of[axis] for axis in v.order) for of, v in ((of_a, x), (of_b, y)))
  name = graph.node('Einsum', [x.name, y.name], equation=f'{left},{right}->{result}')
  return graph.laid(name, shape, outs[0].dtype)


RULES: dict[str, Callable] = {'conv_general_dilated': _convolution, 'dot_general': _dot_general}
