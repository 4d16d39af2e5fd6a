"""The settings of a pose task, `config.task.*`."""

import dataclasses

from posejax.errors import PosejaxError


@dataclasses.dataclass(frozen=True)
class PoseOptions:
  """How one person is cut out of a picture, and how predictions are taken."""

  crop_size: tuple[int, int] = (128, 96)
  """Height and width of the net's input in pixels."""
  box_padding: float = 1.25
  """The crop is this many times the aspect-fixed box."""
  flip: bool = True
  """Average with the prediction for the mirrored crop."""
  shift: bool | None = None
  """Shift the mirrored heatmaps by one cell; what the codec was published with where unset."""

  def __post_init__(self):
    if min(self.crop_size) < 1:
      raise PosejaxError(
        f'config.task.crop_size={self.crop_size} must be two positive numbers (height, width).'
      )
