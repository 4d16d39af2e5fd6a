"""A picture with everybody on it, on a detector's canvas of fixed size: scaled to fit, and laid out.

A picture lies at the canvas' top left or in its middle, as in training so in use; what it leaves free is
filled with one colour. Source: Resize and Pad of mmdet's test pipelines (configs/rtmdet of
open-mmlab/mmdetection); `tf.image.resize_with_pad` for the middle.
"""

from collections.abc import Sequence
import dataclasses
import functools

import cv2
import numpy as np

from posejax.data.batches import Later
from posejax.data.formats import decode
from posejax.data.transforms import augment, instances
from posejax.data.transforms.instances import AxisMap
from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton
from posejax.types import Picture

_MOSAIC_SCALE = (0.5, 1.5)
"""Of the four pictures together. Source: mmpose's RTMDet-nano, RandomResize after CachedMosaic."""
_MOSAIC_MIDDLE = (0.5, 1.5)
"""Where the four meet, in canvases of a field of two by two. Source: mmdet's Mosaic."""


@dataclasses.dataclass(frozen=True)
class _Tile:
  """A picture's place on a canvas."""

  image: np.ndarray
  axis_map: AxisMap
  window: np.ndarray
  """xyxy of edges, whole numbers, of what the picture covers."""


@dataclasses.dataclass(frozen=True)
class Canvas:
  """Make the arrays of one picture of a detector's batch (see `posejax.types`).

  Attributes:
    size: (H, W) of the canvas, the net's input.
    max_instances: N. Of more on a picture the largest are taken.
    fill: the colour where no picture lies, RGB.
    augmentation: what is drawn at random: scale and shift, mirroring, colours, occlusion, mosaic.
    skeleton: where keypoints are learnt, else None.
    centered: whether a picture lies in the middle, else at the top left.
    averaged: whether a pixel of a picture made smaller is the mean of what falls on it, else it is
      interpolated between four.
  """

  size: tuple[int, int]
  max_instances: int
  fill: tuple[int, int, int]
  augmentation: augment.Augmentation
  skeleton: Skeleton | None = None
  centered: bool = False
  averaged: bool = False

  def __post_init__(self):
    for name in ('rotation', 'half_body'):
      if getattr(self.augmentation, name):
        raise PosejaxError(
          f'config.data.augment.{name} must be 0 for a detector: boxes do not turn, and whole pictures '
          'are learnt from.'
        )

  def others(self, rng: np.random.Generator, num_pictures: int) -> list[int]:
    """Return the numbers of the pictures that go onto the same canvas: three, or none."""
    if not self.augmentation.mosaic or rng.random() >= self.augmentation.mosaic:
      return []
    return rng.integers(0, num_pictures, 3).tolist()

  def __call__(
    self, picture: Picture, rng: np.random.Generator, others: Sequence[Picture] = ()
  ) -> dict[str, np.ndarray]:
    """Return the arrays of one picture, laid out with three others or none."""
    arrays = self.begin(picture, rng, others)
    images = np.empty(arrays['images'].shape, arrays['images'].dtype)
    arrays['images'].write(images)
    return {**arrays, 'images': images}

  def begin(
    self, picture: Picture, rng: np.random.Generator, others: Sequence[Picture] = ()
  ) -> dict[str, np.ndarray | Later]:
    """Return the arrays of one picture, the canvas to be painted later."""
    pictures = [picture, *others]
    images = [
      decode.decode_image(p['image'], source=p.get('image_name', 'image')) for p in pictures
    ]
    tiles = self._mosaic(images, rng) if others else [self._single(images[0], rng)]
    seen = [
      instances.read(p, tile.image.shape[:2], keypoints=self.skeleton is not None).moved(
        tile.axis_map, tile.window, self.skeleton
      )
      for p, tile in zip(pictures, tiles, strict=True)
    ]
    return {
      'images': Later(
        (*self.size, 3), np.dtype(np.uint8), functools.partial(self._paint, tiles, rng)
      ),
      **_joined(seen).padded(self.max_instances),
      'image_size': _extent(tiles),
      # Of the first picture, which is the only one wherever results are taken back to it.
      'crop_to_image': _inverse(tiles[0].axis_map),
    }

  def view(self, image: np.ndarray, box: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return `(canvas uint8 [H, W, 3], canvas_to_image float32 [2, 3])` of a picture or a part of it.

    Args:
      image: uint8 RGB `[h, w, 3]`, of any size.
      box: `[4]` xyxy, outermost pixels of the part; the whole picture where None.
    """
    left = top = 0
    if box is not None:
      left, top = (max(int(np.floor(v)), 0) for v in box[:2])
      right, bottom = (int(np.ceil(v)) + 1 for v in box[2:])
      image = image[top:bottom, left:right]
    tile = _tile(image, self._fitted(image.shape[:2]), self.size)
    canvas = np.empty((*self.size, 3), np.uint8)
    self._lay_out([tile], canvas)
    matrix = _inverse(tile.axis_map)
    matrix[:, 2] += left, top
    return canvas, matrix

  def _single(self, image: np.ndarray, rng: np.random.Generator) -> _Tile:
    """Place a picture by itself: fitted, then zoomed and moved as far as it still fills the canvas."""
    (h, w), (H, W) = image.shape[:2], self.size
    fitted = self._fitted((h, w))
    region = np.array([W, H]) / fitted.scale
    nobody = np.zeros((0, 2)), np.zeros(0)
    center, size, _, flip = self.augmentation.sample_geometry(
      rng, region / 2, region, *nobody, skeleton=None
    )
    if flip or size is not region or (center != region / 2).any():
      scale = np.array(fitted.scale) * region / size
      extent = scale * (w, h)
      free = (W, H) - extent
      # Beyond this an edge of the picture would come in.
      low, high = np.minimum(0, free), np.maximum(0, free) / 2 * self.centered
      offset = np.clip(np.array([W, H]) / 2 - scale * center, low + high, high)
      if flip:
        # Mirrored in what is seen of it, so that it stays where it is.
        left, right = max(0, offset[0]), min(W, offset[0] + extent[0])
        scale[0], offset[0] = -scale[0], left + right - offset[0]
      fitted = AxisMap(tuple(scale.tolist()), tuple(offset.tolist()))
    return _tile(image, fitted, self.size)

  def _mosaic(self, images: list[np.ndarray], rng: np.random.Generator) -> list[_Tile]:
    """Place four pictures around a point of a field of two by two canvases, and cut a canvas out."""
    H, W = self.size
    canvas = np.array([W, H], float)
    middle = rng.uniform(*_MOSAIC_MIDDLE, 2) * canvas
    zoom = rng.uniform(*_MOSAIC_SCALE)
    corner = rng.random(2) * np.maximum(2 * canvas * zoom - canvas, 0)
    tiles = []
    for number, image in enumerate(images):
      scale = np.array(self._fitted(image.shape[:2]).scale)
      extent = scale * image.shape[1::-1]
      right_below = np.array([number % 2, number // 2])  # of the middle
      offset = middle - (1 - right_below) * extent
      low, high = np.where(right_below, middle, 0), np.where(right_below, 2 * canvas, middle)
      window = np.concatenate([np.maximum(low, offset), np.minimum(high, offset + extent)])
      window = np.rint(np.clip(window * zoom - np.tile(corner, 2), 0, np.tile(canvas, 2)))
      scale, offset = scale * zoom, offset * zoom - corner
      if rng.random() < self.augmentation.flip:
        offset[0] += scale[0] * image.shape[1]
        scale[0] = -scale[0]
      axis_map = AxisMap(tuple(scale.tolist()), tuple(offset.tolist()))
      tiles.append(_Tile(image, axis_map, window))
    return tiles

  def _fitted(self, image_hw: tuple[int, int]) -> AxisMap:
    """Return the map that makes a picture as large as it fits; at the top left in whole pixels.

    Source: imrescale of open-mmlab/mmcv, which rounds both sides.
    """
    (h, w), (H, W) = image_hw, self.size
    scale = min(H / h, W / w)
    if self.centered:
      return AxisMap((scale, scale), ((W - scale * w) / 2, (H - scale * h) / 2))
    return AxisMap((max(1, int(w * scale + 0.5)) / w, max(1, int(h * scale + 0.5)) / h), (0.0, 0.0))

  def _paint(self, tiles: list[_Tile], rng: np.random.Generator, canvas: np.ndarray) -> None:
    self._lay_out(tiles, canvas)
    varied = self.augmentation.photometric(rng, canvas)
    if varied is not canvas:
      canvas[...] = varied

  def _lay_out(self, tiles: list[_Tile], canvas: np.ndarray) -> None:
    canvas[...] = self.fill
    for tile in tiles:
      x1, y1, x2, y2 = tile.window.astype(int).tolist()
      if x2 <= x1 or y2 <= y1:
        continue
      image, axis_map = tile.image, tile.axis_map
      if self.averaged:
        image, axis_map = _reduced(image, axis_map)
      matrix = axis_map.matrix()
      matrix[:, 2] -= x1, y1
      canvas[y1:y2, x1:x2] = cv2.warpAffine(
        image,
        matrix,
        (x2 - x1, y2 - y1),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
      )


def _reduced(image: np.ndarray, axis_map: AxisMap) -> tuple[np.ndarray, AxisMap]:
  """Return a picture as small as a map makes it, and the map that is left of it."""
  sides = np.array(image.shape[1::-1])
  small = np.maximum(1, np.rint(sides * np.minimum(1, np.abs(axis_map.scale)))).astype(int)
  scale = axis_map.scale * sides / small
  if (small < sides).any():
    image = cv2.resize(image, small.tolist(), interpolation=cv2.INTER_AREA)
  return image, AxisMap(tuple(scale.tolist()), axis_map.offset)


def _tile(image: np.ndarray, axis_map: AxisMap, size: tuple[int, int]) -> _Tile:
  (h, w), (H, W) = image.shape[:2], size
  (window,) = axis_map.boxes(np.array([[0, 0, w, h]], float))
  return _Tile(image, axis_map, np.rint(np.clip(window, 0, (W, H, W, H))))


def _joined(parts: list[instances.Instances]) -> instances.Instances:
  if len(parts) == 1:
    return parts[0]
  names = [field.name for field in dataclasses.fields(instances.Instances)]
  columns = {name: [getattr(part, name) for part in parts] for name in names}
  return instances.Instances(
    **{name: None if v[0] is None else np.concatenate(v) for name, v in columns.items()}
  )


def _extent(tiles: list[_Tile]) -> np.ndarray:
  """Return int32 (h, w): how far pictures reach from the top left."""
  reach = np.max([tile.window[2:] for tile in tiles], 0)
  return reach[::-1].astype(np.int32)


def _inverse(axis_map: AxisMap) -> np.ndarray:
  """Return float32 `[2, 3]` from the canvas back to the picture, pixel centres at integers."""
  scale = 1 / np.array(axis_map.scale)
  back = AxisMap(tuple(scale.tolist()), tuple((-scale * axis_map.offset).tolist()))
  return back.matrix().astype(np.float32)
