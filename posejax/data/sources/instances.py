"""Everybody on the pictures of a data set, in columns: what is kept of annotations once they are read."""

from collections.abc import Collection
import dataclasses

import numpy as np

from posejax.data.sources import people
from posejax.types import Picture


@dataclasses.dataclass(frozen=True)
class Instances:
  """M rows, one for each instance, those of a picture together and the pictures in order.

  Attributes:
    columns: arrays of a `posejax.types.Picture` by their keys, M rows each.
    starts: int64 `[number of pictures + 1]`: picture i has the rows from `starts[i]` on.
  """

  columns: Picture
  starts: np.ndarray

  @classmethod
  def of(cls, columns: Picture, pictures: np.ndarray, num_pictures: int) -> 'Instances':
    """Return the instances of columns; `pictures`, `[M]`, rises: the number of each row's picture."""
    return cls(columns, np.searchsorted(pictures, np.arange(num_pictures + 1)))

  def on(self, picture: int) -> Picture:
    """Return the arrays of one picture."""
    rows = slice(self.starts[picture], self.starts[picture + 1])
    return {key: column[rows] for key, column in self.columns.items()}

  def people(self, labels: Collection[int] | None = None) -> tuple[np.ndarray, dict[str, int]]:
    """Return what `posejax.data.sources.people.find` does, of all classes or of those of `labels`."""
    reasons = people.left_out(self.columns)
    asked = np.isin(self.columns['labels'], list(labels)) if labels is not None else True
    reasons = {reason: those & asked for reason, those in reasons.items()}
    rows = np.flatnonzero(~np.any(list(reasons.values()), axis=0) & asked)
    pictures = np.searchsorted(self.starts, rows, side='right') - 1
    places = np.stack([pictures, rows - self.starts[pictures]], axis=1)
    return places, {reason: int(those.sum()) for reason, those in reasons.items()}
