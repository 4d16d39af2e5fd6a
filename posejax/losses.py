"""Losses: one number per example, masked; the caller takes the mean over the batch.

Per example, so that an example whose loss is not finite can be named.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from posejax.errors import PosejaxError
from posejax.types import Array


def heatmap_mse(
  predicted: Array,
  target: Array,
  weights: Array,
  foreground_weight: float = 1.0,
  factor: float = 1.0,
) -> jax.Array:
  """Return the mean of `weight * (predicted - target)**2` over an example's cells and keypoints.

  The mean counts keypoints of weight 0 too, as in the published code: an example with few labelled
  keypoints has a small loss.

  Args:
    predicted: `[B, h, w, K]`, any floating dtype; reduced in float32.
    target: `[B, h, w, K]` in [0, 1].
    weights: `[B, K]`, 0 for what is not to be learnt.
    foreground_weight: a cell counts `1 + (foreground_weight - 1) * target`, so this many times at a
      keypoint and once on the background. Above 1 it keeps a small net from the easy answer of
      zeros everywhere (a bump covers less than a hundredth of a heatmap); 1 is the published loss.
    factor: on the whole. 1 as in mmpose; 0.5 as in the MSRA and HRNet code, which weigh both maps
      before the difference (the same for weights of 0 and 1).

  Returns:
    float32 `[B]`.

  Source: `KeypointMSELoss` of open-mmlab/mmpose mmpose/models/losses/heatmap_loss.py and
  `JointsMSELoss` of microsoft/human-pose-estimation.pytorch lib/core/loss.py.
  """
  return factor * _per_keypoint(predicted, target, weights, foreground_weight).mean(axis=-1)


def cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0) -> jax.Array:
  """Return the negative log-likelihood of the true classes, float32 `[B]`.

  Args:
    logits: `[B, C]`, any floating dtype.
    labels: int `[B]`.
    label_smoothing: share of the target that is spread over all C classes evenly.
      Source: Szegedy et al., "Rethinking the Inception Architecture" (arXiv:1512.00567).
  """
  logits = jnp.asarray(logits, jnp.float32)
  likelihood = jax.nn.log_softmax(logits)
  target = (1 - label_smoothing) * jax.nn.one_hot(labels, logits.shape[-1])
  return -((target + label_smoothing / logits.shape[-1]) * likelihood).sum(-1)


def heatmap_ohkm(
  predicted: Array,
  target: Array,
  weights: Array,
  num_hardest: int = 8,
  foreground_weight: float = 1.0,
  factor: float = 1.0,
) -> jax.Array:
  """Return `heatmap_mse` over an example's `num_hardest` worst keypoints only, float32 `[B]`.

  Online hard keypoint mining. The published form is `factor=0.5` with 8 of 17.

  Raises:
    PosejaxError: `num_hardest` is not between 1 and K.

  Source: Chen et al., "Cascaded pyramid network", CVPR 2018; `JointsOHKMMSELoss` of
  leoxiaobin/deep-high-resolution-net.pytorch lib/core/loss.py.
  """
  K = target.shape[-1]
  if not 1 <= num_hardest <= K:
    raise PosejaxError(f'num_hardest={num_hardest} must be between 1 and the {K} keypoints.')
  per_keypoint = _per_keypoint(predicted, target, weights, foreground_weight)
  hardest, _ = jax.lax.top_k(per_keypoint, num_hardest)
  return factor * hardest.mean(axis=-1)


def _per_keypoint(predicted, target, weights, foreground_weight) -> jax.Array:
  target = jnp.asarray(target, jnp.float32)
  squared = (jnp.asarray(predicted, jnp.float32) - target) ** 2
  if foreground_weight != 1:
    squared *= 1 + (foreground_weight - 1) * target
  return weights * squared.mean(axis=(1, 2))


def coordinate_mse(predicted: Array, target: Array, weights: Array) -> jax.Array:
  """Return the mean of `weight * (predicted - target)**2` over an example's keypoints, x and y.

  Args:
    predicted: `[B, K, 2]`, fractions of the crop.
    target: `[B, K, 2]`.
    weights: `[B, K]`, 0 for what is not to be learnt (it is counted in the mean).

  Returns:
    float32 `[B]`.

  Raises:
    PosejaxError: the net predicts sigmas, which this loss would leave untrained.
  """
  _refuse_sigmas(predicted)
  return _mean_over_keypoints((predicted - target) ** 2, weights)


def smooth_l1(predicted: Array, target: Array, weights: Array, beta: float = 0.02) -> jax.Array:
  """Return the mean of an error that is squared below `beta` and absolute above, as `coordinate_mse`.

  Args:
    predicted: `[B, K, 2]`, fractions of the crop.
    target: `[B, K, 2]`.
    weights: `[B, K]`.
    beta: where the two pieces meet, a fraction of the crop. The 1 that is common elsewhere, for
      coordinates in pixels, would make this half the squared error everywhere.

  Source: Girshick, "Fast R-CNN", ICCV 2015, with beta as in PyTorch's `SmoothL1Loss`.
  """
  _refuse_sigmas(predicted)
  if not beta > 0:
    raise PosejaxError(f'config.loss.beta={beta} must be above 0.')
  return _mean_over_keypoints(huber(predicted - target, beta), weights)


def huber(error: Array, beta: float) -> jax.Array:
  """Return `smooth_l1`'s two pieces, entry by entry."""
  size = jnp.abs(error)
  return jnp.where(size < beta, size**2 / (2 * beta), size - beta / 2)


