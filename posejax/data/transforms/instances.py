"""Everybody on a picture as a detector sees them: boxes by their edges, moved with the picture, padded.

Boxes here are xyxy of edges: pixel i reaches from i to i + 1, so that `x2 - x1` is a box's width. A
Picture's boxes lie on the outermost pixels (`posejax.types`), and keypoints everywhere have pixel centres
at integers.
"""

from collections import Counter
import dataclasses

import numpy as np

from posejax.skeletons import Skeleton
from posejax.types import Picture

_LEAST_SEEN = 0.1
"""Of a box's area; what is cut to less is neither to be found nor to be missed."""


@dataclasses.dataclass(frozen=True)
class AxisMap:
  """A map of edges along both axes: `scale * (x, y) + offset`; mirrored where a scale is negative."""

  scale: tuple[float, float]
  offset: tuple[float, float]

  def points(self, edges: np.ndarray) -> np.ndarray:
    """Move points `[..., 2]` given by edges."""
    return edges * np.array(self.scale) + np.array(self.offset)

  def centres(self, points: np.ndarray) -> np.ndarray:
    """Move points `[..., 2]` whose pixel centres are at integers."""
    return self.points(points + 0.5) - 0.5

  def boxes(self, edges: np.ndarray) -> np.ndarray:
    """Move boxes `[N, 4]`; corners stay in order."""
    low, high = self.points(edges[:, :2]), self.points(edges[:, 2:])
    return np.concatenate([np.minimum(low, high), np.maximum(low, high)], 1)

  def matrix(self) -> np.ndarray:
    """Return the affine map of points with pixel centres at integers, float64 `[2, 3]`."""
    (a, d), (x, y) = self.scale, self.offset
    return np.array([[a, 0, x + (a - 1) / 2], [0, d, y + (d - 1) / 2]])


@dataclasses.dataclass(frozen=True)
class Instances:
  """M of them, float64 where nothing else is said.

  Attributes:
    boxes: `[M, 4]`, by their edges.
    labels: int `[M]`.
    ignore: bool `[M]`: neither to be found nor to be missed, as a crowd is.
    keypoints: `[M, K, 2]`, or None where nobody asks for them.
    visibility: int `[M, K]`, or None.
  """

  boxes: np.ndarray
  labels: np.ndarray
  ignore: np.ndarray
  keypoints: np.ndarray | None = None
  visibility: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.boxes)

  def take(self, rows: np.ndarray) -> 'Instances':
    """Return those of some rows, numbers or a mask."""
    values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
    return Instances(**{k: None if v is None else v[rows] for k, v in values.items()})

  def moved(self, axis_map: AxisMap, window: np.ndarray, skeleton: Skeleton | None) -> 'Instances':
    """Return them on another picture, of which they are seen through a window.

    Args:
      axis_map: from this picture to that one.
      window: xyxy of edges there. Boxes are cut to it; those outside are not on the picture any more.
      skeleton: whose left and right change places where the map mirrors.
    """
    whole = axis_map.boxes(self.boxes)
    boxes = np.concatenate(
      [np.clip(whole[:, i : i + 2], window[:2], window[2:]) for i in (0, 2)], 1
    )
    seen = area(boxes) / np.maximum(area(whole), 1e-9)
    ignore = self.ignore | (seen < _LEAST_SEEN)
    keypoints, visibility = self.keypoints, self.visibility
    if keypoints is not None:
      if axis_map.scale[0] < 0:
        keypoints = keypoints[:, skeleton.flip_permutation]
        visibility = visibility[:, skeleton.flip_permutation]
      keypoints = axis_map.centres(keypoints)
      inside = ((keypoints >= window[:2] - 0.5) & (keypoints <= window[2:] - 0.5)).all(-1)
      visibility = np.where(inside, visibility, 0)
    moved = Instances(boxes, self.labels, ignore, keypoints, visibility)
    return moved.take(area(boxes) > 0)

  def padded(self, number: int) -> dict[str, np.ndarray]:
    """Return the arrays of a batch (`posejax.types`), for the `number` with the largest boxes."""
    kept = self
    if len(self) > number:
      largest = np.argsort(-area(self.boxes), kind='stable')[:number]
      kept = self.take(np.sort(largest))
    there = np.arange(number) < len(kept)
    arrays = {
      'boxes': _fill(kept.boxes.astype(np.float32), number),
      'labels': _fill(kept.labels.astype(np.int32), number),
      'box_mask': there & ~_fill(kept.ignore, number),
      'box_ignore': _fill(kept.ignore, number),
    }
    if kept.keypoints is not None:
      arrays['keypoints'] = _fill(kept.keypoints.astype(np.float32), number)
      arrays['visibility'] = _fill(kept.visibility.astype(np.int32), number)
    return arrays


def area(boxes: np.ndarray) -> np.ndarray:
  """Return `[M]` areas of boxes by their edges; 0 where they have none."""
  return np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1)


def read(picture: Picture, image_hw: tuple[int, int], *, keypoints: bool) -> Instances:
  """Return a picture's instances, without those whose box is empty or outside.

  Args:
    picture: may lack everything but its image, if nothing is on it.
    image_hw: (h, w) of the picture; boxes are cut to it.
    keypoints: whether those are asked for.
  """
  boxes = np.asarray(picture.get('boxes', np.zeros((0, 4))), np.float64)
  labels = np.asarray(picture.get('labels', np.zeros(len(boxes))), np.int32)
  crowd = np.asarray(picture.get('crowd', np.zeros(len(boxes))), bool)
  edges = boxes + np.array([0, 0, 1, 1])
  edges = np.clip(edges, 0, np.array([*image_hw[::-1]] * 2))
  points = visibility = None
  if keypoints:
    points, visibility = np.asarray(picture['keypoints'], float), np.asarray(picture['visibility'])
  return Instances(edges, labels, crowd, points, visibility).take(
    ~empty(picture, boxes) & (area(edges) > 0)
  )


def empty(picture: Picture, boxes: np.ndarray) -> np.ndarray:
  """Return bool `[M]`: whose box has no area, or was outside its picture when it was read."""
  wrong = (boxes[:, 2:] < boxes[:, :2]).any(1)
  if 'areas' in picture:
    wrong |= ~(np.asarray(picture['areas']) > 0)
  return wrong


def survey(source, number: int) -> dict[str, int]:
  """Return what of a source's boxes a detector does not learn from, by reason; looks at all labels.

  Args:
    source: of pictures. One that says `max_boxes`, the most on a picture, has no empty ones.
    number: of instances that a batch holds for each picture.
  """
  most = getattr(source, 'max_boxes', None)
  if most is not None and most <= number:
    return {}
  counts = Counter()
  for i in range(len(source)):
    picture = source.labels(i)
    boxes = np.asarray(picture.get('boxes', np.zeros((0, 4))))
    wrong = int(empty(picture, boxes).sum())
    counts['boxes without area or outside their picture'] += wrong
    counts[f'boxes beyond the {number} largest of a picture'] += max(len(boxes) - wrong - number, 0)
  return {reason: count for reason, count in counts.items() if count}


def _fill(array: np.ndarray, number: int) -> np.ndarray:
  padding = [(0, number - len(array))] + [(0, 0)] * (array.ndim - 1)
  return np.pad(array, padding)
