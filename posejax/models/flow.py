"""A density over the plane that is learnt: the normalising flow of residual log-likelihood estimation.

Source: Dinh et al., Density estimation using Real NVP (arXiv:1605.08803), in the size that Li et al.,
Human Pose Regression with Residual Log-likelihood Estimation (arXiv:2107.11291) give it: six coupling
layers of two nets with two hidden layers of 64 units (their code: rle/layers/real_nvp.py).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

HIDDEN = 64
KEPT = (1, 0, 1, 0, 1, 0)
"""Per coupling layer, from the normal distribution on: the coordinate that it leaves as it is."""


class _Dense(nn.Module):
  """A dense layer of every net of the flow at once: two nets (scale, shift) of each coupling layer."""

  features_in: int
  features: int

  def setup(self):
    """Create the parameters."""
    shape = (len(KEPT), 2, self.features_in, self.features)
    # Nearly zero at first (a gain of 0.01), so that the flow starts as the normal distribution.
    init = nn.initializers.variance_scaling(1e-4, 'fan_avg', 'uniform', batch_axis=(0, 1))
    self.kernel = self.param('kernel', init, shape)
    self.bias = self.param('bias', nn.initializers.zeros, (len(KEPT), 2, self.features))

  def __call__(self, layer: int, x: jax.Array) -> jax.Array:
    """Return `[2, P, features]` for `x` `[2, P, features_in]`."""
    return x @ self.kernel[layer] + self.bias[layer][:, None]


class RealNVP(nn.Module):
  """A flow between a standard normal distribution and a learnt one over points `[..., 2]`.

  Parameters: `dense1` to `dense3`, each of all nets together. Float32 always.
  """

  def setup(self):
    """Create the layers."""
    # The source's nets see both coordinates, of which the one that changes is masked as 0: the same.
    self.dense1, self.dense2 = _Dense(1, HIDDEN), _Dense(HIDDEN, HIDDEN)
    self.dense3 = _Dense(HIDDEN, 1)

  def forward(self, z: jax.Array) -> jax.Array:
    """Return the points that the normal distribution's `z` become."""
    for layer, kept in enumerate(KEPT):
      scale, shift = self._coupling(layer, z[..., kept : kept + 1])
      z = _with_other(z, kept, z[..., 1 - kept : 2 - kept] * jnp.exp(scale) + shift)
    return z

  def inverse(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return `(z, log of the volume that dz takes per dx, [...])`; undoes `forward`."""
    log_volume = jnp.zeros(x.shape[:-1])
    for layer, kept in reversed(list(enumerate(KEPT))):
      scale, shift = self._coupling(layer, x[..., kept : kept + 1])
      x = _with_other(x, kept, (x[..., 1 - kept : 2 - kept] - shift) * jnp.exp(-scale))
      log_volume -= scale[..., 0]
    return x, log_volume

  def __call__(self, x: jax.Array) -> jax.Array:
    """Return the logarithm of the learnt density at `x`, `[...]`."""
    z, log_volume = self.inverse(x)
    return log_volume - (z**2).sum(-1) / 2 - np.log(2 * np.pi)

  def _coupling(self, layer: int, kept: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return what the other coordinate is scaled by (its logarithm) and moved by, `[..., 1]` each."""
    x = jnp.broadcast_to(kept.reshape(-1, 1), (2, kept.size, 1))
    x = nn.leaky_relu(self.dense1(layer, x), 0.01)
    x = nn.leaky_relu(self.dense2(layer, x), 0.01)
    scale, shift = self.dense3(layer, x)
    return nn.tanh(scale).reshape(kept.shape), shift.reshape(kept.shape)


def _with_other(x: jax.Array, kept: int, other: jax.Array) -> jax.Array:
  """Return `x` with `other` in place of the coordinate that is not kept."""
  parts = [x[..., kept : kept + 1], other]
  return jnp.concatenate(parts if kept == 0 else parts[::-1], axis=-1)
