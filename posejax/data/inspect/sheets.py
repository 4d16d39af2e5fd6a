"""Contact sheets of a data set: people as they were annotated, and batches as they are trained on."""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from posejax import draw
from posejax.data.formats import decode
from posejax.skeletons import Skeleton
from posejax.types import Batch, Example

_TILE = 256
_CAPTION = 17
_COLUMNS = 4
_PER_PANEL = 8
_SURROUNDINGS = 2.0
_CHARACTERS = 36  # of a caption


def person_tile(
  example: Example, skeleton: Skeleton, caption: str, size: int = _TILE
) -> np.ndarray:
  """Draw one person with its box and the picture around it.

  Args:
    example: see `posejax.types`; labelled keypoints outside the box are within the tile too.
    skeleton: of the example.
    caption: written below.
    size: longer side of the picture's part, in pixels of the tile.

  Returns:
    uint8 `[size + 17, size, 3]`.
  """
  image = decode.decode_image(example['image'], source=example.get('image_name', 'image'))
  keypoints, visibility = np.asarray(example['keypoints'], np.float64), example['visibility']
  box = np.asarray(example['box'], np.float64)
  x1, y1, x2, y2 = _window(box, keypoints[visibility > 0], image.shape[:2])
  cut = image[y1:y2, x1:x2]
  h, w = cut.shape[:2]
  factor = size / max(h, w)
  h, w = max(1, round(h * factor)), max(1, round(w * factor))
  shrinks = factor < 1
  cut = cv2.resize(cut, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
  # Pixel centres are at integers: half a pixel more is where an enlarged picture measures from.
  scale = np.array([w / (x2 - x1), h / (y2 - y1)])

  def placed(points):
    return (points - (x1, y1) + 0.5) * scale - 0.5

  cut = draw.draw_box(cut, placed(box.reshape(2, 2)).ravel())
  cut = draw.draw_skeleton(cut, placed(keypoints), skeleton, visibility > 0, visibility == 1)
  tile = np.full((size + _CAPTION, size, 3), 40, np.uint8)
  tile[(size - h) // 2 :, (size - w) // 2 :][:h, :w] = cut
  return draw.write(tile, caption[:_CHARACTERS], (3, size + 12))


def _window(box: np.ndarray, points: np.ndarray, image_hw: tuple[int, int]) -> tuple[int, ...]:
  """Return `(x1, y1, x2, y2)`, the last two exclusive: the part of the picture to show."""
  h, w = image_hw
  center, half = (box[:2] + box[2:]) / 2, _SURROUNDINGS * (box[2:] - box[:2]) / 2
  half = np.maximum(half, half.max() / 2)
  margin = half.max() / 8  # so that a keypoint far outside its box is drawn whole
  corners = np.concatenate([[center - half, center + half], points - margin, points + margin])
  low = np.clip(np.floor(corners.min(axis=0)), 0, (w - 2, h - 2)).astype(int)
  high = np.clip(np.ceil(corners.max(axis=0)) + 1, low + 2, (w, h)).astype(int)
  return *low.tolist(), *high.tolist()


def describe(example: Example, index: int) -> str:
  """Return which example this is: its number, its annotation's id and its picture's name."""
  parts = [f'#{index}']
  if example.get('annotation_id') is not None:
    parts.append(f'id {example["annotation_id"]}')
  parts.append(str(example.get('image_name', ''))[-20:])
  return ' '.join(filter(None, parts))


def originals(
  source, indices: Iterable[int], captions: Sequence[str] | None = None, columns: int = _COLUMNS
) -> np.ndarray:
  """Return a sheet of people as they were annotated, with a legend.

  Args:
    source: of people; see `posejax.data.sources`.
    indices: examples of it.
    captions: one for each; what `describe` says where None.
    columns: tiles in a row.
  """
  tiles = []
  for place, index in enumerate(indices):
    example = source[index]
    caption = describe(example, index) if captions is None else captions[place]
    tiles.append(person_tile(example, source.label_space.skeleton, caption))
  rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
  return draw.contact_sheet([[draw.legend()], [draw.contact_sheet(rows)]], gap=0)


def panels(
  rows: Sequence[Batch], draw_fn: Callable[[Batch, dict], dict[str, np.ndarray]]
) -> np.ndarray:
  """Return a sheet of examples with their targets, as a task draws them, with a legend.

  Args:
    rows: batches of one example each.
    draw_fn: a task's `draw`, which draws up to eight examples at a time.
  """
  parts = []
  for start in range(0, len(rows), _PER_PANEL):
    some = rows[start : start + _PER_PANEL]
    batch = {key: np.concatenate([row[key] for row in some]) for key in some[0]}
    parts.append([draw_fn(batch, {})['panels']])
  return draw.contact_sheet([[draw.legend()], *parts], gap=0)
