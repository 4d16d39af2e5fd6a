"""Keep a source's examples in memory, decoded, once they were asked for."""

import dataclasses
from typing import Any

from posejax.data import decode
from posejax.skeletons import Skeleton
from posejax.types import Example


@dataclasses.dataclass(frozen=True)
class Cached:
  """A source whose pictures are read (or drawn) and decoded once.

  For data sets that fit: a picture of 160x128 takes 60 kB. Two threads asking for the same example
  at once may both make it; they make the same.
  """

  source: Any
  _examples: dict[int, Example] = dataclasses.field(default_factory=dict, compare=False, repr=False)

  @property
  def name(self) -> str:
    """The underlying source's name."""
    return self.source.name

  @property
  def skeleton(self) -> Skeleton | None:
    """The underlying source's skeleton."""
    return self.source.skeleton

  @property
  def class_names(self) -> tuple[str, ...]:
    """The underlying source's classes, where it has labels."""
    return self.source.class_names

  @property
  def fingerprint(self) -> str:
    """The underlying source's fingerprint: the data are the same."""
    return self.source.fingerprint

  @property
  def annotations(self) -> str | None:
    """The underlying source's file, where it has one."""
    return getattr(self.source, 'annotations', None)

  @property
  def category_ids(self) -> tuple[Any, ...]:
    """The underlying source's."""
    return self.source.category_ids

  @property
  def image_ids(self) -> tuple[Any, ...]:
    """The underlying source's."""
    return self.source.image_ids

  def read_image(self, image_id: Any) -> bytes:
    """Return the encoded picture of one of `image_ids`."""
    return self.source.read_image(image_id)

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> Example:
    if index not in self._examples:
      example = self.source[index]
      image = decode.decode_image(example['image'], source=example.get('image_name', 'image'))
      self._examples[index] = {**example, 'image': image}
    return self._examples[index]

  def labels(self, index: int) -> Example:
    """Return example `index` without its picture."""
    return self.source.labels(index)
