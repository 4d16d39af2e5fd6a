"""What people are shown of a detector: true boxes and found ones side by side."""

import numpy as np

from posejax import draw
from posejax.labels import LabelSpace
from posejax.types import Batch, Predictions

_DRAWN = 8
_SHOWN = 0.3  # score of the boxes that are drawn
_IGNORED = (150, 150, 150)
_COLORS = (
  (255, 230, 0), (0, 220, 255), (255, 90, 200), (120, 255, 80), (255, 150, 50), (150, 140, 255),
)  # fmt: skip


def panels(batch: Batch, predictions: Predictions, *, labels: LabelSpace) -> dict[str, np.ndarray]:
  """Return a sheet of rows `true boxes | found boxes`, two pictures in each.

  Args:
    batch: numpy; padding is left out. Ignored boxes are grey.
    predictions: numpy, or an empty dict to draw only the true boxes (a first batch).
    labels: of the data.
  """
  rows = []
  count = min(_DRAWN, int(batch['mask'].sum()))
  factor = max(1, round(240 / batch['images'].shape[1]))
  for i in range(count):
    if i % 2 == 0:
      rows.append([])
    row = rows[-1]
    image, _ = draw.enlarge(batch['images'][i], None, factor)
    there = batch['box_mask'][i] | batch['box_ignore'][i]
    row += [
      _drawn(image, batch['boxes'][i][there] * factor, batch['labels'][i][there], labels,
        ignored=batch['box_ignore'][i][there]),
    ]  # fmt: skip
    if predictions:
      scores = predictions['scores'][i]
      shown = scores >= _SHOWN
      found = predictions['boxes'][i][shown] * factor, predictions['labels'][i][shown]
      row.append(_drawn(image, *found, labels, scores=scores[shown]))
  titles = ['true', 'found'] if predictions else ['true']
  return {'panels': draw.contact_sheet(rows, titles * 2)}


def _drawn(image, boxes, numbers, labels: LabelSpace, ignored=None, scores=None) -> np.ndarray:
  """Return a picture with boxes by their edges, which OpenCV draws through pixel centres."""
  for i in range(len(boxes))[::-1]:
    color = _COLORS[int(numbers[i]) % len(_COLORS)]
    if ignored is not None and ignored[i]:
      color = _IGNORED
    tag = labels.class_names[int(numbers[i])] + ('' if scores is None else f' {scores[i]:.2f}')
    image = draw.draw_box(image, boxes[i] - np.array([0, 0, 1, 1]), color, tag)
  return image