def residual_log_likelihood(
  predicted: Array,
  target: Array,
  weights: Array,
  log_density: Callable[[jax.Array], jax.Array],
) -> jax.Array:
  """Return the negative log-likelihood of the labels where the shape of the errors is learnt too.

  An error in units of the net's own sigma, `e = (predicted - target) / sigma`, is taken to follow a
  Laplace distribution times a learnt one. Per keypoint, constants apart:
  `sum(2 log sigma + |e|) - 2 log density(e)`. (The published code sums a `[B, K, 2]` and a `[B, K, 1]`
  array, so the density counts once for x and once for y; and so does each log sigma, in either
  part. Halved, it is a likelihood whose Laplace part is twice as wide.) The Laplace part is mmpose's;
  the authors' own code has `|e| / sqrt(2)` there and so weighs it 0.71 times as much.

  Args:
    predicted: `[B, K, 4]`: x, y and the logits of their sigmas, fractions of the crop.
    target: `[B, K, 2]`.
    weights: `[B, K]`, 0 for what is not to be learnt (it is counted in the mean).
    log_density: `[B, K, 2] -> [B, K]`, the logarithm of the learnt density.

  Returns:
    float32 `[B]`, the mean over keypoints, x and y. It can be negative.

  Raises:
    PosejaxError: the net predicts no sigmas.

  Source: Li et al., "Human Pose Regression with Residual Log-likelihood Estimation", ICCV 2021;
  `RLELoss` of open-mmlab/mmpose mmpose/models/losses/regression_loss.py; the authors' `RLELoss` is in
  Jeff-sjtu/res-loglikelihood-regression rlepose/models/criterion.py.
  """
  if predicted.shape[-1] != 4:
    raise PosejaxError(
      "config.loss.name='rle' needs a net that predicts sigmas, and this one has "
      f'{predicted.shape[-1]} numbers per keypoint instead of 4; set config.model.sigmas=True.'
    )
  log_sigma = jax.nn.log_sigmoid(predicted[..., 2:])
  # No sigma is below 1e-6 of the crop here: the error in its units stays finite.
  error = (predicted[..., :2] - target) / jnp.maximum(jnp.exp(log_sigma), 1e-6)
  # What counts for nothing must not reach the density, whose gradient would not be finite for all.
  error = jnp.where(weights[..., None] > 0, error, 0.0)
  likelihood = log_density(error)[..., None] - 2 * log_sigma - jnp.abs(error)
  return _mean_over_keypoints(-likelihood, weights)


def pixel_cross_entropy(
  logits: Array,
  classes: Array,
  weights: Array,
  background_share: float = 0.5,
  focus: float = 0.0,
) -> jax.Array:
  """Return the cross-entropy of every pixel's class, balanced between keypoints and background.

  Nine tenths of a crop are background, and a net that calls everything so is right nearly
  everywhere. Therefore an example's loss is a weighted mean of two means: over the background's
  pixels, which together get `background_share`, and over the keypoints'. The class of a keypoint
  of weight 0 takes no part: its pixels, wherever they are, teach nothing about it.

  Args:
    logits: `[B, H, W, K + 1]`, any floating dtype.
    classes: int `[B, H, W]`, 0 for the background.
    weights: `[B, K]`, 0 for a keypoint that is not to be learnt.
    background_share: of the loss, between 0 and 1. About 0.9 would be no balancing.
    focus: pixels count `(1 - p)**focus` times, with p the probability of their class, so that those
      already learnt count less; 0 is none, 2 the published value.

  Returns:
    float32 `[B]`.

  Source: the share is the class balance of Xie & Tu, "Holistically-Nested Edge Detection", ICCV 2015
  (0.5 of the loss for either side); the focus is Lin et al., "Focal Loss for Dense Object
  Detection", ICCV 2017.
  """
  if not 0 <= background_share <= 1:
    raise PosejaxError(f'config.loss.background_share={background_share} must lie in [0, 1].')
  known = jnp.concatenate([jnp.ones_like(weights[:, :1]), weights], axis=1)[:, None, None]
  logits = jnp.where(known > 0, jnp.asarray(logits, jnp.float32), -1e9)
  # A product with ones and zeros: the gradient of picking by index is slow on CPUs.
  one_hot = classes[..., None] == jnp.arange(logits.shape[-1])
  log_likelihood = jnp.where(one_hot, jax.nn.log_softmax(logits), 0.0).sum(axis=-1)
  loss = -log_likelihood
  if focus:
    # Not below the smallest gap to 1: the gradient of a power of 0 may not be finite.
    loss *= jnp.maximum(-jnp.expm1(log_likelihood), 1e-6) ** focus
  background = classes == 0
  return background_share * _mean_where(loss, background) + (1 - background_share) * _mean_where(
    loss, ~background
  )


def _refuse_sigmas(predicted) -> None:
  if predicted.shape[-1] != 2:
    raise PosejaxError(
      f'The net has {predicted.shape[-1]} numbers per keypoint, and this loss trains x and y only; set '
      "config.model.sigmas=False, or config.loss.name='rle'."
    )


def _mean_over_keypoints(values, weights) -> jax.Array:
  return (weights[..., None] * values).astype(jnp.float32).mean(axis=(1, 2))


def _mean_where(values, where) -> jax.Array:
  """Return each example's mean over the pixels that are wanted; 0 where there are none."""
  return jnp.where(where, values, 0.0).sum(axis=(1, 2)) / jnp.maximum(where.sum(axis=(1, 2)), 1)
