"""Affine maps between the image frame and the crop frame.

A matrix is `[..., 2, 3]` and takes homogeneous points of one frame to another:
`to = matrix[:, :2] @ (x, y) + matrix[:, 2]`. Points are (x, y), pixel centres at integers.
"""

import math

import numpy as np

from posejax.errors import PosejaxError, nearest
from posejax.types import Array

CONVENTIONS = ('msra', 'udp')


def box_to_center_size(
  box: Array, aspect: float, padding: float = 1.25
) -> tuple[np.ndarray, np.ndarray]:
  """Return the region that is cropped for a box: its centre, grown to the crop's aspect, padded.

  A box's corners are pixel centres, and its width here is `x2 - x1`: one less than the number of
  pixel columns it spans. So measured the published results.

  Args:
    box: `[..., 4]` xyxy, image frame.
    aspect: width / height of the crop. The shorter side (relative to it) is lengthened.
    padding: factor on both sides afterwards, at least 1 for a crop that contains the box.

  Returns:
    `(center [..., 2], size [..., 2])`, float64: (x, y) and (w, h) in pixels of the image.

  Source: `_box2cs` of microsoft/human-pose-estimation.pytorch lib/dataset/coco.py, without its
  division by 200.
  """
  box = np.asarray(box, np.float64)
  low, high = box[..., :2], box[..., 2:]
  size = high - low
  other = size[..., ::-1] * (aspect, 1) / (1, aspect)  # what the other side asks of each side
  return (low + high) / 2, np.maximum(size, other) * padding


def crop_matrix(
  center: Array,
  size: Array,
  rotation_degrees: float,
  crop_hw: tuple[int, int],
  convention: str = 'msra',
  flip: bool = False,
) -> np.ndarray:
  """Return the matrix from the image to the crop: mirror, then rotate, then scale.

  `center` always arrives at the crop's centre, which is where the conventions differ:

  * `msra`: the crop's centre is (W / 2, H / 2), half a pixel right of and below the middle of its
    pixel grid, and `W / size[0]` scales both axes (`size[1]` is not used).
  * `udp`: the crop's centre is ((W - 1) / 2, (H - 1) / 2) and `size` is the distance between the
    centres of the outermost pixels, so that each axis scales by (W - 1) / w and (H - 1) / h.

  Args:
    center: (x, y) in the image frame, of the picture as it is (not mirrored, also where `flip`).
    size: (w, h) of the region, pixels of the image.
    rotation_degrees: positive turns the picture's content counter-clockwise as it is looked at,
      under both conventions (UDP's own code turns the other way).
    crop_hw: (H, W).
    convention: `msra` or `udp`; a codec knows its own.
    flip: mirror the picture left to right first. The reflection x -> width - 1 - x moves `center`
      along, so that the width of the picture cancels out and is no argument.

  Returns:
    float64 `[2, 3]`, for `cv2.warpAffine` and `transform_points`.

  Source: `get_affine_transform` of microsoft/human-pose-estimation.pytorch lib/utils/transforms.py;
  `get_warp_matrix` of HuangJunJie2017/UDP-Pose (Huang et al., CVPR 2020).
  """
  H, W = crop_hw
  # In Python's floats: for so few numbers NumPy takes five times as long, all of it holding the
  # interpreter lock that parallel workers wait for.
  (x, y), (w, h) = (np.asarray(pair, np.float64).tolist() for pair in (center, size))
  if convention == 'msra':
    scale_x = scale_y = W / w
    target_x, target_y = W / 2, H / 2
  elif convention == 'udp':
    scale_x, scale_y = (W - 1) / w, (H - 1) / h
    target_x, target_y = (W - 1) / 2, (H - 1) / 2
  else:
    raise PosejaxError(
      f'Unknown crop convention {convention!r}; expected one of {CONVENTIONS}.'
      + nearest(convention, CONVENTIONS)
    )
  angle = math.radians(rotation_degrees)
  cos, sin = math.cos(angle), math.sin(angle)
  mirror = -1 if flip else 1
  a, b = mirror * scale_x * cos, scale_x * sin
  c, d = mirror * scale_y * -sin, scale_y * cos
  return np.array([[a, b, target_x - (a * x + b * y)], [c, d, target_y - (c * x + d * y)]])


def invert(matrix: np.ndarray) -> np.ndarray:
  """Return the matrix that leads back, `[..., 2, 3]` float64."""
  matrix = np.asarray(matrix, np.float64)
  back = np.empty(matrix.shape)
  # Transposed, so that the indices are (column, row, leading ones backwards): a single matrix then
  # gives plain numbers, and the cofactors are ten times as fast as LAPACK.
  to, of = back.T, matrix.T
  det = of[0, 0] * of[1, 1] - of[1, 0] * of[0, 1]
  to[0, 0], to[1, 0] = of[1, 1] / det, -of[1, 0] / det
  to[0, 1], to[1, 1] = -of[0, 1] / det, of[0, 0] / det
  to[2] = -(to[0] * of[2, 0] + to[1] * of[2, 1])
  return back


def transform_points(points: Array, matrix: Array) -> Array:
  """Take points through a matrix; NumPy and JAX arrays alike.

  Args:
    points: `[..., N, 2]`, (x, y).
    matrix: `[..., 2, 3]`, one per leading index of `points`, or broadcast against them.

  Returns:
    `[..., N, 2]` of the two arguments' common type.
  """
  # Products and sums rather than a matrix product, which accelerators round to fewer bits.
  x, y = points[..., 0:1], points[..., 1:2]
  columns = matrix[..., None, :, :]
  return x * columns[..., 0] + y * columns[..., 1] + columns[..., 2]
