"""A person detector's boxes from a file: what a published AP with detected boxes starts from.

The file is a JSON list of `{"image_id": 785, "category_id": 1, "bbox": [x, y, w, h], "score": 0.99}`,
the form of COCO's detection results. The tables of MSRA, HRNet and mmpose for COCO val2017 rest on
`COCO_val2017_detections_AP_H_56_person.json`, which the first two link in their README under
"person detection results".
"""

from collections.abc import Collection
import dataclasses
import hashlib
import json
import math
import os
from typing import Any

import numpy as np

from posejax.data.sources.over import OverSource
from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton
from posejax.types import Example

_FORM = 'a JSON list of {"image_id", "category_id", "bbox": [x, y, w, h], "score"}'


@dataclasses.dataclass(frozen=True)
class Detections:
  """Boxes in the order of their file.

  Attributes:
    image_ids: N, as the file writes them.
    boxes: float32 `[N, 4]` xyxy, image frame; not clipped to the picture.
    scores: float64 `[N]`.
    left_out: reason -> how many boxes of the file were not taken for it.
    fingerprint: changes with the file.
  """

  image_ids: tuple[Any, ...]
  boxes: np.ndarray
  scores: np.ndarray
  left_out: dict[str, int]
  fingerprint: str


def read(
  path: str, image_ids: Collection, category_id: int = 1, score_threshold: float = 0.0
) -> Detections:
  """Read a file of detections.

  A box's right edge is `x + w`, so that its width is w, where a ground-truth box of COCO has w - 1:
  so measured the published results.

  Args:
    path: of the file.
    image_ids: the pictures there are; boxes on others are left out.
    category_id: of the detections to take.
    score_threshold: boxes with lower scores are left out.

  Raises:
    PosejaxError: the file is missing, is not of that form, or has no box that counts.

  Source: `_load_coco_person_detection_results` of microsoft/human-pose-estimation.pytorch
  lib/dataset/coco.py.
  """
  if not os.path.isfile(path):
    raise PosejaxError(
      f'No detections at {path}. Expected {_FORM}; for COCO val2017 the README of '
      'leoxiaobin/deep-high-resolution-net.pytorch links the one that published results used. '
      'Without a detections file evaluate with ground-truth boxes.'
    )
  with open(path, 'rb') as file:
    content = file.read()
  try:
    entries = json.loads(content)
  except ValueError as error:
    raise PosejaxError(f'{path} is not JSON ({error}); expected {_FORM}.') from None
  if not isinstance(entries, list):
    raise PosejaxError(f'{path} holds a {type(entries).__name__}; expected {_FORM}.')
  known = set(image_ids)
  left_out = dict.fromkeys(('other category', 'low score', 'unknown picture', 'empty box'), 0)
  taken = []
  for number, entry in enumerate(entries):
    image_id, category, box, score = _fields(entry, f'{path}: entry {number}')
    if category != category_id:
      left_out['other category'] += 1
    elif score < score_threshold:
      left_out['low score'] += 1
    elif image_id not in known:
      left_out['unknown picture'] += 1
    elif min(box[2:]) <= 0:
      left_out['empty box'] += 1
    else:
      taken.append((image_id, box, score))
  if not taken:
    raise PosejaxError(
      f'{path}: none of {len(entries)} boxes counts ({left_out}). '
      'Do detections and annotations belong to the same split?'
    )
  ids, boxes, scores = zip(*taken, strict=True)
  boxes = np.array(boxes, np.float64)
  boxes[:, 2:] += boxes[:, :2]
  digest = hashlib.sha256(content).hexdigest()[:16]
  return Detections(
    ids,
    boxes.astype(np.float32),
    np.array(scores, np.float64),
    left_out,
    f'{digest}-{len(ids)}-{category_id}-{score_threshold}',
  )


def _fields(entry: Any, where: str) -> tuple[Any, Any, list[float], float]:
  try:
    image_id, category, score = entry['image_id'], entry['category_id'], float(entry['score'])
    box = [float(value) for value in entry['bbox']]
    hash(image_id)
  except (KeyError, TypeError, ValueError):
    raise PosejaxError(f'{where} is {entry!r:.200}; expected {_FORM}.') from None
  if len(box) != 4 or not all(map(math.isfinite, (*box, score))):
    raise PosejaxError(f'{where}: bbox {box} must be four finite numbers, score {score} finite.')
  return image_id, category, box, score


@dataclasses.dataclass(frozen=True)
class DetectedPeople(OverSource):
  """The boxes detected on a source's pictures: examples without labels, to measure AP on.

  Their `visibility` is 0 and their `keypoints` mean nothing. Beside an Example's keys they have
  `image_id` and `box_score`, which COCO AP looks up by the example's number.

  Attributes:
    source: of COCO's format (`posejax.data.sources.CocoSource`), whose annotations are the truth.
    detections: the boxes, in order.
  """

  detections: Detections

  @property
  def name(self) -> str:
    """The underlying source's name, and what this is."""
    return f'{self.source.name}, detected boxes'

  @property
  def fingerprint(self) -> str:
    """Of pictures, annotations and boxes."""
    return f'{self.source.fingerprint}+{self.detections.fingerprint}'

  def __len__(self) -> int:
    return len(self.detections.image_ids)

  def __getitem__(self, index: int) -> Example:
    labels = self.labels(index)
    return {'image': self.read_image(labels['image_id']), **labels}

  def labels(self, index: int) -> Example:
    """Return example `index` without its picture."""
    if not 0 <= index < len(self):
      raise IndexError(f'example {index} of {len(self)}')
    image_id = self.detections.image_ids[index]
    return {
      **unlabelled_person(
        self.label_space.skeleton, self.detections.boxes[index], f'image {image_id}'
      ),
      'image_id': image_id,
      'box_score': float(self.detections.scores[index]),
    }


def unlabelled_person(skeleton: Skeleton, box: np.ndarray, image_name: str) -> Example:
  """Return the labels of somebody of whom only the box is known: `visibility` is 0 throughout."""
  K = skeleton.num_keypoints
  return {
    'keypoints': np.zeros((K, 2), np.float32),
    'visibility': np.zeros(K, np.int32),
    'box': box,
    'image_name': image_name,
  }
