"""Normalisation: by batches, by nothing any more, by groups of channels."""

from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from posejax import devices
from posejax.models.layers import remat, sums


class BatchNorm(nn.Module):
  """Batch normalisation over all axes but the last, with float32 statistics.

  `group_size=g` splits the batch into consecutive groups of g examples, each normalised by its own
  statistics: what training on B / g devices with local batch norm computes. Running statistics then
  move towards the mean over groups of the means and of the variances. Without it the batch is one group.

  In a training step that runs once per device on its share of the batch, groups are those of the
  whole batch all the same: within a share they need nothing of other devices; one that spans several
  shares is put together from what each knows, by one exchange forward and one backward. The running
  statistics are then those of this device's groups, which the step averages over the devices.

  The running variance is the unbiased one, `n / (n - 1)` times the variance that normalises, as
  PyTorch stores it (Flax stores the biased one): it estimates the population's variance, which is
  what evaluation needs, and converted weights mean the same. momentum .9 here is PyTorch's .1.
  """

  group_size: int | None = None
  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x, train: bool, shortcut: jax.Array | None = None):
    """Normalise; `train` uses the batch's statistics and updates the running ones.

    With a `shortcut` of the same shape, return the rectified sum of both, as residual blocks end.
    """
    c = x.shape[-1]
    scale = self.param('scale', nn.initializers.ones, (c,), jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, (c,), jnp.float32)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, (c,), jnp.float32)
    running_var = self.variable('batch_stats', 'var', jnp.ones, (c,), jnp.float32)
    shape = x.shape
    if shortcut is not None:
      shortcut = shortcut.astype(self.dtype)
    if train:
      inside, shares = _split(shape[0], self.group_size)
      x = x.reshape(shape[0] // inside, inside, *shape[1:])
      axes = tuple(range(1, x.ndim - 1))
      x32 = x.astype(jnp.float32)
      mean = x32.mean(axes, keepdims=True)
      var = jnp.square(x32 - mean).mean(axes, keepdims=True)
      if shares > 1:
        mean, var = _of_shares(mean, var, shares, running_mean.value)
      if not self.is_initializing():
        n = shares * x.size // (x.shape[0] * c)
        m = self.momentum
        batch_mean = mean.reshape(-1, c).mean(0)
        batch_var = var.reshape(-1, c).mean(0) * (n / max(n - 1, 1))
        running_mean.value = m * running_mean.value + (1 - m) * batch_mean
        running_var.value = m * running_var.value + (1 - m) * batch_var
    else:
      mean, var = running_mean.value, running_var.value
    factor = scale * lax.rsqrt(var + self.epsilon)
    offset = bias - mean * factor
    if shortcut is not None and not train:
      return sums.scale_add_relu(x, factor, offset, shortcut)
    y = (x.astype(jnp.float32) * factor + offset).reshape(shape).astype(self.dtype)
    # Training keeps what it normalised for the gradients, so that joining in the sum saves nothing.
    return y if shortcut is None else sums.add_relu(y, shortcut)


class FrozenBatchNorm(nn.Module):
  """Batch normalisation whose four vectors all stay as they are, in training too.

  They are `batch_stats`: `scale`, `bias`, `mean`, `var`. Called as `BatchNorm` is.
  Source: torchvision/ops/misc.py, `FrozenBatchNorm2d`.
  """

  epsilon: float = 1e-5
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x, train: bool, shortcut: jax.Array | None = None):
    """Normalise; with a `shortcut` of the same shape, return the rectified sum of both."""
    del train
    shape = (x.shape[-1],)
    start = {'scale': jnp.ones, 'bias': jnp.zeros, 'mean': jnp.zeros, 'var': jnp.ones}
    scale, bias, mean, var = (
      self.variable('batch_stats', name, init, shape, jnp.float32).value
      for name, init in start.items()
    )
    factor = scale * lax.rsqrt(var + self.epsilon)
    offset = bias - mean * factor
    if shortcut is not None:
      return sums.scale_add_relu(x, factor, offset, shortcut.astype(self.dtype))
    return (x.astype(jnp.float32) * factor + offset).astype(self.dtype)


class GroupNorm(nn.Module):
  """Normalisation of each picture by itself, over groups of channels. Called as `BatchNorm` is.

  The same whatever else is in the batch, which is small where pictures are large. Parameters: `norm`.
  Source: Wu and He, arXiv:1803.08494: 32 groups.
  """

  groups: int = 32
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x, train: bool, shortcut: jax.Array | None = None):
    """Normalise; with a `shortcut` of the same shape, return the rectified sum of both."""
    del train
    y = nn.GroupNorm(self.groups, epsilon=1e-5, dtype=self.dtype, name='norm')(x)
    return y if shortcut is None else sums.add_relu(y, shortcut.astype(self.dtype))


def _split(share: int, group_size: int | None) -> tuple[int, int]:
  """Return how many examples of a group lie in one device's share, and over how many shares it goes."""
  num_shares = devices.num_shares()
  group = group_size or share * num_shares
  if share % group == 0:
    return group, 1
  if group % share or num_shares % (group // share):
    raise ValueError(
      f'bn_group_size={group} must divide the batch of {share * num_shares} examples and, on '
      f'{num_shares} devices, divide their share of {share} or be a multiple of it.'
    )
  return share, group // share


def _of_shares(
  mean: jax.Array, var: jax.Array, shares: int, near: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Return mean and variance of what `shares` neighbouring devices hold, from those of each.

  The variance is the mean of the variances plus the variance of the means. The latter is taken around
  `near`, a mean of earlier batches: so one exchange does, and little is lost to rounding. Source: Chan,
  Golub and LeVeque, "Algorithms for Computing the Sample Variance" (1983).
  """
  num_shares = devices.num_shares()
  groups = [list(range(i, i + shares)) for i in range(0, num_shares, shares)]
  moved = mean - near
  moved, var, square = remat.kept(
    lax.pmean(
      jnp.stack([moved, var, jnp.square(moved)]),
      devices.AXES,
      axis_index_groups=groups if shares < num_shares else None,
    )
  )
  return near + moved, var + jnp.maximum(square - jnp.square(moved), 0.0)
