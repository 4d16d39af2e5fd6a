"""Pictures, whole or not there."""

import numpy as np

from posejax import draw, files


def write_picture(path: str, image: np.ndarray) -> None:
  """Write a picture as PNG or JPEG by its name.

  Args:
    path: of the file; one that is there is replaced.
    image: uint8 `[h, w, 3]` RGB.

  Raises:
    PosejaxError: the folder is missing, the disk is full, or the name's ending is no picture's.
  """
  try:
    draw.save(path, image)
  except OSError as error:
    raise files.explain(path, error) from error
