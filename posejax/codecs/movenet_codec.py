"""MoveNet's maps of one person as a codec: `movenet` reads them and `movenet_targets` draws them."""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from posejax.codecs import movenet, movenet_targets
from posejax.codecs.base import Codec
from posejax.types import Array


@dataclasses.dataclass(frozen=True)
class MoveNet(Codec):
  """Centre, keypoint heatmaps, regression and offsets of the person nearest the middle of the crop.

  Attributes:
    stride: pixels of the crop per cell.
    sigma: standard deviation in cells of the bumps that are learnt.
    reach: cells from where the regression expects a keypoint at which a probability counts half; see
      `posejax.codecs.movenet.decode`.
  """

  stride: int = 4
  sigma: float = movenet_targets.SIGMA
  reach: float = movenet.REACH

  outputs: ClassVar[tuple[str, ...]] = movenet_targets.MAPS
  # Puts a box's middle in the middle of the pixel grid, which is that of the cells.
  convention: ClassVar[str] = 'udp'
  shift_flip: ClassVar[bool] = False

  def __post_init__(self):
    super().__post_init__()
    self._check_positive('stride')
    self._check_positive('sigma')
    self._check_positive('reach')

  @classmethod
  def fit(
    cls, crop_size: tuple[int, int], shapes: Mapping[str, tuple[int, ...]], **fields: Any
  ) -> 'MoveNet':
    """Return the codec for a net whose maps are `[B, h, w, ...]`."""
    stride = crop_size[0] // shapes['center'][1]
    return cls(**{'crop_size': crop_size, 'stride': stride, **fields})

  @property
  def cell(self) -> tuple[float, float]:
    """(x, y) pixels of the crop of a cell of the maps."""
    return float(self.stride), float(self.stride)

  def encode(
    self, keypoints_crop: Array, visibility: Array
  ) -> tuple[dict[str, jax.Array], jax.Array]:
    """Return the maps' targets and, as `<map>_counts`, which of their values count; and weights."""
    grid = (self.crop_size[0] // self.stride, self.crop_size[1] // self.stride)
    targets, counts = movenet_targets.encode(
      keypoints_crop, visibility, grid, self.stride, self.sigma
    )
    places = counts['keypoint_offsets'].max((1, 2))[..., ::2]  # where a bump is drawn, it counts
    return {**targets, **{movenet_targets.counts_of(n): c for n, c in counts.items()}}, places

  def decode(self, outputs: Mapping[str, Array]) -> tuple[jax.Array, jax.Array]:
    """Read keypoints and their probabilities off the maps."""
    return movenet.decode({name: outputs[name] for name in self.outputs}, self.stride, self.reach)

  def flip(
    self, outputs: Mapping[str, Array], flip_permutation: Array, shift: bool
  ) -> dict[str, jax.Array]:
    """Turn the maps back; they mirror exactly, so that `shift` means nothing here."""
    del shift
    return movenet.flip({name: outputs[name] for name in self.outputs}, flip_permutation)

  def target_maps(self, targets: Mapping[str, Array], weights: Array) -> Array:
    """Return the keypoints' bumps."""
    del weights
    return targets['keypoint_heatmaps']

  def output_maps(self, outputs: Mapping[str, Array]) -> Array:
    """Return the keypoints' probabilities."""
    return jax.nn.sigmoid(jnp.asarray(outputs['keypoint_heatmaps'], jnp.float32))
