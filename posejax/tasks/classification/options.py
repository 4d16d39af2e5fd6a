"""The settings of a classification task, `config.task.*`."""

import dataclasses

from posejax.errors import PosejaxError


@dataclasses.dataclass(frozen=True)
class ClassificationOptions:
  """How a picture becomes the net's input."""

  crop_size: tuple[int, int] = (32, 32)
  """Height and width of the net's input in pixels; pictures are scaled to it, or cropped where larger."""

  def __post_init__(self):
    if min(self.crop_size) < 1:
      raise PosejaxError(
        f'config.task.crop_size={self.crop_size} must be two positive numbers (height, width).'
      )
