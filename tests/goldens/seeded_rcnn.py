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


TRAIN_PROPOSALS, ANCHOR_SAMPLES, REGION_SAMPLES = 60, 32, 16
LOSSES = {
  'objectness': 'loss_objectness',
  'anchor_boxes': 'loss_rpn_box_reg',
  'classes': 'loss_classifier',
  'boxes': 'loss_box_reg',
  'keypoints': 'loss_keypoint',
}
"""Ours -> torchvision's."""


def truth() -> dict[str, np.ndarray]:
  """Return two people on the picture and its mirror image: boxes, keypoints and visibility, padded.

  The mirrored one has one of them.
  """
  w = seeded.IMAGE_SHAPE[1]
  boxes = np.array([[6, 9, 40, 85], [22, 3, 61, 70]], np.float32)
  places = seeded.uniform('places', (2, 17, 2)) * np.float32(1.1)
  keypoints = boxes[:, None, :2] + places * (boxes[:, None, 2:] - boxes[:, None, :2])
  visibility = (seeded.uniform('visibility', (2, 17)) * 3).astype(np.int32)
  mirrored = np.array([[w - 40, 9, w - 6, 85], [0, 0, 0, 0]], np.float32)
  mirrored_points = np.stack([w - keypoints[..., 0], keypoints[..., 1]], -1)
  return {
    'boxes': np.stack([boxes, mirrored]),
    'keypoints': np.stack([keypoints, mirrored_points]),
    'visibility': np.stack([visibility, visibility]),
    'box_mask': np.array([[True, True], [True, False]]),
  }


def priority(number: int) -> np.ndarray:
  """Return which of as many anchors or regions are drawn first: those of the largest numbers."""
  return seeded.uniform('priority', (5000,))[:number]


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
