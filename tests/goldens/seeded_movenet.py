"""What MoveNet's goldens start from: the same weights and maps with and without TensorFlow."""

from collections.abc import Mapping

import numpy as np

from tests.goldens import seeded

MAPS = {'center': 1, 'keypoint_heatmaps': 17, 'keypoint_regression': 34, 'keypoint_offsets': 34}
BOX_MAPS = {'box_scale': 2, 'box_offset': 2}
GRIDS = {'lightning': (48, 48), 'thunder': (64, 64), 'multipose': (24, 40)}


def weights(shapes: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
  """Return values for a graph's weights under which every layer matters and none explodes.

  Args:
    shapes: name in the graph -> shape, lists; kernels as height, width, input, output.
  """
  values = {}
  for name, shape in shapes.items():
    u = seeded.uniform(name, tuple(shape)) - np.float32(0.5)
    if len(shape) == 4:
      # The last axis of a depthwise kernel is 1 there: each channel sees nothing but itself.
      depthwise = shape[:2] == [3, 3] and shape[3] == 1
      inputs = shape[0] * shape[1] * (1 if depthwise else shape[2])
      u *= np.float32(np.sqrt(12 * 2 / inputs))
    values[name] = u
  return values


def maps(variant: str) -> dict[str, np.ndarray]:
  """Return raw maps `[1, h, w, C]` of noise on the variant's grid of `GRIDS`."""
  h, w = GRIDS[variant]
  wanted = MAPS | (BOX_MAPS if variant == 'multipose' else {})
  drawn = {n: seeded.uniform(f'{variant} {n}', (1, h, w, c)) for n, c in wanted.items()}
  spread = np.float32(0.8 * min(h, w))
  drawn['center'] = 10 * drawn['center'] - 6
  drawn['keypoint_heatmaps'] = 8 * drawn['keypoint_heatmaps'] - 5
  drawn['keypoint_regression'] = spread * (drawn['keypoint_regression'] - np.float32(0.5))
  if variant == 'multipose':
    # Some boxes of negative size among them.
    drawn['box_scale'] = spread * (drawn['box_scale'] - np.float32(0.2))
  return drawn


def detector_input() -> np.ndarray:
  """Return a normalised picture `[1, 416, 416, 3]` of the drawn one's pixels over and over."""
  pixels = np.resize(seeded.image(), (1, 416, 416, 3))
  return pixels.astype(np.float32) / np.float32(127.5) - 1
