"""Boxes from a file: a detector's results, or a COCO-format file of annotations."""

from collections import defaultdict
from collections.abc import Mapping
import dataclasses
import json
import logging
import math
import os
from typing import Any

import numpy as np

from posejax.data.formats import coco_read
from posejax.errors import PosejaxError
from posejax.infer import records

_LOG = logging.getLogger(__name__)
_FORM = (
  'a list of {"image_id", "bbox": [x, y, w, h], "score"}, as detectors write it, or a COCO-format file '
  'with "images" and "annotations"'
)


@dataclasses.dataclass(frozen=True)
class BoxFile:
  """Where to look on each picture.

  Attributes:
    path: of the file.
    boxes: image id -> list of (box xyxy, score).
    ids: path with `/`, and each end of it -> image id, where the file lists its pictures.
    upright: whether boxes lie on the picture as its EXIF orientation turns it, as those that
      `posejax predict` finds do, or on its pixels as they lie, as annotations of data sets do.
  """

  path: str
  boxes: Mapping[Any, list[tuple[np.ndarray, float]]]
  ids: Mapping[str, Any]
  upright: bool

  def __len__(self) -> int:
    return sum(map(len, self.boxes.values()))

  def image_id(self, name: str) -> Any:
    """Return what the file calls the picture in the file `name`.

    It lists the picture by that path or an end of it; or names it by one, with or without its ending, or
    by the number that its name is.
    """
    ends = _ends(name)
    for end in ends:
      if end in self.ids:
        return self.ids[end]
    usual = records.image_id(name)
    named = [end for end in ends + [os.path.splitext(end)[0] for end in ends] if end in self.boxes]
    return usual if usual in self.boxes or not named else named[0]

  def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes `[N, 4]` and scores `[N]` of a picture; none where the file has none."""
    found = self.boxes.get(self.image_id(name), [])
    boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    return boxes, np.array([score for _, score in found], float)

  def on(self, name: str, image_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return boxes and scores as `of`, those in the picture, and a sentence on the others."""
    boxes, scores = self.of(name)
    h, w = image_hw
    inside = (boxes[:, 2:] >= 0).all(1) & (boxes[:, :2] <= (w - 1, h - 1)).all(1)
    faults = []
    if not inside.all():
      (first, *rest) = boxes[~inside].tolist()
      more = f', as {len(rest)} more do' if rest else ''
      faults = [
        f'{name}: the box {first} lies outside the picture of {w}x{h} pixels{more} ({self.path}).'
      ]
    return boxes[inside], scores[inside], faults


def read(path: str, min_score: float = 0.0) -> BoxFile:
  """Read boxes of people.

  A detected box's right edge is `x + w`, an annotated one's `x + w - 1`, as where nets are trained and
  measured (`posejax.data.sources.detections` says why). Of a file with boxes of several categories
  people's are taken (`coco_read.person_ids`), and the log says how many others there are.

  Args:
    path: of the file.
    min_score: boxes below are left out.

  Raises:
    PosejaxError: it is missing or of another form, no box is left, or which are people's is not said.
  """
  try:
    with open(path, 'rb') as file:
      content = json.load(file)
  except OSError as error:
    raise PosejaxError(f'{path}: cannot be read: {error.strerror}.') from error
  except ValueError as error:
    raise PosejaxError(f'{path} is not JSON ({error}); expected {_FORM}.') from None
  ids, entries, categories = {}, content, []
  annotated = isinstance(content, dict)
  if annotated:
    categories = content.get('categories') or []
    images, entries = content.get('images'), content.get('annotations')
    if not isinstance(images, list):
      raise PosejaxError(f'{path}: expected {_FORM}.')
    ids = _by_ends({str(image.get('file_name')): image.get('id') for image in images})
  if not isinstance(entries, list):
    raise PosejaxError(f'{path}: expected {_FORM}.')
  boxes, others = defaultdict(list), 0
  people = coco_read.person_ids([e for e in entries if isinstance(e, dict)], categories, path)
  for place, entry in enumerate(entries):
    if isinstance(entry, dict) and entry.get('iscrowd'):
      continue
    if people and isinstance(entry, dict) and entry.get('category_id') not in people:
      others += 1
      continue
    image_id, box, score = _entry(entry, f'{path}: entry {place}')
    if score >= min_score and min(box[2:] - box[:2]) > 0:
      last = box[2:] - 1 if annotated else box[2:]
      boxes[image_id].append((np.append(box[:2], np.maximum(last, box[:2])), score))
  if not boxes:
    raise PosejaxError(
      f'{path}: none of its {len(entries)} boxes counts: empty, or scored below {min_score}.'
    )
  if others:
    _LOG.warning('%s: %d boxes of other categories than people are left out.', path, others)
  return BoxFile(path, dict(boxes), ids, upright=not annotated)


def _ends(name: str) -> list[str]:
  """Return a path and the ends of it, down to the file's name."""
  parts = os.path.normpath(name).replace(os.sep, '/').split('/')
  return ['/'.join(parts[start:]) for start in range(len(parts))]


def _by_ends(ids: dict[str, Any]) -> dict[str, Any]:
  """Return each end of a path -> its image id; what two pictures share stands for neither."""
  claims = defaultdict(set)
  for name, image_id in ids.items():
    for end in _ends(name):
      claims[end].add(image_id)
  return {end: image_ids.pop() for end, image_ids in claims.items() if len(image_ids) == 1}


def _entry(entry: Any, where: str) -> tuple[Any, np.ndarray, float]:
  try:
    image_id, score = entry['image_id'], float(entry.get('score', 1.0))
    x, y, w, h = (float(value) for value in entry['bbox'])
    hash(image_id)
  except (AttributeError, KeyError, TypeError, ValueError):
    raise PosejaxError(f'{where} is {entry!r:.200}; expected {_FORM}.') from None
  if not all(map(math.isfinite, (x, y, w, h, score))):
    raise PosejaxError(f'{where}: bbox and score must be finite numbers, got {entry!r:.200}.')
  return image_id, np.array([x, y, x + w, y + h], np.float32), score
