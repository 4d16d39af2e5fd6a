"""Random variation of training crops: where the crop is taken, and how its colours fall.

Everything is drawn from the generator that is passed in, so an example's crop is a function of it.
"""

import dataclasses
import math

import cv2
import numpy as np

from posejax.errors import PosejaxError, nearest
from posejax.skeletons import Skeleton

_CHOICES = {'distribution': ('clipped', 'truncated'), 'shift_of': ('region', 'box')}
_PROBABILITIES = (
  'flip', 'rotation_probability', 'scale_probability', 'shift_probability',
  'half_body', 'half_body_upper', 'color', 'occlusion', 'mosaic',
)  # fmt: skip
_FACTORS = ('scale', 'shift', 'brightness', 'contrast', 'saturation', 'occlusion_size', 'cutout')


@dataclasses.dataclass(frozen=True)
class Augmentation:
  """What is varied and how much; the default varies nothing.

  Rotation, scale and shift are `amount * n` with n from one of two distributions:

  * `clipped`: a standard normal clipped to [-1, 1] (rotation: [-2, 2]), which piles up at the ends.
  * `truncated`: a standard normal redrawn until it lies in [-1, 1].

  Attributes:
    flip: probability of a mirrored picture.
    rotation: degrees.
    rotation_probability: of turning at all.
    scale: the crop's region is `1 + scale * n` times as large; below 1.
    scale_probability: of scaling at all.
    shift: the region's centre moves by `shift * n` of a width and a height, drawn for each axis.
    shift_of: whose: the `region`'s, or the padded `box`'s that the region was grown from to the crop's
      aspect, so that a tall box moves less to the side.
    shift_probability: of shifting at all.
    distribution: `clipped` or `truncated`.
    half_body: probability of cropping the upper or the lower body only, where enough is labelled.
    half_body_min_labelled: fewest labelled keypoints for it.
    half_body_upper: probability of the upper body where both have the three keypoints it takes.
    half_body_padding: factor on the box around those keypoints.
    color: probability of a change of colours, which are then drawn uniformly:
    brightness: colours times `1 ± brightness`.
    contrast: their distance from middle grey times `1 ± contrast`.
    saturation: their distance from the pixel's own grey times `1 ± saturation`.
    hue: turn about the grey axis by `± hue`, in turns, at most 0.5.
    occlusion: probability of a rectangle of one random colour over the crop.
    occlusion_size: its longest sides, as a part of the crop's; the shortest are a quarter of that.
    mosaic: probability that a picture is laid out with three others, of a detector's canvas.
    cutout: side of a square, as a part of the crop's shorter side, that is filled with the crop's mean
      colour in every picture. Its middle is any pixel, so that the border often cuts it.
      Source: DeVries and Taylor (arXiv:1708.04552), who fill with the data set's mean: 20 of SVHN's
      32 pixels.
  """

  flip: float = 0.0
  rotation: float = 0.0
  rotation_probability: float = 0.6
  scale: float = 0.0
  scale_probability: float = 1.0
  shift: float = 0.0
  shift_of: str = 'region'
  shift_probability: float = 0.3
  distribution: str = 'clipped'
  half_body: float = 0.0
  half_body_min_labelled: int = 9
  half_body_upper: float = 0.7
  half_body_padding: float = 1.5
  color: float = 0.0
  brightness: float = 0.0
  contrast: float = 0.0
  saturation: float = 0.0
  hue: float = 0.0
  occlusion: float = 0.0
  occlusion_size: float = 0.4
  cutout: float = 0.0
  mosaic: float = 0.0

  def __post_init__(self):
    for name in _PROBABILITIES:
      self._check(name, 0, 1)
    for name in _FACTORS:
      self._check(name, 0, 1)
    self._check('rotation', 0, 180)
    self._check('hue', 0, 0.5)
    self._check('half_body_padding', 1, np.inf)
    self._check('half_body_min_labelled', 0, np.inf)
    if self.scale == 1:
      raise PosejaxError('Augmentation.scale=1 would crop regions of no size; stay below 1.')
    for name, choices in _CHOICES.items():
      value = getattr(self, name)
      if value not in choices:
        raise PosejaxError(f'Unknown Augmentation.{name} {value!r}.' + nearest(value, choices))

  def _check(self, name: str, low: float, high: float):
    value = getattr(self, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
      raise PosejaxError(f'Augmentation.{name} must be a number in [{low}, {high}], got {value!r}.')

  def sample_geometry(
    self,
    rng: np.random.Generator,
    center: np.ndarray,
    size: np.ndarray,
    keypoints_image: np.ndarray,
    visibility: np.ndarray,
    skeleton: Skeleton,
    box_size: np.ndarray | None = None,
  ) -> tuple[np.ndarray, np.ndarray, float, bool]:
    """Draw the region to crop.

    Args:
      rng: consumed.
      center: (x, y) and
      size: (w, h) of the region without augmentation, image frame; the aspect is kept.
      keypoints_image: `[K, 2]` in the picture as it is.
      visibility: `[K]`, above 0 where labelled.
      skeleton: tells the upper body; without one the half body is never cropped.
      box_size: (w, h) of the padded box that `size` was grown from; `size` where None.

    Returns:
      `(center, size, rotation_degrees, flip)`, arguments of `geometry.affine.crop_matrix`: the
      centre is that of the picture as it is, also where `flip`. Left and right are not swapped here.
    """
    box_size = size if box_size is None else box_size
    if rng.random() < self.half_body:
      half = self._half_body(rng, size, keypoints_image, visibility, skeleton)
      center, size, box_size = (center, size, box_size) if half is None else half
    if self.shift and rng.random() < self.shift_probability:
      moving = box_size if self.shift_of == 'box' else size
      center = center + self.shift * moving * [self._normal(rng, 1), self._normal(rng, 1)]
    if self.scale and rng.random() < self.scale_probability:
      size = size * (1 + self.scale * self._normal(rng, 1))
    rotation = 0.0
    if self.rotation and rng.random() < self.rotation_probability:
      rotation = self.rotation * self._normal(rng, 2)
    return center, size, rotation, bool(rng.random() < self.flip)

  def _normal(self, rng: np.random.Generator, limit: float) -> float:
    if self.distribution == 'clipped':
      return min(max(rng.standard_normal(), -limit), limit)
    while abs(value := rng.standard_normal()) > 1:
      pass
    return value

  def _half_body(self, rng, size, keypoints, visibility, skeleton):
    """Return `(center, size, box_size)` around the labelled keypoints of one half, None without one.

    Source: `half_body_transform` of leoxiaobin/deep-high-resolution-net.pytorch
    lib/dataset/JointsDataset.py; the choice of the half from open-mmlab/mmpose (HRNet's compares a
    normal number with 0.5).
    """
    labelled = np.asarray(visibility) > 0
    if not skeleton.upper_body or labelled.sum() < self.half_body_min_labelled:
      return None
    upper = rng.random() < self.half_body_upper
    for half in (upper, not upper):
      chosen = np.asarray(keypoints, np.float64)[labelled & (skeleton.upper_body_mask == half)]
      extent = np.ptp(chosen, axis=0) if len(chosen) >= 3 else np.zeros(2)
      if extent.any():
        # The smallest region of the crop's aspect that holds both extents.
        region = size * (extent / size).max() * self.half_body_padding
        return chosen.mean(axis=0), region, extent * self.half_body_padding
    return None

  def photometric(self, rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    """Vary the colours of a crop, uint8 `[H, W, 3]` RGB, and hide a part of it.

    Returns:
      a new array, or `crop` itself where nothing was drawn.
    """
    if rng.random() < self.color:
      crop = cv2.transform(crop, self._color_matrix(rng))
    if rng.random() < self.occlusion:
      crop = self._occlude(rng, crop)
    if self.cutout:
      crop = self._cut_out(rng, crop)
    return crop

  def _color_matrix(self, rng: np.random.Generator) -> np.ndarray:
    """Return all four changes of colour as one affine map, `[3, 4]`: one pass over the pixels."""
    brightness, contrast, saturation, hue = rng.uniform(-1, 1, 4).tolist()
    brightness = 1 + brightness * self.brightness
    contrast = 1 + contrast * self.contrast
    saturation = 1 + saturation * self.saturation
    angle = 2 * math.pi * hue * self.hue
    # Rodrigues' formula about the grey axis (1, 1, 1) / sqrt(3), which the other changes share: every
    # channel gets `own` of itself, `after` of the next one and `before` of the one before.
    cos, sin = math.cos(angle) / 3, math.sin(angle) / math.sqrt(3)
    gain = brightness * contrast
    own = gain * (1 / 3 + saturation * 2 * cos)
    after = gain * (1 / 3 - saturation * (cos + sin))
    before = gain * (1 / 3 - saturation * (cos - sin))
    offset = 127.5 * (1 - contrast)
    return np.array(
      [[own, after, before, offset], [before, own, after, offset], [after, before, own, offset]]
    )

  def _cut_out(self, rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    H, W = crop.shape[:2]
    side = round(self.cutout * min(H, W))
    top, left = rng.integers(0, H) - side // 2, rng.integers(0, W) - side // 2
    mean = np.rint(crop.mean((0, 1)))
    crop = crop.copy()
    crop[max(top, 0) : top + side, max(left, 0) : left + side] = mean
    return crop

  def _occlude(self, rng: np.random.Generator, crop: np.ndarray) -> np.ndarray:
    H, W = crop.shape[:2]
    sides = self.occlusion_size * rng.uniform(0.25, 1, 2) * (H, W)
    h, w = np.maximum(1, sides).astype(int)
    top, left = rng.integers(0, H - h + 1), rng.integers(0, W - w + 1)
    crop = crop.copy()
    crop[top : top + h, left : left + w] = rng.integers(0, 256, 3)
    return crop


PRESETS = {
  'none': Augmentation(),
  # Source: microsoft/human-pose-estimation.pytorch experiments/coco/resnet50.
  'msra': Augmentation(flip=0.5, rotation=40, scale=0.3),
  # Source: leoxiaobin/deep-high-resolution-net.pytorch experiments/coco/hrnet.
  'hrnet': Augmentation(flip=0.5, rotation=45, scale=0.35, half_body=0.3),
  # Source: the same repository's experiments/mpii, none of which crops half bodies.
  'hrnet_mpii': Augmentation(flip=0.5, rotation=30, scale=0.25),
  # Source: RandomFlip, RandomHalfBody and RandomBBoxTransform of open-mmlab/mmpose
  # mmpose/datasets/transforms/common_transforms.py.
  'mmpose': Augmentation(
    flip=0.5,
    rotation=80,
    scale=0.5,
    shift=0.16,
    shift_of='box',
    distribution='truncated',
    half_body=0.3,
  ),
}
"""Published augmentations by name; `dataclasses.replace` adds colours and occlusion to one."""


def create(name: str = 'none', **kwargs) -> Augmentation:
  """Return the preset called `name` with some of its fields replaced.

  Raises:
    PosejaxError: the name or a field is unknown, or a field has an impossible value.
  """
  if name not in PRESETS:
    raise PosejaxError(f'Unknown augmentation {name!r}.' + nearest(name, PRESETS))
  fields = [field.name for field in dataclasses.fields(Augmentation)]
  for key in kwargs:
    if key not in fields:
      raise PosejaxError(f'Augmentation has no field {key!r}.' + nearest(key, fields))
  return dataclasses.replace(PRESETS[name], **kwargs)


def no_mosaic(augmentation: Augmentation) -> None:
  """Refuse a mosaic where one thing is learnt from one picture."""
  if augmentation.mosaic:
    raise PosejaxError(
      f'config.data.augment.mosaic={augmentation.mosaic} lays several pictures out as one, which only a '
      "detector can learn from (config.task.name='detection'); set it to 0."
    )
