"""Losses: one number per example, masked; the caller takes the mean over the batch.

Per example, so that an example whose loss is not finite can be named.
"""

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
