"""What a source that stands on another one passes on."""

import dataclasses
from typing import Any

import numpy as np

from posejax import labels as label_spaces
from posejax.labels import LabelSpace


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
  def label_space(self) -> LabelSpace:
    """The underlying source's classes and skeleton."""
    return self.source.label_space

  @property
  def fingerprint(self) -> str:
    """The underlying source's fingerprint."""
    return self.source.fingerprint

  @property
  def left_out(self) -> dict[str, int]:
    """Reason -> how many of the data set are not in it, where the underlying source says."""
    return getattr(self.source, 'left_out', {})

  @property
  def max_boxes(self) -> int | None:
    """The most boxes on a picture, none of them empty, where the underlying source says so."""
    return getattr(self.source, 'max_boxes', None)

  @property
  def annotations(self) -> str | None:
    """The underlying source's file, where it has one."""
    return getattr(self.source, 'annotations', None)

  @property
  def keypoint_classes(self) -> tuple[str, ...]:
    """Names of the classes whose things have keypoints: all, unless the underlying source says."""
    return label_spaces.keypoint_classes(self.source)

  @property
  def category_ids(self) -> tuple[Any, ...]:
    """Those of the annotations that count."""
    return self.source.category_ids

  @property
  def image_ids(self) -> tuple[Any, ...]:
    """Pictures that there are, those without people included."""
    return self.source.image_ids

  def read_image(self, image_id: Any) -> bytes | np.ndarray:
    """Return the picture of one of the underlying source's `image_ids`."""
    return self.source.read_image(image_id)

  def __len__(self) -> int:
    return len(self.source)

  def labels(self, index: int) -> dict[str, Any]:
    """Return entry `index` without its picture."""
    return self.source.labels(index)
