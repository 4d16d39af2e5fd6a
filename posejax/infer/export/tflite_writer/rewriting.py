"""What a written graph is rewritten to: one operator where several are one.

A deconvolution, which `posejax.models.layers.deconv2d` computes as a sub-pixel convolution, becomes
`TRANSPOSE_CONV`. What a convolution and its input are multiplied by, and what is added to the former,
goes into its weights and bias, and the ReLU behind it, or behind a sum, into the operator.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from posejax.infer.export.tflite_writer.graph import Model, Node, Tensor, needed_nodes

_CHANNELS = {
  'CONV_2D': 0,
  'DEPTHWISE_CONV_2D': 3,
  'FULLY_CONNECTED': 0,
  'TRANSPOSE_CONV': 0,
}
"""Operators with weights, which are their second input, and the axis of the output's channels in them."""
_BIAS = {'TRANSPOSE_CONV': 3}  # which input is the bias; 2 of the others
_ACTIVATED = (*_CHANNELS, 'ADD', 'DIV', 'MUL', 'SUB', 'MAX_POOL_2D', 'AVERAGE_POOL_2D')
_MOVING = ('RESHAPE', 'TRANSPOSE', 'SLICE')
_SPREAD = 1000
"""Between the largest and the smallest scale of a channel, up to which a shift is divided by them."""
_NARROW = 16
"""Channels up to which numbers for each of them are repeated along a row: XNNPACK takes three times as
long for three numbers as for a row of them."""


def rewrite(model: Model) -> Model:
  """Return a model that computes the same up to rounding."""
  rewriter = _Rewriter(model)
  for step in (
    rewriter.deconvolution,
    rewriter.results,
    rewriter.linear_maps,
    rewriter.activation,
  ):
    for node in model.nodes:
      step(node)
  return rewriter.result()


def halve(model: Model) -> Model:
  """Return a model whose weights and biases are stored in half precision, and computed with in single."""
  tensors, nodes, halves = dict(model.tensors), [], set()
  for node in model.nodes:
    for name in node.inputs if node.op in _CHANNELS else ():
      tensor = tensors[name]
      if tensor.array is not None and tensor.dtype == np.float32 and name not in halves:
        half = tensor.array.astype(np.float16)
        if not np.isfinite(half).all():
          continue
        halves.add(name)
        tensors[f'{name}_half'] = Tensor(tensor.shape, half.dtype, half)
        tensors[name] = dataclasses.replace(tensor, array=None)
        nodes.append(Node('DEQUANTIZE', [f'{name}_half'], [name], {}))
  return dataclasses.replace(model, nodes=[*nodes, *model.nodes], tensors=tensors)


