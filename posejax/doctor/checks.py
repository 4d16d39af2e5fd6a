"""The checks: this machine's JAX against float64 NumPy, where silent numerical faults show.

Sizes are small and not square. Each check returns what it measured and what would be too much.
"""

from collections.abc import Iterable
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from posejax.doctor import reference
from posejax.models import layers


@dataclasses.dataclass(frozen=True)
class Check:
  """One measured error, relative to the size of what was computed.

  Attributes:
    name: what was checked.
    error: what was measured; not finite counts as too much.
    tolerance: how much may be.
    canary: whether it is a form of computation that posejax itself avoids because compilers get it
      wrong: where it fails by default too, that is no fault of this machine's settings.
    remedy: what helps where that is known.
  """

  name: str
  error: float
  tolerance: float
  canary: bool = False
  remedy: str = ''

  @property
  def ok(self) -> bool:
    """Whether the error is within the tolerance."""
    return bool(self.error <= self.tolerance)


# (batch, height, width, channels of the input), then the blocks' features. A fusion flag of jaxlib
# 0.10.2 gives gradients that are wrong by more than their size at the first three, and right ones at
# the last.
SMALL = ((2, 16, 12, 3), (32, 64))
MEDIUM = ((8, 32, 24, 3), (32, 64))
LARGE = ((16, 64, 48, 3), (32, 64))
SHAPES = (SMALL, MEDIUM, LARGE, ((64, 32, 32, 3), (16, 16)))


def _tolerance() -> float:
  # Accelerators round products to fewer bits by default. On CPUs the error is 1e-6, or up to 1e-3
  # where rounding decides which of two nearly equal values is a window's maximum.
  return 1e-2 if jax.default_backend() == 'cpu' else 5e-2


def _relative(value, expected) -> float:
  value = np.asarray(value, np.float64)
  return float(np.linalg.norm(value - expected) / np.linalg.norm(expected))


class _Blocks(nn.Module):
  """Convolution with bias, batch norm, ReLU and 2x2 maximum, repeated."""

  features: tuple[int, ...]
  canary: bool

  @nn.compact
  def __call__(self, x):
    for i, features in enumerate(self.features):
      if self.canary:
        # The gradient of this maximum compares each value with the maximum, exactly. Compilers
        # compute the values anew for that, and where they round differently the second time nothing
        # is equal to the maximum and the gradient is lost. Fusion decides where that happens.
        x = nn.Conv(features, (3, 3), name=f'conv{i}')(x)
        x = nn.BatchNorm(False, epsilon=reference.EPSILON, name=f'bn{i}')(x)
        b, h, w, c = x.shape
        x = nn.relu(x).reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))
      else:
        x = layers.Conv(features, bias=True, name=f'conv{i}')(x)
        x = layers.BatchNorm(epsilon=reference.EPSILON, name=f'bn{i}')(x, True)
        x = layers.max_pool(nn.relu(x), 2)
    return x


def _random_blocks(shape, features):
  """Return parameters of the blocks (float32), an input and a target."""
  rng = np.random.default_rng(0)

  def draw(*sizes, mean=0.0, deviation=1.0):
    return rng.normal(mean, deviation, sizes).astype(np.float32)

  b, h, w, c = shape
  params = []
  for d in features:
    kernel = draw(3, 3, c, d, deviation=(9 * c) ** -0.5)
    params.append(
      {'kernel': kernel, 'bias': draw(d), 'scale': draw(d, mean=1, deviation=0.1), 'shift': draw(d)}
    )
    h, w, c = h // 2, w // 2, d
  return params, draw(*shape), draw(b, h, w, c)


def _variables(params):
  tree = {}
  for i, block in enumerate(params):
    tree[f'conv{i}'] = {'kernel': block['kernel'], 'bias': block['bias']}
    tree[f'bn{i}'] = {'scale': block['scale'], 'bias': block['shift']}
  return tree


def blocks(shape: tuple[int, ...], features: tuple[int, ...], canary: bool) -> list[Check]:
  """Check the gradients of two blocks, and that a bias before batch norm has none."""
  params, x, target = _random_blocks(shape, features)
  net = _Blocks(features, canary)

  @jax.jit
  def gradient(params, x, target):
    def loss(params):
      y, _ = net.apply({'params': params}, x, mutable=['batch_stats'])
      return jnp.mean(jnp.square(y - target))

    return jax.value_and_grad(loss)(params)

  loss, found = jax.device_get(gradient(_variables(params), x, target))
  expected_loss, expected = reference.blocks(params, x, target)
  errors = [abs(float(loss) - expected_loss) / expected_loss]
  biases = []
  for i, block in enumerate(expected):
    conv, bn = found[f'conv{i}'], found[f'bn{i}']
    errors.append(_relative(conv['kernel'], block['kernel']))
    errors.append(_relative(bn['scale'], block['scale']))
    errors.append(_relative(bn['bias'], block['shift']))
    biases.append(np.abs(conv['bias']).max() / np.abs(block['kernel']).max())
  pool = 'maximum over axes' if canary else 'pooling'
  size = f'{"x".join(map(str, shape))}, {" and ".join(map(str, features))} features'
  return [
    Check(f'gradients of conv-BN-ReLU-{pool}, {size}', max(errors), _tolerance(), canary),
    Check(
      f'zero gradient of a bias before BN, {pool}, {size}', max(biases), _tolerance() / 10, canary
    ),
  ]


