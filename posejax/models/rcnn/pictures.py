"""How torchvision shows its two-stage detectors a picture, for who compares with its figures.

In training and use pictures lie on canvases of `config.task.crop_size`.

Source: torchvision/models/detection/transform.py, `GeneralizedRCNNTransform`.
"""

import math

import cv2
import numpy as np

from posejax.models.rcnn.net import MULTIPLE

SHORT_SIDE, LONG_SIDE = 800, 1333
"""What the shorter side of a picture is brought to, unless the longer one would exceed its own."""


def resized_hw(h: int, w: int, short: int = SHORT_SIDE, long: int = LONG_SIDE) -> tuple[int, int]:
  """Return height and width of a picture of h by w pixels as the net sees it."""
  scale = min(short / min(h, w), long / max(h, w))
  return math.floor(h * scale), math.floor(w * scale)


def lay_out(picture: np.ndarray, size_hw: tuple[int, int], fill: np.ndarray) -> np.ndarray:
  """Return a picture at a new size, in the upper left of the smallest canvas that the nets take.

  Args:
    picture: uint8 or float `[h, w, 3]`.
    size_hw: as `resized_hw` gives it.
    fill: `[3]`, the colour of the rest: what normalising turns into zeros.

  Returns:
    float32 `[H, W, 3]`, H and W divisible by 32. Not rounded to whole grey levels, as pictures are not
    in torchvision; each pixel weighs its four nearest, smaller pictures are not smoothed before.
  """
  h, w = size_hw
  resized = cv2.resize(picture.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
  canvas = np.empty((-(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE, 3), np.float32)
  canvas[:] = fill
  canvas[:h, :w] = resized
  return canvas
