"""Two-stage detectors: Faster R-CNN and Keypoint R-CNN, by name in `posejax.models`."""

from posejax.models.rcnn.build import (
  faster_rcnn,
  faster_rcnn_light,
  keypoint_rcnn,
  keypoint_rcnn_light,
)
from posejax.models.rcnn.detections import Detections
from posejax.models.rcnn.net import BOX_BINS, RCNN

__all__ = [
  'BOX_BINS',
  'RCNN',
  'Detections',
  'faster_rcnn',
  'faster_rcnn_light',
  'keypoint_rcnn',
  'keypoint_rcnn_light',
]
