"""The settings of a detection task, `config.task.*`."""

import dataclasses

from posejax.errors import PosejaxError


@dataclasses.dataclass(frozen=True)
class DetectionOptions:
  """How a picture becomes the net's input."""

  crop_size: tuple[int, int] = (320, 320)
  """Height and width of the canvas in pixels, which whole pictures are scaled into."""
  max_instances: int = 100
  """Instances of a picture that are learnt from, the largest ones; batches are padded to so many."""
  fill: tuple[int, int, int] = (114, 114, 114)
  """Colour, RGB, of what pictures leave free of the canvas."""
  centered: bool = False
  """Whether pictures lie in the middle of the canvas, else at its top left."""
  averaged: bool = False
  """Whether pixels of pictures made smaller are means of what falls on them, else interpolated."""

  def __post_init__(self):
    if min(self.crop_size) < 1:
      raise PosejaxError(
        f'config.task.crop_size={self.crop_size} must be two positive numbers (height, width).'
      )
    if self.max_instances < 1:
      raise PosejaxError(f'config.task.max_instances={self.max_instances} must be at least 1.')
    if not all(0 <= value <= 255 for value in self.fill):
      raise PosejaxError(f'config.task.fill={self.fill} must be three numbers from 0 to 255.')
