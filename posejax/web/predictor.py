"""What the web application asks of the net behind it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from posejax.infer.results import Result
from posejax.labels import LabelSpace


class Predicts(Protocol):
  """Something that finds people, or whatever its labels name, on pictures.

  Only one thread calls it, so it need not be safe for several.

  Attributes:
    labels: the names behind its numbers.
    name: how it is called on the page.
    threshold: the confidence from which on a keypoint counts as visible.
  """

  labels: LabelSpace
  name: str
  threshold: float

  def __call__(self, images: Sequence[np.ndarray]) -> list[Result]:
    """Return what is on each of some uint8 RGB pictures `[h, w, 3]` of any sizes."""
    ...
