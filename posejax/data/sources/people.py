"""One person a crop: the people of a source of pictures as examples."""

from collections import Counter
import dataclasses
import logging
from typing import Any

import numpy as np

from posejax.data.sources.over import OverSource
from posejax.errors import PosejaxError
from posejax.types import OF_ONE, Example, Picture

_LOG = logging.getLogger(__name__)
_OF_THE_PICTURE = ('image', 'image_name', 'image_id')
_OF_ALL_CLASSES = ('labels', 'crowd')  # of no use to people one by one


def left_out(instances: Picture) -> dict[str, np.ndarray]:
  """Return bool `[N]` by reason: which instances are no examples, each for one reason at most."""
  sides = instances['boxes'][:, 2:] - instances['boxes'][:, :2]
  empty = ~((sides.min(axis=1) >= 0) & (sides.max(axis=1) > 0))
  if 'areas' in instances:
    empty |= ~(instances['areas'] > 0)
  labelled = (instances['visibility'] > 0).any(axis=1)
  crowd = instances['crowd']
  return {
    'crowd regions': crowd,
    'annotations without labelled keypoints': ~crowd & ~labelled,
    'annotations with an empty box': ~crowd & labelled & empty,
  }


def find(source) -> tuple[np.ndarray, dict[str, int]]:
  """Return whom one-person-a-crop learning takes of a source's pictures.

  Those are the instances with labelled keypoints that are no crowds and whose box is not empty. Labels
  of all pictures are looked at, unless the source has a method `people` that says the same at once.

  Returns:
    `(int [P, 2]: the picture's number and the person's place on it, in order; how many are left out
    by reason)`.
  """
  if hasattr(source, 'people'):
    return source.people()
  places, counts = [], Counter()
  for picture in range(len(source)):
    reasons = left_out(source.labels(picture))
    taken = np.flatnonzero(~np.any(list(reasons.values()), axis=0))
    places += [(picture, place) for place in taken.tolist()]
    counts.update({reason: int(those.sum()) for reason, those in reasons.items()})
  return np.reshape(np.array(places, np.int64), (-1, 2)), dict(counts)


@dataclasses.dataclass(frozen=True)
class People(OverSource):
  """The people of a source of pictures, an Example each (`posejax.types`), picture by picture.

  Attributes:
    source: of pictures, with keypoints.

  Raises:
    PosejaxError: the source has no keypoints, or nobody with labelled ones.
  """

  _places: np.ndarray = dataclasses.field(init=False, compare=False, repr=False)
  _counts: dict[str, int] = dataclasses.field(init=False, compare=False, repr=False)

  def __post_init__(self):
    if self.label_space.skeleton is None:
      raise PosejaxError(
        f'{self.annotations or f"config.data.name={self.name!r}"} has no keypoints (a COCO-format file '
        'names them in a category), so there are no people with keypoints to learn or to count. For '
        "boxes set config.task.name='detection' (configs/detect_rtmdet.py), for labelled pictures "
        "'classification'."
      )
    places, counts = find(self.source)
    counts = {reason: number for reason, number in counts.items() if number}
    object.__setattr__(self, '_places', places)
    object.__setattr__(self, '_counts', counts)
    if not len(places):
      raise PosejaxError(
        f'{self.annotations or self.name}: nobody with labelled keypoints is left'
        + (f' (left out: {self.left_out}).' if self.left_out else '.')
      )
    if counts:
      counted = ', '.join(f'{number} {reason}' for reason, number in sorted(counts.items()))
      _LOG.warning('%s: left out of its people: %s.', self.annotations or self.name, counted)

  @property
  def left_out(self) -> dict[str, int]:
    """Reason -> how many, of pictures and of people; see `find`."""
    return {**super().left_out, **self._counts}

  @property
  def category_ids(self) -> tuple[Any, ...]:
    """Those of the source's that have keypoints."""
    pairs = zip(self.source.category_ids, self.source.label_space.class_names, strict=True)
    return tuple(number for number, name in pairs if name in self.keypoint_classes)

  def __len__(self) -> int:
    return len(self._places)

  def __getitem__(self, index: int) -> Example:
    picture, place = self._place(index)
    return person(self.source[picture], place)

  def labels(self, index: int) -> Example:
    """Return example `index` without its picture."""
    picture, place = self._place(index)
    return person(self.source.labels(picture), place)

  def _place(self, index: int) -> list[int]:
    if not 0 <= index < len(self):
      raise IndexError(f'{self.fingerprint} has {len(self)} examples, asked for {index}.')
    return self._places[index].tolist()


def person(picture: Picture, place: int) -> Example:
  """Return the instance at a place of a picture as an example."""
  example = {key: picture[key] for key in _OF_THE_PICTURE if key in picture}
  for key, name in OF_ONE.items():
    if key in picture and key not in _OF_ALL_CLASSES:
      example[name] = _plain(picture[key][place])
  return example


def _plain(value: Any) -> Any:
  return value.item() if isinstance(value, np.generic) else value
