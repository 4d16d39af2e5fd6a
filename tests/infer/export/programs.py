"""Functions of every kind that a net is made of, for each writer to write."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np


def floats(*shape, seed=0):
  return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


X = floats(3, 5, 4)
POSITIVE = np.abs(X) + 0.1
ELEMENTWISE = {
  'arithmetic': lambda x: (x + 1.5) * x - x / 3,
  'maximum': lambda x: jnp.maximum(jnp.minimum(x, 0.5), -x),
  'relu': jax.nn.relu,
  'sigmoid': jax.nn.sigmoid,
  'tanh': jnp.tanh,
  'silu': jax.nn.silu,
  'gelu': lambda x: jax.nn.gelu(x, approximate=False),
  'gelu, roughly': jax.nn.gelu,
  'erf': lax.erf,
  'softmax': jax.nn.softmax,
  'softplus': jax.nn.softplus,
  'leaky relu': lambda x: jax.nn.leaky_relu(x, 0.1),
  'hard sigmoid': jax.nn.hard_sigmoid,
  'clip': lambda x: jnp.clip(x, -0.5, 0.25),
  'clamp': lambda x: lax.clamp(-0.5, x, 0.25),
  'sign': jnp.sign,
  'rounding': lambda x: (jnp.floor(3 * x), jnp.ceil(3 * x), jnp.round(3 * x)),
  'rounding away': lambda x: lax.round(jnp.round(4 * x) / 2),
  'waves': lambda x: jnp.sin(x) + jnp.cos(x),
  'powers': lambda x: (x**2, x**3, jnp.square(x), jnp.exp2(x), jnp.expm1(x)),
  'comparison': lambda x: (x > 0, x >= x[:, ::-1], x < 0.1, x <= 0, x == x, x != x[:, ::-1]),
  'logic': lambda x: ((x > 0) & (x < 1), (x > 0) | (x < -1), ~(x > 0), (x > 0) ^ (x < 1)),
  'where': lambda x: jnp.where(x > 0, x, 2.0),
  'where, numbers': lambda x: jnp.where(x > 0, jnp.int32(3), jnp.int32(-1)),
  'where, truth': lambda x: jnp.where(x > 0, x > 1, x < -1),
  'finite': lambda x: jnp.isfinite(jnp.where(x > 0, x / 0, jnp.where(x < -1, jnp.nan, x))),
  'types': lambda x: ((10 * x).astype(jnp.int32), x.astype(bool), (x > 0).astype(jnp.float32)),
  'remainder': lambda x: lax.rem(x, jnp.float32(0.3)),
  'whole numbers': lambda x: ((10 * x).astype(jnp.int32) // 3, (10 * x).astype(jnp.int32) % 3),
  'numbers from the batch': lambda x: x.mean(0) + x.shape[0],
}


MOVING = {
  'transpose': lambda x: x.transpose(0, 2, 1),
  'flatten': lambda x: x.reshape(x.shape[0], -1),
  'cut and merge': lambda x: x.transpose(0, 2, 1).reshape(x.shape[0], 2, 2, 5).reshape(-1, 5),
  'merged batch': lambda x: x.reshape(-1, 4) * 2,
  'repeat': lambda x: jnp.broadcast_to(x[:, :, None], (x.shape[0], 5, 3, 4)).reshape(-1, 15, 4),
  'new axes': lambda x: x[:, None, :, None] + x[:, :, None, None],
  'slices': lambda x: (x[:, 1:4:2, -2:], x[:, 2], x[..., 0]),
  'reverse': lambda x: x[:, ::-1, ::-1],
  'places': lambda x: x[:, jnp.array([4, 0, 0, 2])],
  'places of two axes': lambda x: x[:, jnp.array([[4], [1]]), jnp.array([0, 3, 2])],
  'pad': lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=-2.0),
  'pad, cut off': lambda x: lax.pad(x, 1.0, ((0, 0, 0), (-1, 2, 0), (1, -2, 0))),
  'pad between': lambda x: lax.pad(x, 1.0, ((0, 0, 0), (1, 0, 2), (0, -1, 1))),
  'concatenate': lambda x: jnp.concatenate([x, x[:, :2], jnp.ones((x.shape[0], 1, 4))], 1),
  'stack': lambda x: jnp.stack([x, 2 * x], 2),
  'split': lambda x: tuple(jnp.split(x, [1, 3], 1)),
  'iota': lambda x: x + lax.broadcasted_iota(jnp.float32, x.shape, 1) * x.shape[0],
  'batch iota': lambda x: x + jnp.arange(x.shape[0])[:, None, None],
  'moving slice': lambda x: lax.dynamic_slice_in_dim(x, jnp.argmax(x.max((0, 2))), 3, 1),
  'take along': lambda x: jnp.take_along_axis(x, jnp.argsort(x, 1)[:, :2], 1),
  'take rows': lambda x: jnp.take_along_axis(x, jnp.argmax(x[..., :1], 1)[:, None], 1),
  'outside': lambda x: jnp.take_along_axis(x, jnp.array([[[7]]]) + 0 * x.astype(int)[:, :1], 1),
  'any order': lambda x: (x.transpose(0, 2, 1) + 1)[:, :, 1:].transpose(0, 2, 1) * x[:, 1:],
}


REDUCTIONS = {
  'sums': lambda x: (x.sum(1), x.sum((1, 2)), x.mean(-1), x.sum()),
  'extremes': lambda x: (x.max(1), x.min((1, 2)), jnp.prod(x, 1)),
  'of a repeated axis': lambda x: jnp.broadcast_to(x[:, None], (x.shape[0], 3, 5, 4)).sum(1),
  'truth': lambda x: ((x > 0).all(1), (x > 0).any((1, 2))),
  'places': lambda x: (jnp.argmax(x, 1), jnp.argmin(x, 2)),
  'cumulative': lambda x: (jnp.cumsum(x, 1), lax.cumsum(x, 2, reverse=True)),
  'sorting': lambda x: (jnp.sort(x, 1), jnp.argsort(x, 2)),
  'best': lambda x: lax.top_k(x, 2),
  'standard deviation': lambda x: x.std(1),
}
