"""What is found on a picture, in pixels of that picture."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import numpy as np

from posejax.labels import LabelSpace

DetectFn = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`picture -> (boxes [N, 4], scores [N])`, pixels of the picture."""


@dataclasses.dataclass(frozen=True)
class Instance:
  """One person or thing on a picture, or what the whole picture shows.

  Attributes:
    box: float32 `[4]`, xyxy of the outermost pixels, pixel centres at integers, so that COCO's width is
      one more than x2 - x1; the whole picture where nothing smaller was looked at.
    score: confidence in [0, 1].
    label: number of its class in the label space.
    keypoints: float32 `[K, 2]`, (x, y); None where the net finds none. They may lie outside the picture.
    keypoint_scores: float32 `[K]`, confidence in [0, 1]; None without keypoints.
    visible: bool `[K]`, which keypoints are sure enough to be shown; None without keypoints.
    track_id: the same for the same person from frame to frame of a film; None where nobody is followed.
  """

  box: np.ndarray
  score: float
  label: int = 0
  keypoints: np.ndarray | None = None
  keypoint_scores: np.ndarray | None = None
  visible: np.ndarray | None = None
  track_id: int | None = None


@dataclasses.dataclass(frozen=True)
class Result:
  """What was found on one picture.

  Attributes:
    image_hw: (h, w) of the picture.
    instances: the surest first.
  """

  image_hw: tuple[int, int]
  instances: tuple[Instance, ...]


def to_dict(result: Result, labels: LabelSpace) -> dict[str, Any]:
  """Return a result as plain JSON: the form of the web API, named keypoints and all."""
  return {
    'height': result.image_hw[0],
    'width': result.image_hw[1],
    'instances': [_instance_dict(instance, labels) for instance in result.instances],
  }


def _instance_dict(instance: Instance, labels: LabelSpace) -> dict[str, Any]:
  values = {
    'label': labels.class_names[instance.label],
    'score': round(float(instance.score), 4),
    'box': _rounded(instance.box, 2),
  }
  if instance.track_id is not None:
    values['track_id'] = instance.track_id
  if instance.keypoints is not None:
    rows = zip(
      labels.keypoints,
      _rounded(instance.keypoints, 2),
      _rounded(instance.keypoint_scores, 4),
      np.asarray(instance.visible).tolist(),
      strict=True,
    )
    values['keypoints'] = [
      {'name': name, 'x': x, 'y': y, 'score': score, 'visible': visible}
      for name, (x, y), score, visible in rows
    ]
  return values


def to_coco(result: Result, image_id: Any, category_ids: Sequence[int]) -> list[dict[str, Any]]:
  """Return a result in COCO's results form, one entry an instance, for `COCO.loadRes`.

  Keypoints are triples x, y, score. The box is not written where there are keypoints: `loadRes` would
  take its area, not the keypoints' extent, and AP of medium and large people would change.

  Args:
    result: of one picture.
    image_id: of the picture.
    category_ids: of the classes, by label (`LabelSpace.category_ids`).
  """
  entries = []
  for instance in result.instances:
    entry = {
      'image_id': image_id,
      'category_id': category_ids[instance.label],
      'score': float(instance.score),
    }
    if instance.keypoints is None:
      x1, y1, x2, y2 = (float(v) for v in instance.box)
      entry['bbox'] = [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
    else:
      triples = np.concatenate([instance.keypoints, instance.keypoint_scores[:, None]], axis=1)
      entry['keypoints'] = _rounded(triples.ravel(), 4)
    if instance.track_id is not None:
      entry['track_id'] = instance.track_id
    entries.append(entry)
  return entries


def _rounded(values: np.ndarray, digits: int) -> list:
  return np.round(np.asarray(values, np.float64), digits).tolist()