class _Rewriter:
  def __init__(self, model: Model):
    self._model = model
    self._tensors = dict(model.tensors)
    self._new: dict[tuple, str] = {}
    self._gone: set[int] = set()  # ids of nodes
    self._makers = {name: node for node in model.nodes for name in node.outputs}
    self._users: dict[str, list[Node]] = {}
    for node in model.nodes:
      for name in node.inputs:
        self._users.setdefault(name, []).append(node)

  def result(self) -> Model:
    """Return what is left; every operator with weights has a bias, as older runtimes want it."""
    left = [node for node in self._model.nodes if id(node) not in self._gone]
    nodes = needed_nodes(left, self._model.outputs)
    for node in nodes:
      if node.op in _CHANNELS:
        self._weigh(node, *self._weights(node))
    names = {name for node in nodes for name in (*node.inputs, *node.outputs)}
    names |= {*self._model.inputs, *self._model.outputs}
    tensors = {name: tensor for name, tensor in self._tensors.items() if name in names}
    return dataclasses.replace(self._model, nodes=nodes, tensors=tensors)

  def deconvolution(self, node: Node) -> None:
    """Write as `TRANSPOSE_CONV` what convolves to f * f phases, interleaves them and crops."""
    padding = self._makers.get(node.inputs[0]) if node.op == 'CONV_2D' else None
    if padding is None or padding.op != 'PAD':
      return
    chain, last = [], node
    while (after := self._only_user(last)) and after.op in _MOVING:
      chain.append(last := after)
    weights, _ = self._weights(node)
    x, output = self._tensors[padding.inputs[0]].shape, self._tensors[last.outputs[0]].shape
    factor = output[1] // x[1] if len(output) == 4 else 0
    channels = output[-1]
    if factor < 2 or factor % 2 or weights.shape != (factor**2 * channels, 2, 2, x[3]):
      return
    plain = {'strideH': 1, 'strideW': 1, 'dilationHFactor': 1, 'dilationWFactor': 1}
    around = self._tensors[padding.inputs[1]].array.tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]
    if not around or node.options != {**plain, 'padding': 'VALID'}:
      return
    places = np.arange(np.prod(self._tensors[node.outputs[0]].shape))
    for after in chain:
      places = self._moved(after, places)
    if not np.array_equal(places, _interleaved(x[1:3], factor, channels)):
      return
    kernel = weights.reshape(factor, factor, channels, 2, 2, x[3])[:, :, :, ::-1, ::-1]
    kernel = kernel.transpose(2, 3, 0, 4, 1, 5).reshape(channels, 2 * factor, 2 * factor, x[3])
    node.op = 'TRANSPOSE_CONV'
    names = map(self._store, (np.array(output, np.int32), kernel))
    node.inputs = [*names, padding.inputs[0]]
    node.options = {'strideH': factor, 'strideW': factor, 'padding': 'SAME'}
    self._replace(node, chain)

  def linear_maps(self, node: Node) -> None:
    """Shorten a chain of sums and products with numbers for each channel, such as a normalisation.

    `scale * x + shift` remains; before a convolution `x + shift / scale`, and the scale goes into the
    weights: around it lie zeros either way.
    """
    chain, scale, shift = self._chain(node)
    after = self._convolution_behind(chain[-1]) if chain else None
    channels = self._tensors[node.outputs[0]].shape[-1:]
    sizes = np.abs(scale)
    if (
      after is not None
      and self._weights(after)[0].shape[-1:] == channels
      and sizes.min() > sizes.max() / _SPREAD
    ):
      weights, bias = self._weights(after)
      self._weigh(after, weights * scale, bias)
      scale, shift = np.float64(1), shift / scale
    elif len(chain) < 2:
      return
    parts = [('MUL', scale)] if np.any(scale != 1) else []
    parts += [('ADD', shift)] if np.any(shift) or not parts else []
    (name,) = (name for name in node.inputs if self._tensors[name].array is None)
    output = chain[-1].outputs
    for one, (op, numbers) in zip(chain, parts, strict=False):
      row = self._row(np.broadcast_to(numbers, channels), self._tensors[name].shape)
      one.op, one.inputs, one.options = op, [name, row], {}
      name = one.outputs[0]
    chain[len(parts) - 1].outputs = output
    self._gone.update(id(one) for one in chain[len(parts) :])

  def _chain(self, node: Node) -> tuple[list[Node], np.ndarray, np.ndarray]:
    """Return operators from one on that only multiply and add, and the scale and shift of them all."""
    chain, scale, shift = [], np.float64(1), np.float64(0)
    while node and id(node) not in self._gone and (known := self._known(node)):
      numbers, first = known
      if first and node.op == 'DIV':
        break
      if node.op in ('ADD', 'SUB'):
        if node.op == 'SUB':
          scale, shift, numbers = (-scale, -shift, numbers) if first else (scale, shift, -numbers)
        shift = shift + numbers
      else:
        numbers = 1 / numbers if node.op == 'DIV' else numbers
        scale, shift = scale * numbers, shift * numbers
      chain.append(node)
      node = self._only_user(node)
    return chain, scale, shift

  def _convolution_behind(self, node: Node) -> Node | None:
    """Return the convolution that alone takes what an operator gives, zeros around it or not."""
    after = self._only_user(node)
    if after is not None and after.op == 'PAD':
      node, after = after, self._only_user(after)
    return after if after is not None and after.op == 'CONV_2D' else None

  def results(self, node: Node) -> None:
    """Fold numbers for each channel that an operator's result is multiplied by, or that are added."""
    if node.op not in _CHANNELS:
      return
    while (after := self._only_user(node)) and (known := self._known(after)):
      numbers, first = known
      if first and after.op in ('DIV', 'SUB'):
        return
      weights, bias = self._weights(node)
      if after.op in ('DIV', 'MUL'):
        numbers = 1 / numbers if after.op == 'DIV' else numbers
        shape = [1] * weights.ndim
        shape[_CHANNELS[node.op]] = -1
        weights, bias = weights * numbers.reshape(shape), bias * numbers
      else:
        bias = bias + numbers if after.op == 'ADD' else bias - numbers
      self._weigh(node, weights, bias)
      self._replace(node, [after])

  def activation(self, node: Node) -> None:
    """Let an operator rectify its own result."""
    after = self._only_user(node)
    if node.op in _ACTIVATED and after and after.op in ('RELU', 'RELU6'):
      node.options['fusedActivationFunction'] = after.op
      self._replace(node, [after])

  def _known(self, node: Node) -> tuple[np.ndarray, bool] | None:
    """Return the known numbers, one or one a channel, that an operator takes beside an array.

    Returns:
      float64 `[1]` or `[C]`, and whether they are the first operand; None where there are none.
    """
    if node.op not in ('ADD', 'DIV', 'MUL', 'SUB'):
      return None
    x, known = (self._tensors[name] for name in node.inputs)
    first = x.array is not None
    if first:
      x, known = known, x
    numbers, output = known.array, self._tensors[node.outputs[0]]
    if x.array is not None or numbers is None or numbers.dtype != np.float32:
      return None
    if x.shape != output.shape or numbers.size not in (1, *output.shape[-1:]):
      return None
    if numbers.size != (numbers.shape or (1,))[-1] or not np.isfinite(numbers).all():
      return None
    if node.op == 'DIV' and not numbers.all():
      return None
    return numbers.reshape(-1).astype(np.float64), first

  def _row(self, numbers: np.ndarray, shape: tuple[int, ...]) -> str:
    """Return the name of numbers for each channel, in the form in which they are added fastest."""
    if (numbers == numbers[0]).all():
      return self._store(numbers[0])
    if len(shape) == 4 and len(numbers) < _NARROW:
      return self._store(np.broadcast_to(numbers, (1, 1, *shape[2:])))
    return self._store(numbers)

  def _weights(self, node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of an operator and its bias, which is 0 where it has none."""
    weights = self._tensors[node.inputs[1]].array
    place = _BIAS.get(node.op, 2)
    if len(node.inputs) > place:
      return weights, self._tensors[node.inputs[place]].array
    return weights, np.zeros(self._tensors[node.outputs[0]].shape[-1], np.float32)

  def _weigh(self, node: Node, weights: np.ndarray, bias: np.ndarray) -> None:
    first, _, *rest = node.inputs[: _BIAS.get(node.op, 2)]
    node.inputs = [first, self._store(weights), *rest, self._store(bias)]

  def _only_user(self, node: Node) -> Node | None:
    """Return the operator that alone takes what another gives, or None."""
    name = node.outputs[0]
    users = self._users.get(name, [])
    return users[0] if len(users) == 1 and name not in self._model.outputs else None

  def _replace(self, node: Node, chain: Sequence[Node]) -> None:
    """Let an operator give what the last of a chain behind it gave."""
    node.outputs = chain[-1].outputs
    self._makers[node.outputs[0]] = node
    self._gone.update(id(after) for after in chain)

  def _moved(self, node: Node, x: np.ndarray) -> np.ndarray:
    """Return what an operator of `_MOVING` makes of an array."""
    source, *known = (self._tensors[name] for name in node.inputs)
    x = x.reshape(source.shape)
    if node.op == 'RESHAPE':
      return x.reshape(known[0].array)
    if node.op == 'TRANSPOSE':
      return x.transpose(known[0].array)
    begin, size = (tensor.array for tensor in known)
    return x[tuple(slice(b, b + n) for b, n in zip(begin, size, strict=True))]

  def _store(self, array: np.ndarray) -> str:
    """Return the name of a tensor with what an array holds; equal ones are kept once."""
    if array.dtype != np.int32:
      array = np.ascontiguousarray(array, np.float32)
    key = (array.dtype.str, array.shape, array.tobytes())
    if key not in self._new:
      self._new[key] = name = f'folded_{len(self._new)}'
      self._tensors[name] = Tensor(array.shape, array.dtype, array)
    return self._new[key]


def _interleaved(shape: tuple[int, int], factor: int, channels: int) -> np.ndarray:
  """Return the places, counted through, of what a deconvolution takes of its phases.

  They are `[1, h + 1, w + 1, f, f, D]`, interleaved and cropped; see posejax.models.layers.deconv2d.
  """
  h, w = (size + 1 for size in shape)
  count = h * w * factor**2 * channels
  places = np.arange(count).reshape(1, h, w, factor, factor, channels).transpose(0, 1, 3, 2, 4, 5)
  half = factor // 2
  places = places.reshape(1, h * factor, w * factor, channels)
  return places[:, half:-half, half:-half]
