"""Seeded weights and a picture for the detectors' goldens. NumPy only."""

from collections.abc import Mapping

import numpy as np

from tests.goldens import seeded

BODY = 'backbone.body.'
SCALED = {
  'rpn.head.cls_logits': 3.0,
  'rpn.head.bbox_pred': 0.3,
  'roi_heads.box_predictor.cls_score': 3.0,
  'roi_heads.box_predictor.bbox_pred': 1.0,
  'roi_heads.keypoint_predictor.kps_score_lowres': 5.0,
}
"""Layers whose output is brought to this deviation, and to a mean of 0 for each channel, so that scores
spread and boxes move."""
SHORT_SIDE, LONG_SIDE = 90, 150
NUM_PROPOSALS, NUM_DETECTIONS = 60, 12
"""Of the goldens: a small picture, small numbers."""


def weights(
  shapes: Mapping[str, tuple[int, ...]],
  scales: Mapping[str, float],
  biases: Mapping[str, list[float]],
) -> dict[str, np.ndarray]:
  """Return values for the state dict of one of torchvision's R-CNNs.

  Args:
    shapes: name -> shape.
    scales: module -> factor on its weight, for those of `SCALED`.
    biases: module -> its bias, for those of `SCALED`.
  """
  body = {name.removeprefix(BODY): shape for name, shape in shapes.items() if name.startswith(BODY)}
  values = {BODY + name: value for name, value in seeded.weights(body).items()}
  for name, shape in shapes.items():
    if name.startswith(BODY):
      continue
    module, _, leaf = name.rpartition('.')
    u = seeded.uniform(name, tuple(shape)) - np.float32(0.5)
    if leaf == 'weight':
      fan_in = shape[0] * 4 if 'lowres' in name else int(np.prod(shape[1:]))
      values[name] = u * np.float32(np.sqrt(12 * 2 / fan_in) * scales.get(module, 1.0))
    elif module in biases:
      values[name] = np.array(biases[module], np.float32)
    else:
      values[name] = u * np.float32(0.2)
  return {name: values[name] for name in shapes}
