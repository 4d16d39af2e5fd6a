"""One person's crop: decode, augment, warp, and the labels in both frames."""

import dataclasses
import math

import cv2
import numpy as np

from posejax import skeletons
from posejax.data import augment, decode
from posejax.geometry import affine
from posejax.types import Example


@dataclasses.dataclass(frozen=True)
class CropPerson:
  """Make the arrays of one example of a batch (see `posejax.types`).

  Attributes:
    skeleton: the source's skeleton; its left and right change places under a flip.
    crop_size: (H, W) of the net's input.
    convention: 'msra' or 'udp', the codec's: where pixel centres of box and crop meet.
    augmentation: what is drawn at random; the identity for evaluation.
    box_padding: the crop is this many times the aspect-fixed box.
  """

  skeleton: skeletons.Skeleton
  crop_size: tuple[int, int]
  convention: str
  augmentation: augment.Augmentation
  box_padding: float = 1.25

  def __call__(self, example: Example, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the arrays of one example."""
    image = decode.decode_image(example['image'], source=example.get('image_name', 'image'))
    matrix, labels = self.labels(example, rng)
    return {'images': self.augmentation.photometric(rng, self._warp(image, matrix)), **labels}

  def _warp(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    H, W = self.crop_size
    left, top, right, bottom = _seen(image.shape, matrix, self.crop_size)
    if left >= right or top >= bottom:
      return np.zeros((H, W, 3), np.uint8)  # the crop lies beside the picture
    # OpenCV 5 warps four channels in two thirds of the time that it takes for three, to the same
    # values; adding a channel to what the crop shows and dropping it again costs a tenth of that.
    image = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2RGBA)
    shifted = affine.compose(matrix, np.array([[1.0, 0, left], [0, 1, top]]))
    crop = cv2.warpAffine(image, shifted, (W, H), flags=cv2.INTER_LINEAR)
    return cv2.cvtColor(crop, cv2.COLOR_RGBA2RGB)

  def labels(
    self, example: Example, rng: np.random.Generator
  ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return `(image-to-crop matrix [2, 3], the arrays of one example without its picture)`."""
    keypoints = np.asarray(example['keypoints'], np.float32)
    visibility = np.asarray(example['visibility'], np.int32)
    box = np.asarray(example['box'], np.float32)
    H, W = self.crop_size
    center, size = affine.box_to_center_size(box, W / H, self.box_padding)
    center, size, rotation, flip = self.augmentation.sample_geometry(
      rng, center, size, keypoints, visibility, self.skeleton
    )
    if flip:
      keypoints = keypoints[self.skeleton.flip_permutation]
      visibility = visibility[self.skeleton.flip_permutation]
    matrix = affine.crop_matrix(center, size, rotation, self.crop_size, self.convention, flip)
    return matrix, {
      'keypoints': affine.transform_points(keypoints, matrix).astype(np.float32),
      'visibility': visibility,
      'keypoints_image': keypoints,
      'boxes': box,
      'head_sizes': np.float32(example.get('head_size', 0)),
      'crop_to_image': affine.invert(matrix).astype(np.float32),
    }


def _seen(
  shape: tuple[int, ...], matrix: np.ndarray, crop_size: tuple[int, int]
) -> tuple[int, int, int, int]:
  """Return (left, top, right, bottom) of a picture's pixels that a crop is interpolated from."""
  ends = []
  for size, (a, b, c) in zip(shape[1::-1], affine.invert(matrix).tolist(), strict=True):
    reach = (a * (crop_size[1] - 1), b * (crop_size[0] - 1))
    low, high = (c + sum(pick(0.0, r) for r in reach) for pick in (min, max))
    # One pixel more than the outermost neighbours: nobody's rounding decides.
    ends.append((max(0, math.floor(low) - 1), min(size, math.ceil(high) + 2)))
  return ends[0][0], ends[1][0], ends[0][1], ends[1][1]
