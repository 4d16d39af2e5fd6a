"""Pictures of a classifier's work: labelled tiles and the confusion matrix."""

from collections.abc import Sequence

import cv2
import numpy as np

from posejax import draw
from posejax.types import Array, Batch, Predictions

_COLUMNS, _ROWS = 10, 6
_RIGHT, _WRONG = (120, 230, 120), (255, 110, 90)
_CELL = 44
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def panels(
  batch: Batch, predictions: Predictions, *, class_names: Sequence[str]
) -> dict[str, np.ndarray]:
  """Return a sheet of pictures, each over its true class, the predicted one and the latter's score.

  Args:
    batch: numpy; padding is left out.
    predictions: numpy, or an empty dict to draw only the true classes (a first batch).
    class_names: by label.
  """
  count = min(_COLUMNS * _ROWS, int(batch['mask'].sum()))
  factor = max(1, round(80 / batch['images'].shape[1]))
  tiles = []
  for i in range(count):
    image, _ = draw.enlarge(batch['images'][i], None, factor)
    true = int(batch['labels'][i])
    text, color = class_names[true], (255, 255, 255)
    if predictions:
      found = int(predictions['labels'][i])
      score = float(predictions['scores'][i][found])
      text = f'{class_names[true]}: {class_names[found]} ({score:.2f})'
      color = _RIGHT if found == true else _WRONG
    tiles.append(_captioned(image, text, color))
  rows = [tiles[i : i + _COLUMNS] for i in range(0, count, _COLUMNS)]
  return {'panels': draw.contact_sheet(rows)}


def _captioned(image: np.ndarray, text: str, color: tuple[int, int, int]) -> np.ndarray:
  strip = np.full((18, image.shape[1], 3), 40, np.uint8)
  return np.concatenate([image, draw.write(strip, text, (3, 13), color)])


def confusion_matrix(confusion: Array, class_names: Sequence[str]) -> np.ndarray:
  """Return a picture of counts `[C, C]`, rows true and columns predicted, recall at the right.

  A cell is as bright as its share of its row.
  """
  confusion = np.asarray(confusion, np.float64)
  C = len(class_names)
  counts = confusion.sum(1)
  share = confusion / np.maximum(counts, 1)[:, None]
  left, top = 70, 50
  image = np.full((top + C * _CELL + 12, left + (C + 2) * _CELL, 3), 40, np.uint8)
  level = np.uint8(np.rint(255 * np.sqrt(share)))
  colors = cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)[..., ::-1]
  cells = np.repeat(np.repeat(colors, _CELL, 0), _CELL, 1)
  image[top : top + C * _CELL, left : left + C * _CELL] = cells
  image = draw.write(image, 'predicted', (left, 16))
  image = draw.write(image, 'true', (8, top - 8))
  image = draw.write(image, 'recall', (left + C * _CELL + 14, top - 8))
  for k, name in enumerate(class_names):
    image = _centred(image, name, left + (k + 0.5) * _CELL, top - 14)
    image = _centred(image, name, left - 22, top + (k + 0.5) * _CELL)
    recall = f'{share[k, k]:.3f}' if counts[k] else '-'
    image = _centred(image, recall, left + (C + 0.8) * _CELL, top + (k + 0.5) * _CELL)
    for j in range(C):
      if confusion[k, j]:
        x, y = left + (j + 0.5) * _CELL, top + (k + 0.5) * _CELL
        image = _centred(image, f'{confusion[k, j]:.0f}', x, y)
  return image


def _centred(image: np.ndarray, text: str, x: float, y: float) -> np.ndarray:
  (width, height), _ = cv2.getTextSize(text, _FONT, 0.4, 1)
  return draw.write(image, text, (round(x - width / 2), round(y + height / 2)))
