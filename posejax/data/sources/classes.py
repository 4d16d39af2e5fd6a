"""Some of a source's classes: the things of the others are left out."""

import dataclasses
import functools
from typing import Any

import numpy as np

from posejax.data.sources.over import OverSource
from posejax.errors import PosejaxError, nearest
from posejax.labels import LabelSpace
from posejax.types import OF_ONE, Picture


def instances(picture: Picture, kept: np.ndarray) -> Picture:
  """Return a picture with those of its things that bool `kept` `[N]` names."""
  return {**picture, **{key: picture[key][kept] for key in OF_ONE if key in picture}}


@dataclasses.dataclass(frozen=True)
class OnlyClasses(OverSource):
  """A source of pictures with the things of some classes only; pictures without any stay.

  Attributes:
    source: of pictures.
    names: of the classes, in the order of the labels.

  Raises:
    PosejaxError: the source does not have a class.
  """

  names: tuple[str, ...]

  def __post_init__(self):
    known = self.source.label_space.class_names
    for name in self.names:
      if name not in known:
        raise PosejaxError(
          f'config.data.classes names {name!r}, and {self.name!r} has {", ".join(known)}.'
          + nearest(name, known)
        )

  @property
  def label_space(self) -> LabelSpace:
    """The classes taken, and the underlying source's skeleton."""
    of = self.source.label_space
    ids = tuple(of.category_ids[number] for number in self._numbers)
    return LabelSpace(self.names, of.skeleton, ids)

  @property
  def fingerprint(self) -> str:
    """The underlying source's fingerprint and the classes."""
    return f'{self.source.fingerprint}[{",".join(self.names)}]'

  @property
  def category_ids(self) -> tuple[Any, ...]:
    """Those of the classes taken."""
    return tuple(self.source.category_ids[number] for number in self._numbers)

  def __getitem__(self, index: int) -> Picture:
    return self._only(self.source[index])

  def labels(self, index: int) -> Picture:
    """Return picture `index` without its image."""
    return self._only(self.source.labels(index))

  @functools.cached_property
  def _numbers(self) -> list[int]:
    return [self.source.label_space.class_names.index(name) for name in self.names]

  def _only(self, picture: Picture) -> Picture:
    new = np.full(len(self.source.label_space.class_names), -1, np.int32)
    new[self._numbers] = np.arange(len(self.names))
    labels = new[picture['labels']]
    return {**instances(picture, labels >= 0), 'labels': labels[labels >= 0]}
