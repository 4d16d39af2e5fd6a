"""Heatmap codecs: keypoints as Gaussian bumps and back again.

Heatmaps are `[B, h, w, K]`. The cell of a crop's point is `x / stride`, where the stride is W / w
for `Msra` and `Dark` and (W - 1) / (w - 1) for `Udp`, and the same of heights for y.
"""

import abc
from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from posejax.codecs import peaks
from posejax.codecs.base import OneOutput
from posejax.types import Array


@dataclasses.dataclass(frozen=True)
class HeatmapCodec(OneOutput):
  """What the heatmap codecs share.

  Attributes:
    heatmap_size: (h, w) of its output in cells.
    sigma: standard deviation of the bump in cells; published results have 2 at 256x192 and 3 at
      384x288.
    shift_flip: whether the flip test moves the mirrored heatmaps by one cell unless told otherwise.
  """

  heatmap_size: tuple[int, int]
  sigma: float = 2.0

  outputs: ClassVar[tuple[str, ...]] = ('heatmaps',)

  def __post_init__(self):
    super().__post_init__()
    self._check_size('heatmap_size')
    self._check_positive('sigma')

  @classmethod
  def fit(
    cls, crop_size: tuple[int, int], shapes: Mapping[str, tuple[int, ...]], **fields: Any
  ) -> 'HeatmapCodec':
    """Return the codec for a net whose heatmaps are `[B, h, w, K]`."""
    return cls(**{'crop_size': crop_size, 'heatmap_size': shapes[cls.outputs[0]][1:3], **fields})

  @property
  def stride(self) -> np.ndarray:
    """float32 `[2]`: (x, y) pixels of the crop per cell."""
    (H, W), (h, w) = self.crop_size, self.heatmap_size
    return np.array([W / w, H / h], np.float32)

  @property
  def cell(self) -> tuple[float, float]:
    """(x, y) pixels of the crop of a cell of the heatmap."""
    return tuple(self.stride.tolist())

  def _encode(self, keypoints_crop: Array, visibility: Array) -> tuple[jax.Array, jax.Array]:
    """Draw the heatmaps that a net should output.

    Args:
      keypoints_crop: `[B, K, 2]` in the crop frame; ignored where not labelled.
      visibility: `[B, K]`, above 0 where labelled.

    Returns:
      `(heatmaps [B, h, w, K], weights [B, K])`: bumps of height 1 on zeros, and 1 where a keypoint
      is labelled and its bump touches the heatmap, else 0 (and a heatmap of zeros).
    """
    labelled = jnp.asarray(visibility) > 0
    # Whatever stands where nothing is labelled, NaN included, must not reach the arithmetic.
    keypoints = jnp.where(labelled[..., None], jnp.asarray(keypoints_crop, jnp.float32), 0.0)
    mean, patch = self._place(keypoints / self.stride)
    drawn = labelled & self._touches(mean if patch is None else patch)
    return self._draw(mean, patch, drawn), drawn.astype(jnp.float32)

  def _decode(self, outputs: Array) -> tuple[jax.Array, jax.Array]:
    """Read keypoints off heatmaps `[B, h, w, K]`.

    Returns:
      `(keypoints_crop [B, K, 2], scores [B, K])`. A score is the heatmap's maximum; where it is not
      above 0, the keypoint is (0, 0). Keypoints are finite whatever the heatmaps hold.
    """
    heatmaps = jnp.asarray(outputs, jnp.float32)
    x, y, scores = peaks.maximum(heatmaps)
    step = jnp.stack(self._refine(heatmaps, x, y), axis=-1)
    step = jnp.where((scores > 0)[..., None] & jnp.isfinite(step), step, 0.0)
    return (jnp.stack([x, y], axis=-1) + step) * self.stride, scores

  @abc.abstractmethod
  def _refine(self, heatmaps: jax.Array, x: jax.Array, y: jax.Array):
    """Return the step `(x, y)` from the highest cell to the keypoint, in cells, `[B, K]` each."""

  def _flip(self, outputs: Array, flip_permutation: Array, shift: bool) -> jax.Array:
    """Mirror the heatmaps, exchange left and right, and move by one cell to the right if `shift`.

    With a stride of W / w a mirrored cell lands (stride - 1) / stride of a cell too far left; the
    whole cell is what published results of `Msra` shifted by.

    Source: `SHIFT_HEATMAP` of microsoft/human-pose-estimation.pytorch lib/core/function.py.
    """
    outputs = jnp.asarray(outputs)[:, :, ::-1, np.asarray(flip_permutation)]
    return peaks.shift_right(outputs) if shift else outputs

  def _target_maps(self, targets: Array, weights: Array) -> Array:
    """Return the targets; a heatmap that counts for nothing is empty."""
    del weights
    return targets

  def _output_maps(self, outputs: Array) -> Array:
    """Return the heatmaps as they are."""
    return outputs

  @abc.abstractmethod
  def _place(self, cells: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """Return where the bumps of keypoints at `cells [B, K, 2]` stand, and their patches' centres.

    Without patches (None) the bumps are not cut off.
    """

  def _draw(self, mean: jax.Array, patch: jax.Array | None, drawn: jax.Array) -> jax.Array:
    """Draw Gaussians around `mean [B, K, 2]`, cut off beyond 3 sigma of `patch`.

    A Gaussian is the product of one along x and one along y, and so is a square patch.
    """
    profiles = []
    for axis, length in ((1, self.heatmap_size[0]), (0, self.heatmap_size[1])):
      cells = jnp.arange(length, dtype=jnp.float32)[:, None]
      profile = jnp.exp(-((cells - mean[:, None, :, axis]) ** 2) / (2 * self.sigma**2))
      if patch is not None:
        inside = jnp.abs(cells - patch[:, None, :, axis]) <= 3 * self.sigma
        profile = jnp.where(inside, profile, 0.0)
      profiles.append(profile)
    along_y, along_x = profiles
    along_y = jnp.where(drawn[:, None], along_y, 0.0)
    return along_y[:, :, None] * along_x[:, None]

  def _touches(self, center: jax.Array) -> jax.Array:
    """Return where a patch of 3 sigma around `center [B, K, 2]` meets the heatmap, bool `[B, K]`.

    The published code allows one cell more on the left and above: such a target is all zeros.
    """
    h, w = self.heatmap_size
    radius = 3 * self.sigma
    return jnp.all((center - radius < jnp.array([w, h])) & (center + radius + 1 >= 0), axis=-1)

  @property
  def _blur_radius(self) -> int:
    """Kernel 11 for sigma 2 and 17 for sigma 3, as published; on the line through both elsewhere."""
    return max(1, round(3 * self.sigma - 1))


@dataclasses.dataclass(frozen=True)
class Msra(HeatmapCodec):
  """Bumps on whole cells, read off with a quarter of a cell towards the higher neighbour.

  Encoding rounds to `int(cell + 0.5)` (towards zero, as Python's `int`) and draws a square patch of
  3 sigma each way: 13 x 13 cells at sigma 2. Decoding adds the quarter only where the maximum is
  neither in the two first nor in the last row or column, for both axes at once (mmpose decides per
  axis), and adds no half pixel.

  Source: `generate_target` and `get_final_preds` of microsoft/human-pose-estimation.pytorch
  lib/dataset/JointsDataset.py and lib/core/inference.py (Xiao et al., ECCV 2018).
  """

  convention: ClassVar[str] = 'msra'
  shift_flip: ClassVar[bool] = True

  def _place(self, cells):
    center = jnp.trunc(cells + 0.5)
    return center, center

  def _refine(self, heatmaps, x, y):
    _, h, w, _ = heatmaps.shape
    cells = peaks.patch(heatmaps, x, y, radius=1)
    inside = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
    quarter = jnp.where(inside, 0.25, 0.0)
    return (
      quarter * jnp.sign(cells[1, 2] - cells[1, 0]),
      quarter * jnp.sign(cells[2, 1] - cells[0, 1]),
    )


@dataclasses.dataclass(frozen=True)
class Dark(HeatmapCodec):
  """Bumps where the keypoints are, read off by a Taylor step on the smoothed logarithm.

  Encoding neither rounds nor cuts off. Decoding smooths, takes log(max(., 1e-10)) and steps by the
  gradient and a Hessian from cells two apart, where the maximum is at least two cells from every
  border (three on the right and below).

  The flip test shifts, as mmpose's DARK configs do, because cells stand where `Msra`'s do: a quarter
  of a cell is left over, without it three quarters. DarkPose's own code needs no shift: it aligns
  crop and heatmap at the corners, as `Udp` does here.

  Source: Zhang et al., "Distribution-aware coordinate representation", CVPR 2020;
  `generate_unbiased_gaussian_heatmaps` and `refine_keypoints_dark` of open-mmlab/mmpose.
  """

  convention: ClassVar[str] = 'msra'
  shift_flip: ClassVar[bool] = True

  def _place(self, cells):
    return cells, None

  def _refine(self, heatmaps, x, y):
    _, h, w, _ = heatmaps.shape
    cells = peaks.patch(peaks.blur(heatmaps, self._blur_radius), x, y, radius=2)
    log = jnp.log(jnp.maximum(cells, 1e-10))
    inside = (x > 1) & (x < w - 2) & (y > 1) & (y < h - 2)
    step_x, step_y = peaks.newton_step(
      dx=0.5 * (log[2, 3] - log[2, 1]),
      dy=0.5 * (log[3, 2] - log[1, 2]),
      dxx=0.25 * (log[2, 4] - 2 * log[2, 2] + log[2, 0]),
      dxy=0.25 * (log[3, 3] - log[1, 3] - log[3, 1] + log[1, 1]),
      dyy=0.25 * (log[4, 2] - 2 * log[2, 2] + log[0, 2]),
      limit=max(h, w),
    )
    return jnp.where(inside, step_x, 0.0), jnp.where(inside, step_y, 0.0)


@dataclasses.dataclass(frozen=True)
class Udp(HeatmapCodec):
  """Bumps where the keypoints are, on a grid whose corners are the crop's corners.

  The first and last cells stand for the first and last pixels, so that mirroring a crop mirrors its
  heatmaps exactly. Encoding cuts off the patch around the rounded cell, the bump in it is not
  rounded. Decoding smooths, clips to [1e-3, 50], takes the logarithm and steps by the gradient and
  a Hessian from cells one apart, on every cell (edge padding).

  Source: Huang et al., "The devil is in the details", CVPR 2020; `generate_udp_gaussian_heatmaps`
  and `refine_keypoints_dark_udp` of open-mmlab/mmpose 1.x. (UDP-Pose smooths with 7 cells instead,
  reflected at the border, and stretches to the old maximum from 0.)
  """

  convention: ClassVar[str] = 'udp'
  shift_flip: ClassVar[bool] = False

  @property
  def stride(self):
    """float32 `[2]`: (x, y) pixels of the crop per cell."""
    (H, W), (h, w) = self.crop_size, self.heatmap_size
    return np.array([(W - 1) / (w - 1), (H - 1) / (h - 1)], np.float32)

  def _place(self, cells):
    return cells, jnp.trunc(cells + 0.5)

  def _refine(self, heatmaps, x, y):
    _, h, w, _ = heatmaps.shape
    cells = peaks.patch(peaks.blur(heatmaps, self._blur_radius), x, y, radius=1)
    log = jnp.log(jnp.clip(cells, 1e-3, 50.0))
    left, right, above, below, here = log[1, 0], log[1, 2], log[0, 1], log[2, 1], log[1, 1]
    epsilon = np.finfo(np.float32).eps
    return peaks.newton_step(
      dx=0.5 * (right - left),
      dy=0.5 * (below - above),
      dxx=right - 2 * here + left + epsilon,
      dxy=0.5 * (log[2, 2] + log[0, 0] + 2 * here - left - right - above - below),
      dyy=below - 2 * here + above + epsilon,
      limit=max(h, w),
    )
