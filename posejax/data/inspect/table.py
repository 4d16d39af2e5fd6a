"""The labels of a whole data set as arrays, to count and to check."""

from collections.abc import Callable, Iterable
import dataclasses
from typing import Any

import numpy as np

from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton


@dataclasses.dataclass(frozen=True)
class Table:
  """Everybody of a source, in its order. See `posejax.types` for frames and visibility.

  Attributes:
    skeleton: of the keypoints.
    keypoints: float32 `[N, K, 2]`, image frame.
    visibility: int32 `[N, K]`.
    boxes: float32 `[N, 4]`, image frame.
    names: N dicts of what tells people apart: `index`, and `image_name`, `image_id`, `annotation_id`
      where the source has them.
  """

  skeleton: Skeleton
  keypoints: np.ndarray
  visibility: np.ndarray
  boxes: np.ndarray
  names: list[dict[str, Any]]

  def __len__(self) -> int:
    return len(self.names)

  @property
  def labelled(self) -> np.ndarray:
    """bool `[N, K]`."""
    return self.visibility > 0

  @property
  def sizes(self) -> np.ndarray:
    """float32 `[N]`: the longer side of each box in pixels, at least 1."""
    return np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).max(axis=1), 1)

  def by_picture(self) -> list[list[int]]:
    """Return the numbers of the people on each picture; each on its own where pictures have no name.

    A source lists a picture's people one after the other. Names need not be unique beyond that: two
    recordings of Panoptic have frames of one name.
    """
    groups, before = [], None
    for number, name in enumerate(self.names):
      key = (name.get('image_id'), name.get('image_name'))
      if key == (None, None) or key != before:
        groups.append([])
      groups[-1].append(number)
      before = key
    return groups


_NAMES = ('image_name', 'image_id', 'annotation_id')


def read(source, progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> Table:
  """Return the labels of a source; pictures are not read.

  Args:
    source: see `posejax.data.sources`.
    progress: wraps the range of examples, to show how far it is.

  Raises:
    PosejaxError: its examples are not people with keypoints, or there are none.
  """
  keypoints, visibility, boxes, names = [], [], [], []
  for index in progress(range(len(source))):
    example = source.labels(index)
    if not {'keypoints', 'visibility', 'box'} <= example.keys():
      raise PosejaxError(
        f'{source.name!r} has no people with keypoints (an example has {sorted(example)}); this is '
        'for data sets of poses.'
      )
    keypoints.append(example['keypoints'])
    visibility.append(example['visibility'])
    boxes.append(example['box'])
    names.append({'index': index, **{key: example[key] for key in _NAMES if key in example}})
  if not names:
    raise PosejaxError(f'{source.name!r} has no examples.')
  return Table(
    source.label_space.skeleton,
    np.stack(keypoints).astype(np.float32),
    np.stack(visibility).astype(np.int32),
    np.stack(boxes).astype(np.float32),
    names,
  )
