"""Keep a source's pictures in memory, decoded, once they were asked for."""

import dataclasses
import functools
from typing import Any

import numpy as np

from posejax.data.formats import decode
from posejax.data.sources import people
from posejax.data.sources.over import OverSource
from posejax.types import Picture


@dataclasses.dataclass(frozen=True)
class Cached(OverSource):
  """A source of pictures that are read (or drawn) and decoded once, however many people are on them.

  For data sets that fit: a picture of 160x128 takes 60 kB. Two threads asking for the same picture
  at once may both make it; they make the same.
  """

  _pictures: dict[int, Picture] = dataclasses.field(default_factory=dict, compare=False, repr=False)

  def __getitem__(self, index: int) -> Picture:
    if index not in self._pictures:
      picture = self.source[index]
      image = decode.decode_image(picture['image'], source=picture.get('image_name', 'image'))
      self._pictures[index] = {**picture, 'image': image}
    return self._pictures[index]

  def __getstate__(self) -> dict[str, Any]:
    """Leave the pictures behind: each process keeps its own."""
    return {**self.__dict__, '_pictures': {}}

  def people(self) -> tuple[np.ndarray, dict[str, int]]:
    """Return the underlying source's; see `posejax.data.sources.people.find`."""
    return people.find(self.source)

  def read_image(self, image_id: Any) -> np.ndarray:
    """Return the decoded picture of one of `image_ids`."""
    return self[self._numbers[image_id]]['image']

  @functools.cached_property
  def _numbers(self) -> dict[Any, int]:
    return {image_id: number for number, image_id in enumerate(self.image_ids)}
