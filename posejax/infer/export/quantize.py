"""ONNX models in eight bits: static quantisation, and what it does to keypoints."""

from collections.abc import Mapping
import dataclasses

import numpy as np
import onnx

from posejax.errors import PosejaxError
from posejax.infer.runtimes import onnx_runtime

_PRODUCTS = ('Conv', 'ConvTranspose', 'MatMul')
# Not Concat: joining 8-bit maps of different scales takes onnxruntime longer than floats.
_BETWEEN = ('Add', 'AveragePool', 'MaxPool', 'Mul', 'Relu', 'Resize')


@dataclasses.dataclass(frozen=True)
class Moved:
  """What quantisation did to keypoints.

  Attributes:
    num_keypoints: that were looked at.
    num_moved: by more than a cell of the heatmap, along x or y.
    median: distance in pixels of the crop.
    largest: distance in pixels of the crop.
  """

  num_keypoints: int
  num_moved: int
  median: float
  largest: float

  @property
  def good(self) -> bool:
    """Return whether anything is where it was: how much must be is for who reads the figures."""
    return self.num_moved < self.num_keypoints

  def __str__(self) -> str:
    share = 100 * self.num_moved / self.num_keypoints
    return (
      f'{self.num_moved} of {self.num_keypoints} keypoints ({share:.2f} %) moved by more than a cell; '
      f'median {self.median:.2f} px, largest {self.largest:.1f} px'
    )


def quantize(model: bytes, images: np.ndarray, batch_size: int = 8) -> bytes:
  """Return a model whose products are of 8-bit integers (QDQ form, weights by channel).

  Weights and maps of the net are quantised, and not its last layers, whose maps keypoints are read off,
  nor the decoder.

  Args:
    model: ONNX in float32, with `images` as its only input.
    images: uint8 `[N, H, W, 3]` crops like those to come, a hundred or more, that say how large maps get.
    batch_size: of them at a time.

  Raises:
    PosejaxError: there are no crops, they are of another size, or onnxruntime is not installed.
  """
  graph = onnx.load_from_string(model)
  sizes = [dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim[1:]]
  if (
    images.ndim != 4
    or not len(images)
    or list(images.shape[1:]) != sizes
    or images.dtype != np.uint8
  ):
    raise PosejaxError(
      f'Quantisation needs uint8 crops [N, {", ".join(map(str, sizes))}] that look like those to come, '
      f'got {images.dtype} {list(images.shape)}.'
    )
  batches = [
    {'images': images[start : start + batch_size]} for start in range(0, len(images), batch_size)
  ]
  return onnx_runtime.quantize_static(graph, batches, _inner_nodes(graph.graph))


def _inner_nodes(graph: onnx.GraphProto) -> list[str]:
  """Return the names of the nodes that lead to a product, where they are of a kind that quantises."""
  makers = {name: node for node in graph.node for name in node.output}
  open_names = [name for node in graph.node if node.op_type in _PRODUCTS for name in node.input]
  seen: dict[str, onnx.NodeProto] = {}
  while open_names:
    node = makers.get(open_names.pop())
    if node is not None and node.name not in seen:
      seen[node.name] = node
      open_names.extend(node.input)
  return [name for name, node in seen.items() if node.op_type in (*_PRODUCTS, *_BETWEEN)]


def moved(
  found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], cell: tuple[float, float]
) -> Moved:
  """Return how far keypoints `[N, K, 2]` of two runs are apart.

  Args:
    found: of the quantised net.
    expected: of the net in float32.
    cell: (x, y) pixels of the crop for each cell of the heatmap.
  """
  apart = np.abs(np.asarray(found['keypoints']) - np.asarray(expected['keypoints']))
  distance = np.linalg.norm(apart, axis=-1)
  return Moved(
    num_keypoints=distance.size,
    num_moved=int((~(apart <= np.asarray(cell))).any(-1).sum()),  # what is no number has moved, too
    median=float(np.median(distance)),
    largest=float(distance.max()),
  )
