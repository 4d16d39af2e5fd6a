"""A net opened to be used, whatever kept it: its config, what it learned, what its numbers stand for."""

import dataclasses
from typing import Any, NamedTuple

from posejax.config import Config
from posejax.labels import LabelSpace
from posejax.types import Variables


class SavedNet(NamedTuple):
  """A net without the run that trained it.

  Attributes:
    name: for people.
    config: of the net; what else a config says is the default.
    variables: NumPy, float32.
    labels: what its outputs stand for.
    threshold: score from which on a keypoint counts as seen; None where nothing was said.
    min_score: of a net that finds everything on a picture by itself: what scores less is nothing; None
      likewise.
  """

  name: str
  config: Config
  variables: Variables
  labels: LabelSpace
  threshold: float | None = None
  min_score: float | None = None

  def changed(self, section: str, **options: Any) -> 'SavedNet':
    """Return the net used otherwise, `changed('task', flip=True)`: keys of a section of its config."""
    section_now = {**getattr(self.config, section), **options}
    return self._replace(config=dataclasses.replace(self.config, **{section: section_now}))
