"""What a net can name: classes, and the keypoints of their figures where it finds them."""

import dataclasses
from typing import Any

from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton


@dataclasses.dataclass(frozen=True)
class LabelSpace:
  """The names behind a net's numbers; kept in every checkpoint.

  Attributes:
    class_names: by label, unique: `('person',)` for people, ten digits for house numbers.
    skeleton: of the figures whose keypoints are found; None where pictures are only classified or
      things only boxed.
  """

  class_names: tuple[str, ...]
  skeleton: Skeleton | None = None

  def __post_init__(self):
    object.__setattr__(self, 'class_names', tuple(self.class_names))
    if not self.class_names or len(set(self.class_names)) != len(self.class_names):
      raise PosejaxError(f'Class names must be unique, and at least one: {self.class_names}.')

  @property
  def keypoints(self) -> tuple[str, ...]:
    """Names of the keypoints; empty without a skeleton."""
    return self.skeleton.keypoints if self.skeleton else ()

  def to_json(self) -> dict[str, Any]:
    """Return what `from_json` reads."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, values: dict[str, Any]) -> 'LabelSpace':
    """Return the label space that `to_json` wrote."""
    skeleton = values['skeleton']
    return cls(values['class_names'], skeleton and Skeleton(**skeleton))


def people(skeleton: Skeleton) -> LabelSpace:
  """Return the label space of people, or whatever else one skeleton is the figure of."""
  return LabelSpace(('person',), skeleton)
