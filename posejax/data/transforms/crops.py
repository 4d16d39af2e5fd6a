"""One person's crop: decode, augment, warp, and the labels in both frames."""

import dataclasses
import functools

import cv2
import numpy as np

from posejax import skeletons
from posejax.data.batches import Later
from posejax.data.formats import decode
from posejax.data.transforms import augment
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

  def __post_init__(self):
    augment.no_mosaic(self.augmentation)

  def __call__(self, example: Example, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the arrays of one example."""
    arrays = self.begin(example, rng)
    images = np.empty(arrays['images'].shape, arrays['images'].dtype)
    arrays['images'].write(images)
    return {**arrays, 'images': images}

  def begin(self, example: Example, rng: np.random.Generator) -> dict[str, np.ndarray | Later]:
    """Return the arrays of one example, its picture to be made later."""
    matrix, labels = self.labels(example, rng)
    write = functools.partial(self._draw, example, rng, matrix)
    return {'images': Later((*self.crop_size, 3), np.dtype(np.uint8), write), **labels}

  def _draw(
    self, example: Example, rng: np.random.Generator, matrix: np.ndarray, crop: np.ndarray
  ) -> None:
    H, W = self.crop_size
    image = decode.decode_image(example['image'], source=example.get('image_name', 'image'))
    # OpenCV 5 warps four channels in two thirds of the time that it takes for three, to the same
    # values; adding a channel and dropping it again costs a tenth of that.
    image = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    warped = cv2.warpAffine(image, matrix, (W, H), flags=cv2.INTER_LINEAR)
    cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB, dst=crop)
    varied = self.augmentation.photometric(rng, crop)
    if varied is not crop:
      crop[...] = varied

  def labels(
    self, example: Example, rng: np.random.Generator
  ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return `(image-to-crop matrix [2, 3], the arrays of one example without its picture)`."""
    keypoints = np.asarray(example['keypoints'], np.float32)
    visibility = np.asarray(example['visibility'], np.int32)
    box = np.asarray(example['box'], np.float32)
    H, W = self.crop_size
    center, size = affine.box_to_center_size(box, W / H, self.box_padding)
    box_size = (box[2:] - box[:2]) * self.box_padding
    center, size, rotation, flip = self.augmentation.sample_geometry(
      rng, center, size, keypoints, visibility, self.skeleton, box_size
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

  def view(self, image: np.ndarray, box: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return `(crop uint8 [H, W, 3], crop_to_image float32 [2, 3])` of a person on a picture.

    Args:
      image: uint8 RGB `[h, w, 3]`.
      box: `[4]` xyxy of the person; the whole picture where None.
    """
    if box is None:
      box = np.array([0, 0, image.shape[1] - 1, image.shape[0] - 1])
    H, W = self.crop_size
    # A line has no region: a pixel each way is the least that is looked at.
    center, size = affine.box_to_center_size(box, W / H, self.box_padding)
    matrix = affine.crop_matrix(center, np.maximum(size, 1), 0, self.crop_size, self.convention)
    crop = cv2.warpAffine(image, matrix, (W, H), flags=cv2.INTER_LINEAR)
    return crop, affine.invert(matrix).astype(np.float32)
