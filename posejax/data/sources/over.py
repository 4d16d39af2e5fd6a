"""What a source that stands on another one passes on."""

import dataclasses
from typing import Any

from posejax.skeletons import Skeleton


@dataclasses.dataclass(frozen=True)
class OverSource:
  """A source over another one: what a subclass does not change is the underlying source's.

  Attributes:
    source: a `posejax.data.sources.Source`.
  """

  source: Any

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
    """The underlying source's fingerprint."""
    return self.source.fingerprint

  @property
  def annotations(self) -> str | None:
    """The underlying source's file, where it has one."""
    return getattr(self.source, 'annotations', None)

  @property
  def category_ids(self) -> tuple[Any, ...]:
    """Those of the annotations that count."""
    return self.source.category_ids

  @property
  def image_ids(self) -> tuple[Any, ...]:
    """Pictures that there are, those without people included."""
    return self.source.image_ids

  def read_image(self, image_id: Any) -> bytes:
    """Return the encoded picture of one of the underlying source's `image_ids`."""
    return self.source.read_image(image_id)

  def __len__(self) -> int:
    return len(self.source)

  def labels(self, index: int) -> dict[str, Any]:
    """Return example `index` without its picture."""
    return self.source.labels(index)
