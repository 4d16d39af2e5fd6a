"""A labelled picture as a net's input: decode, augment, warp."""

import dataclasses

import cv2
import numpy as np

from posejax.data.formats import decode
from posejax.data.transforms import augment
from posejax.errors import PosejaxError
from posejax.geometry import affine
from posejax.types import Example


@dataclasses.dataclass(frozen=True)
class WholePicture:
  """Make the arrays of one labelled example of a batch (see `posejax.types`).

  Without augmentation a picture of `crop_size` comes out as it is, and a larger one scaled down.

  Attributes:
    crop_size: (H, W) of the net's input.
    augmentation: what is drawn at random. What is moved into view mirrors the picture's border.
  """

  crop_size: tuple[int, int]
  augmentation: augment.Augmentation

  def __post_init__(self):
    for name in ('flip', 'half_body'):
      if getattr(self.augmentation, name):
        raise PosejaxError(
          f'config.data.augment.{name} must be 0 for labelled pictures: a mirrored digit is no digit, '
          'and digits have no halves.'
        )
    augment.no_mosaic(self.augmentation)

  def __call__(self, example: Example, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the arrays of one example.

    Raises:
      PosejaxError: the picture is smaller than the crop.
    """
    image = decode.decode_image(example['image'], source=example.get('image_name', 'image'))
    (h, w), (H, W) = image.shape[:2], self.crop_size
    if h < H or w < W:
      raise PosejaxError(
        f'A picture of {h}x{w} pixels is smaller than config.task.crop_size={self.crop_size}; set that '
        'to its size at most.'
      )
    # Corners on corners: the identity where the sizes agree.
    middle, extent = np.array([w - 1, h - 1]) / 2, np.array([w - 1, h - 1], float)
    nobody = np.zeros((0, 2)), np.zeros(0)
    center, size, rotation, _ = self.augmentation.sample_geometry(
      rng, middle, extent, *nobody, skeleton=None
    )
    crop = image
    if (h, w) != (H, W) or rotation or center is not middle or size is not extent:
      matrix = affine.crop_matrix(center, size, rotation, self.crop_size, 'udp')
      crop = cv2.warpAffine(
        image, matrix, (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
      )
    return {
      'images': self.augmentation.photometric(rng, crop),
      'labels': np.int32(example['label']),
    }

  def view(self, image: np.ndarray, box: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return `(crop uint8 [H, W, 3], crop_to_image float32 [2, 3])` of a picture or a part of it.

    Args:
      image: uint8 RGB `[h, w, 3]`, of any size.
      box: `[4]` xyxy of the part; the whole picture where None.
    """
    if box is None:
      box = np.array([0, 0, image.shape[1] - 1, image.shape[0] - 1])
    H, W = self.crop_size
    low, high = np.asarray(box[:2], float), np.asarray(box[2:], float)
    extent = np.maximum(high - low, 1)
    matrix = affine.crop_matrix((low + high) / 2, extent, 0, self.crop_size, 'udp')
    crop = cv2.warpAffine(
      image, matrix, (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return crop, affine.invert(matrix).astype(np.float32)
