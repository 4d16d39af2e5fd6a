"""A picture in the middle of a net's input, whole and in its own aspect."""

import cv2
import numpy as np


def fitted(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float, np.ndarray]:
  """Return a picture in the middle of another one, as large as it fits there, black around.

  Args:
    image: uint8 `[h, w, 3]`.
    size: (H, W).

  Returns:
    `(uint8 [H, W, 3], scale, shift [2])`: a point of the picture is at `scale * point + shift` there,
    pixel centres at integers.
  """
  (h, w), (H, W) = image.shape[:2], size
  scale = min(H / h, W / w)
  # Edges, half a pixel outside of the outermost pixels' centres, arrive at edges.
  shift = (np.array([W - scale * w, H - scale * h]) + scale - 1) / 2
  if scale < 1:  # the mean of what falls on a pixel; the remaining move is below one
    small = (max(1, round(w * scale)), max(1, round(h * scale)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
  else:
    reduced = image
  fx, fy = reduced.shape[1] / w, reduced.shape[0] / h
  # reduced point = f * point + (f - 1) / 2, and that is to arrive where the point does.
  matrix = np.array(
    [
      [scale / fx, 0, shift[0] - scale / fx * (fx - 1) / 2],
      [0, scale / fy, shift[1] - scale / fy * (fy - 1) / 2],
    ]
  )
  return cv2.warpAffine(reduced, matrix, (W, H), flags=cv2.INTER_LINEAR), scale, shift


def view(
  image: np.ndarray, box: np.ndarray | None, *, size: tuple[int, int], padding: float
) -> tuple[np.ndarray, np.ndarray]:
  """Return `(fitted uint8 [H, W, 3], fitted_to_image float32 [2, 3])` of a picture or a part of it.

  Args:
    image: uint8 RGB `[h, w, 3]`, of any size.
    box: `[4]` xyxy of the part; the whole picture where None.
    size: (H, W).
    padding: so many times as large as the box is the part that is shown.
  """
  left = top = 0
  if box is not None:
    h, w = image.shape[:2]
    center, half = (box[:2] + box[2:]) / 2, padding * (box[2:] - box[:2]) / 2
    left, top = np.clip(np.floor(center - half), 0, (w - 1, h - 1)).astype(int)
    right, bottom = np.clip(np.ceil(center + half), (left, top), (w - 1, h - 1)).astype(int)
    image = image[top : bottom + 1, left : right + 1]
  shown, scale, shift = fitted(image, size)
  to_image = np.array(
    [[1 / scale, 0, left - shift[0] / scale], [0, 1 / scale, top - shift[1] / scale]], np.float32
  )
  return shown, to_image
