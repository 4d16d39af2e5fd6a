"""Coordinates themselves as what a net outputs, without any map."""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from posejax.codecs.base import OneOutput
from posejax.types import Array

_MAP_SIZE = 64
_BUMP = 0.02


@dataclasses.dataclass(frozen=True)
class Regression(OneOutput):
  """Keypoints as fractions of the crop: (x / W, y / H), so (0, 0) is the first pixel's centre.

  Outputs are `[B, K, 2]`, or `[B, K, 4]` where the net says how sure it is: x and y, then the
  logits of their standard deviations (`sigmas`), fractions of the crop too. A keypoint that lies
  outside the crop is not to be learnt: its weight is 0.

  The score of a keypoint is 1 minus the mean of its two sigmas. A net without sigmas has no idea of
  its certainty: all its scores are 1, and people are ranked by their boxes alone.

  Mirroring takes x to `1 - x - 1 / W`; `shift` False leaves the last part away, as published code
  does.

  Source: `RegressionLabel` of open-mmlab/mmpose mmpose/codecs/regression_label.py; the scores are
  those of Li et al., "Human Pose Regression with Residual Log-likelihood Estimation", ICCV 2021.
  """

  outputs: ClassVar[tuple[str, ...]] = ('coordinates',)
  convention: ClassVar[str] = 'msra'
  shift_flip: ClassVar[bool] = True
  rescoring: ClassVar[str] = 'sum'

  @property
  def _size(self) -> np.ndarray:
    """(W, H), as points are (x, y)."""
    return np.array(self.crop_size[::-1], np.float32)

  def _encode(self, keypoints_crop: Array, visibility: Array) -> tuple[jax.Array, jax.Array]:
    """Return `(fractions of the crop [B, K, 2], weights [B, K])`; 0 and weight 0 if not labelled."""
    labelled = jnp.asarray(visibility) > 0
    points = jnp.where(labelled[..., None], jnp.asarray(keypoints_crop, jnp.float32), 0.0)
    inside = jnp.all((points >= 0) & (points <= self._size - 1), axis=-1)
    return points / self._size, (labelled & inside).astype(jnp.float32)

  def _decode(self, outputs: Array) -> tuple[jax.Array, jax.Array]:
    """Return points in the crop and their scores; a coordinate that is not finite becomes 0."""
    outputs = jnp.asarray(outputs, jnp.float32)
    points = outputs[..., :2] * self._size
    scores = jnp.ones(outputs.shape[:-1], jnp.float32)
    if outputs.shape[-1] == 4:
      scores = 1 - sigmas(outputs).mean(axis=-1)
    return jnp.where(jnp.isfinite(points), points, 0.0), scores

  def _flip(self, outputs: Array, flip_permutation: Array, shift: bool) -> jax.Array:
    """Mirror x, and exchange left and right."""
    outputs = jnp.asarray(outputs)[:, np.asarray(flip_permutation)]
    last = 1 - 1 / self.crop_size[1] if shift else 1.0
    return jnp.concatenate([last - outputs[..., :1], outputs[..., 1:]], axis=-1)

  def average(
    self, outputs: Mapping[str, Array], mirrored: Mapping[str, Array]
  ) -> dict[str, jax.Array]:
    """Average coordinates, and sigmas rather than their logits.

    Source: `RLEHead.predict` of open-mmlab/mmpose
    mmpose/models/heads/regression_heads/rle_head.py; `validate` of
    Jeff-sjtu/res-loglikelihood-regression rlepose/trainer.py.
    """
    one, other = (jnp.asarray(found[self.output]) for found in (outputs, mirrored))
    points = (one[..., :2] + other[..., :2]) / 2
    logits = one[..., 2:], other[..., 2:]
    # The logit of a mean of sigmoids, through logarithms, which do not saturate.
    above = jnp.logaddexp(*map(jax.nn.log_sigmoid, logits))
    below = jnp.logaddexp(*(jax.nn.log_sigmoid(-logit) for logit in logits))
    return {self.output: jnp.concatenate([points, above - below], axis=-1)}

  @property
  def map_cell(self) -> tuple[float, float]:
    """(x, y) pixels of the crop of a cell of the maps."""
    H, W = self.crop_size
    return W / _MAP_SIZE, H / _MAP_SIZE

  def _target_maps(self, targets: Array, weights: Array) -> jax.Array:
    """Return a bump at each target that counts, for people to look at."""
    return self._output_maps(targets) * jnp.asarray(weights)[:, None, None]

  def _output_maps(self, outputs: Array) -> jax.Array:
    """Return a bump at each keypoint, for people to look at.

    All are of one size: a sigma says how sure the net is of one keypoint against another, in units
    that a flow has learnt beside it.
    """
    outputs = jnp.asarray(outputs, jnp.float32)
    cells = jnp.arange(_MAP_SIZE, dtype=jnp.float32)[:, None] / _MAP_SIZE
    x, y = (jnp.exp(-(((cells - outputs[:, None, :, i]) / _BUMP) ** 2) / 2) for i in (0, 1))
    return y[:, :, None] * x[:, None]


def sigmas(outputs: jax.Array) -> jax.Array:
  """Return the standard deviations `[B, K, 2]` of outputs `[B, K, 4]`, in (0, 1)."""
  return jax.nn.sigmoid(outputs[..., 2:])