def pooling(window: int, padding: int, shape: tuple[int, ...]) -> list[Check]:
  """Check max pooling, which is exact, and its gradient, which adds at most four numbers."""
  rng = np.random.default_rng(1)
  x = rng.standard_normal(shape).astype(np.float32)
  y, _ = reference.max_pool(x, None, window, padding)
  dy = rng.standard_normal(y.shape).astype(np.float32)
  _, dx = reference.max_pool(x, dy, window, padding)

  @jax.jit
  def both(x, dy):
    y, pull = jax.vjp(lambda x: layers.max_pool(x, window, padding=padding), x)
    return y, pull(dy)[0]

  found, gradient = jax.device_get(both(x, dy))
  name = f'{window}x{window} max pooling, {"x".join(map(str, shape))}'
  return [
    Check(name, _relative(found, y), 0.0),
    Check(f'gradient of {name}', _relative(gradient, dx), 1e-6),
  ]


def deconvolution(shape: tuple[int, ...], features: int) -> list[Check]:
  """Check the doubling deconvolution and its gradients."""
  rng = np.random.default_rng(2)
  b, h, w, c = shape
  x = rng.standard_normal(shape).astype(np.float32)
  kernel = rng.standard_normal((4, 4, c, features)).astype(np.float32)
  dy = rng.standard_normal((b, 2 * h, 2 * w, features)).astype(np.float32)

  @jax.jit
  def both(x, kernel, dy):
    y, pull = jax.vjp(layers.deconv2d, x, kernel)
    return y, *pull(dy)

  found = jax.device_get(both(x, kernel, dy))
  expected = reference.deconv(x, kernel, dy)
  names = ('', ', gradient for the input', ', gradient for the kernel')
  return [
    Check(f'deconvolution, {"x".join(map(str, shape))}{name}', _relative(f, e), _tolerance())
    for name, f, e in zip(names, found, expected, strict=True)
  ]


def precision() -> list[Check]:
  """Check that products of matrices keep the bits that this kind of device should keep."""
  rng = np.random.default_rng(3)
  a, b = rng.standard_normal((2, 384, 384)).astype(np.float32)
  allowed = 1e-5 if jax.default_backend() == 'cpu' else 2e-2
  error = _relative(jax.jit(jnp.matmul)(a, b), a.astype(np.float64) @ b)
  return [Check('product of 384x384 matrices', error, allowed)]


def repeatability() -> list[Check]:
  """Check that three training steps done twice end with the same bits."""
  shape, features = (4, 32, 24, 3), (16, 32)
  params, x, target = _random_blocks(shape, features)
  net = _Blocks(features, canary=False)

  @jax.jit
  def step(params, x, target):
    def loss(params):
      y, _ = net.apply({'params': params}, x, mutable=['batch_stats'])
      return jnp.mean(jnp.square(y - target))

    return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))

  def run():
    state = _variables(params)
    for _ in range(3):
      state = step(state, x, target)
    return jax.tree.leaves(jax.device_get(state))

  difference = max(np.abs(a - b).max() for a, b in zip(run(), run(), strict=True))
  remedy = '' if jax.default_backend() == 'cpu' else 'XLA_FLAGS=--xla_gpu_deterministic_ops=true'
  return [Check('three training steps, done twice', float(difference), 0.0, remedy=remedy)]


def quick() -> Iterable[list[Check]]:
  """Yield the checks that found every fault known so far, in seconds."""
  yield blocks(*SMALL, canary=True)
  yield blocks(*MEDIUM, canary=True)
  yield blocks(*SMALL, canary=False)
  yield deconvolution((2, 6, 5, 8), 16)


def every() -> Iterable[list[Check]]:
  """Yield all checks, as they are done."""
  yield precision()
  for shape, features in SHAPES:
    yield blocks(shape, features, canary=False)
  for shape, features in SHAPES:
    yield blocks(shape, features, canary=True)
  for shape in ((2, 16, 12, 8), (3, 9, 14, 5)):
    yield pooling(2, 0, shape)
    yield pooling(3, 1, shape)
  yield deconvolution((8, 8, 6, 32), 16)
  yield deconvolution((2, 5, 7, 3), 4)
  yield repeatability()
