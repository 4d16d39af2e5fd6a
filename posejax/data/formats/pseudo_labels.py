"""A net's confident predictions as annotations to train on."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from posejax.data.formats import coco_write
from posejax.geometry import boxes as box_geometry

_SURE = 0.85
"""The share of a person's keypoints, the most confident ones, that its next box is drawn around."""
_SMALLEST = 5.0  # pixels


class PseudoLabels(NamedTuple):
  """Annotations of COCO's format, and what became of the predictions.

  Attributes:
    images: those with somebody on them.
    annotations: with `score` (mean of the kept keypoints') and `keypoint_scores` beside COCO's keys.
    left_out: reason -> how many people.
    kept_keypoints: how many keypoints the annotations label.
  """

  images: list[dict[str, Any]]
  annotations: list[dict[str, Any]]
  left_out: dict[str, int]
  kept_keypoints: int


def confident(
  keypoints: np.ndarray, scores: np.ndarray, image_hw: np.ndarray, min_score: float
) -> np.ndarray:
  """Return bool `[N, K]`: the keypoints to keep, those with a score of `min_score` within the picture.

  Args:
    keypoints: `[N, K, 2]`, image frame.
    scores: `[N, K]`.
    image_hw: `[N, 2]`, each one's picture.
    min_score: the lowest to keep.
  """
  inside = (keypoints >= -0.5) & (keypoints <= image_hw[:, None, ::-1] - 0.5)
  return (scores >= min_score) & inside.all(axis=-1)


def tightened(
  names: Sequence[str],
  keypoints: np.ndarray,
  scores: np.ndarray,
  sizes: dict[str, tuple[int, int]],
  boxes: np.ndarray,
) -> np.ndarray:
  """Return boxes `[N, 4]` around the more confident keypoints, to predict in once more.

  A net trained on crops of people is at a loss where the person is a part of the crop only. With a
  net that reaches PCK@0.20/torso 0.33 in annotated boxes on LSPET's validation pictures, of which
  people fill two fifths each way, one pass over whole pictures reached 0.10, the next ones in such
  boxes 0.16, 0.18 and 0.19.

  Args:
    names: N, each one's picture.
    keypoints: `[N, K, 2]`, image frame, predicted within `boxes`.
    scores: `[N, K]`.
    sizes: picture -> (h, w).
    boxes: `[N, 4]` xyxy; kept where the keypoints lie too close together for a box.
  """
  boxes = boxes.copy()
  least = np.sort(scores, axis=1)[:, -max(1, int(_SURE * scores.shape[1]))]
  for number, name in enumerate(names):
    sure = scores[number] >= least[number]
    box = box_geometry.box_from_keypoints(keypoints[number], sure)
    box = box_geometry.clip(box, sizes[name])
    if (box[2:] - box[:2]).min() > _SMALLEST:
      boxes[number] = box
  return boxes


def make(
  names: Sequence[str],
  keypoints: np.ndarray,
  scores: np.ndarray,
  sizes: dict[str, tuple[int, int]],
  boxes: np.ndarray | None,
  min_score: float,
  min_keypoints: int,
) -> PseudoLabels:
  """Return the annotations of the people who have enough confident keypoints.

  Confident keypoints become visible ones (2): a net does not say what is hidden. The others are not
  labelled.

  Args:
    names: N, each one's picture.
    keypoints: `[N, K, 2]`, image frame.
    scores: `[N, K]`.
    sizes: picture -> (h, w).
    boxes: `[N, 4]` xyxy, the boxes that people were predicted in, or None for the extent of their
      confident keypoints.
    min_score: the lowest score of a keypoint to keep.
    min_keypoints: the fewest of a person to keep.
  """
  image_hw = np.array([sizes[name] for name in names], np.float32)
  kept = confident(keypoints, scores, image_hw, min_score)
  images, annotations, left_out = {}, [], Counter()
  for number, name in enumerate(names):
    if kept[number].sum() < min_keypoints:
      left_out[f'people with fewer than {min_keypoints} confident keypoints'] += 1
      continue
    visibility = np.where(kept[number], 2, 0)
    box = box_geometry.box_from_keypoints(keypoints[number], visibility)
    if boxes is not None:
      box = box_geometry.clip(boxes[number], sizes[name])
    if not (box[2:] - box[:2]).min() > 0:
      left_out['people with an empty box'] += 1
      continue
    h, w = sizes[name]
    image = {'id': len(images) + 1, 'file_name': name, 'height': h, 'width': w}
    image = images.setdefault(name, image)
    person = {'keypoints': keypoints[number], 'visibility': visibility, 'box': box}
    entry = coco_write.annotation(len(annotations) + 1, image['id'], person)
    entry['score'] = round(float(scores[number, kept[number]].mean()), 4)
    entry['keypoint_scores'] = [round(float(score), 4) for score in scores[number]]
    annotations.append(entry)
  labelled = sum(entry['num_keypoints'] for entry in annotations)
  return PseudoLabels(list(images.values()), annotations, dict(left_out), labelled)
