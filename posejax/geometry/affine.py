"""Affine maps between the image frame and the crop frame.

A matrix is `[..., 2, 3]` and takes homogeneous points of one frame to another:
`to = matrix[:, :2] @ (x, y) + matrix[:, 2]`. Points are (x, y), pixel centres at integers.
"""

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
  center = (box[..., :2] + box[..., 2:]) / 2
  width, height = np.moveaxis(box[..., 2:] - box[..., :2], -1, 0)
  size = np.stack([np.maximum(width, height * aspect), np.maximum(height, width / aspect)], -1)
  return center, size * padding


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
  center = np.asarray(center, np.float64)
  if convention == 'msra':
    scale = np.array([W / size[0], W / size[0]])
    target = np.array([W / 2, H / 2])
  elif convention == 'udp':
    scale = np.array([(W - 1) / size[0], (H - 1) / size[1]])
    target = np.array([(W - 1) / 2, (H - 1) / 2])
  else:
    raise PosejaxError(
      f'Unknown crop convention {convention!r}; expected one of {CONVENTIONS}.'
      + nearest(convention, CONVENTIONS)
    )
  angle = np.deg2rad(rotation_degrees)
  cos, sin = np.cos(angle), np.sin(angle)
  linear = scale[:, None] * np.array([[cos, sin], [-sin, cos]])
  if flip:
    linear = linear * np.array([-1.0, 1.0])
  return np.concatenate([linear, (target - linear @ center)[:, None]], axis=1)


def invert(matrix: np.ndarray) -> np.ndarray:
  """Return the matrix that leads back, `[..., 2, 3]` float64."""
  matrix = np.asarray(matrix, np.float64)
  linear = np.linalg.inv(matrix[..., :2])
  return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
  """Return the matrix that does `inner` first and `outer` after it, `[..., 2, 3]`."""
  linear = outer[..., :2] @ inner[..., :2]
  offset = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
  return np.concatenate([linear, offset], axis=-1)


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
