"""What people are shown of a detector: what is true and what it found side by side."""

import numpy as np

from posejax import draw
from posejax.labels import LabelSpace
from posejax.types import Batch, Predictions

_DRAWN = 8
_SHOWN = 0.3  # score of the boxes that are drawn
_SURE = 0.2  # of the keypoints
_IGNORED = (150, 150, 150)


def panels(batch: Batch, predictions: Predictions, *, labels: LabelSpace) -> dict[str, np.ndarray]:
  """Return a sheet of rows `true | found`, boxes and what keypoints there are, two pictures in each.

  Args:
    batch: numpy; padding is left out. Ignored boxes are grey.
    predictions: numpy, or an empty dict to draw only what is true (a first batch).
    labels: of the data.
  """
  true = {'boxes': batch['boxes'], 'labels': batch['labels'], 'ignored': batch['box_ignore']}
  if 'keypoints' in batch:
    true |= {'keypoints': batch['keypoints'], 'seen': batch['visibility'] > 0}
  sides = [(batch['box_mask'] | batch['box_ignore'], true)]
  if predictions:
    found = {name: predictions[name] for name in ('boxes', 'labels', 'scores')}
    if 'keypoints_crop' in predictions:
      sure = predictions['keypoint_scores'] >= _SURE
      found |= {'keypoints': predictions['keypoints_crop'], 'seen': sure}
    sides.append((predictions['scores'] >= _SHOWN, found))
  factor = max(1, round(240 / batch['images'].shape[1]))
  rows = []
  for i in range(min(_DRAWN, int(batch['mask'].sum()))):
    if i % 2 == 0:
      rows.append([])
    for there, things in sides:
      shown = {name: values[i][there[i]] for name, values in things.items()}
      rows[-1].append(_drawn(batch['images'][i], factor, labels, shown))
  titles = ['true', 'found'][: len(sides)]
  return {'panels': draw.contact_sheet(rows, titles * 2)}


def _drawn(image, factor, labels: LabelSpace, things: dict[str, np.ndarray]) -> np.ndarray:
  """Return an enlarged picture with things; boxes are by edges, and drawn through pixel centres."""
  picture, points = draw.enlarge(image, things.get('keypoints'), factor)
  for i in range(len(things['boxes']))[::-1]:
    number = int(things['labels'][i])
    color, tag = draw.color_of(number), labels.class_names[number]
    if 'scores' in things:
      tag += f' {things["scores"][i]:.2f}'
    elif things['ignored'][i]:
      color = _IGNORED
    if points is not None:
      picture = draw.draw_skeleton(picture, points[i], labels.skeleton, things['seen'][i])
    picture = draw.draw_box(picture, things['boxes'][i] * factor - (0, 0, 1, 1), color, tag)
  return picture
