"""Rules for convolutions and products of matrices."""

import math
from typing import Any

import numpy as np

from posejax.infer.export.program import windows
from posejax.infer.export.program.values import Value, full_const, normalized_shape
from posejax.infer.export.program.walk import Rule
from posejax.infer.export.tflite_writer import layout
from posejax.infer.export.tflite_writer.graph import SIDES, Graph, padding_name


def _convolution(graph: Graph, values: list[Value], outs: list, **params: Any) -> Value:
  x, kernel = values
  numbers, groups = params['dimension_numbers'], params['feature_group_count']
  if params['batch_group_count'] != 1:
    raise graph.no_rule('a convolution in groups of examples (batch_group_count)')
  if not kernel.is_const:
    raise graph.no_rule('a convolution by a kernel that it computes')
  if len(numbers.lhs_spec) != 4:
    raise graph.no_rule(f'a convolution over {len(numbers.lhs_spec) - 2} axes')
  if x.dtype != np.float32:
    raise graph.no_rule(f'a convolution of {x.dtype}')
  batch, features, *spatial = numbers.lhs_spec
  order = (batch, *spatial, features)
  ends = dict(zip(SIDES, params['padding'], strict=True))
  between = dict(zip(SIDES, params['lhs_dilation'], strict=True))
  if all(step == 1 for step in between.values()):  # else more zeros come between those around it
    x, ends = _unpadded(x, order, ends)
  x = graph.whole(graph.transposed(x, order))
  if any(step != 1 for step in between.values()) or any(min(pair) < 0 for pair in ends.values()):
    config = [(*ends.get(axis, (0, 0)), between.get(axis, 1) - 1) for axis in range(4)]
    x = layout.padded(graph, x, 0.0, config)
    ends = dict.fromkeys(SIDES, (0, 0))
  out, into, *over = numbers.rhs_spec
  weights = full_const(kernel).transpose(out, *over, into)
  options, extents = {}, {}
  for i, (axis, side) in enumerate(SIDES.items()):
    step, apart = params['window_strides'][i], params['rhs_dilation'][i]
    options |= {f'stride{side}': int(step), f'dilation{side}Factor': int(apart)}
    extents[axis] = ((weights.shape[axis] - 1) * apart + 1, step)
  padding = padding_name(x.shape, extents, ends)
  if padding is None:
    x, padding = graph.padded(x, 0.0, ends), 'VALID'
  op, channels = 'CONV_2D', x.shape[-1]
  if groups == channels > 1:
    op, options['depthMultiplier'] = 'DEPTHWISE_CONV_2D', weights.shape[0] // channels
    weights = weights.transpose(3, 1, 2, 0)
  shape = normalized_shape(outs[0].shape)
  batch, features, *spatial = numbers.out_spec
  order = (batch, *spatial, features)
  names = [x.name, graph.initializer(weights)]
  found = graph.node(
    op, names, [shape[axis] for axis in order], x.dtype, padding=padding, **options
  )
  return graph.transposed(found, [order.index(axis) for axis in range(4)])


def _unpadded(x: Value, order: tuple[int, ...], ends: dict) -> tuple[Value, dict]:
  """Return what zeros were put around, and how many with those that the convolution puts there."""
  made = x.made
  if not isinstance(made, windows.Padded) or made.fill != 0:
    return x, ends
  if not set(made.widths) <= {order[axis] for axis in SIDES}:
    return x, ends
  if any(min(pair) < 0 for pair in (*made.widths.values(), *ends.values())):
    return x, ends
  pairs = {axis: made.widths.get(order[axis], (0, 0)) for axis in SIDES}
  both = {axis: (ends[axis], pairs[axis]) for axis in SIDES}
  return made.source, {axis: (a[0] + b[0], a[1] + b[1]) for axis, (a, b) in both.items()}


def _dot_general(
  graph: Graph, values: list[Value], outs: list, dimension_numbers, **params
) -> Value:
  del params
  a, b = values
  ((sum_a, sum_b), (batch_a, batch_b)) = dimension_numbers
  shape = normalized_shape(outs[0].shape)
  if a.dtype != np.float32:
    raise graph.no_rule(f'a product of {a.dtype}')
  free_a = [axis for axis in range(len(a.shape)) if axis not in (*sum_a, *batch_a)]
  free_b = [axis for axis in range(len(b.shape)) if axis not in (*sum_b, *batch_b)]
  rows = math.prod(a.shape[axis] for axis in free_a)
  columns = math.prod(b.shape[axis] for axis in free_b)
  inner = math.prod(a.shape[axis] for axis in sum_a)
  count = math.prod(a.shape[axis] for axis in batch_a)
  left = graph.reshaped(
    graph.whole(graph.transposed(a, (*batch_a, *free_a, *sum_a))), (count, rows, inner)
  )
  if b.is_const and not batch_b:
    weights = full_const(b).transpose(*free_b, *sum_b).reshape(columns, inner)
    names = [graph.reshaped(left, (rows, inner)).name, graph.initializer(weights)]
    found = graph.node('FULLY_CONNECTED', names, (rows, columns), a.dtype)
  else:
    right = graph.reshaped(
      graph.whole(graph.transposed(b, (*batch_b, *sum_b, *free_b))), (count, inner, columns)
    )
    names, options = [left.name, right.name], {'adjX': False, 'adjY': False}
    found = graph.node('BATCH_MATMUL', names, (count, rows, columns), a.dtype, **options)
  return graph.reshaped(found, shape)


RULES: dict[str, Rule] = {'conv_general_dilated': _convolution, 'dot_general': _dot_general}
