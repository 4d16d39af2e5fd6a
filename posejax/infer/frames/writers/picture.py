"""Pictures, whole or not there."""

import numpy as np

from posejax import draw
from posejax.infer.frames import replacing


def write_picture(path: str, image: np.ndarray) -> None:
  """Write a picture as PNG or JPEG by its name.

  Args:
    path: of the file; one that is there is replaced.
    image: uint8 `[h, w, 3]` RGB.

  Raises:
    PosejaxError: the folder is missing, the disk is full, or the name's ending is no picture's.
  """
  with replacing.replacing(path) as temporary:
    draw.save(temporary, image)
