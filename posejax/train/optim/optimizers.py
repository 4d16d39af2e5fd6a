"""Optimisers, from plain settings: which way a step goes."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from posejax.config import OptimizerConfig
from posejax.errors import PosejaxError, nearest

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
"""Of Muon, as its author and optax have them."""


def _kernels(params):
  # Decaying biases and the scales of norms is in nobody's recipe.
  return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == 'kernel', params)


def _adam(config: OptimizerConfig) -> optax.GradientTransformation:
  return optax.scale_by_adam(b1=config.b1, b2=config.b2)


def _muon(config: OptimizerConfig) -> optax.GradientTransformation:
  def axes(kernels):
    # A kernel is a matrix from all it reads (height x width x channels) to what it writes.
    return jax.tree.map(
      lambda k: optax.contrib.MuonDimensionNumbers(tuple(range(k.ndim - 1)), k.ndim - 1), kernels
    )

  def as_large_as_adams(update):
    rank = min(update.size // update.shape[-1], update.shape[-1])
    return 0.2 * jnp.sqrt(update.size / rank) * update

  # Given for each iteration they are a loop; else the iterations are written out one after the other: of
  # a net of sixty kernels, a thousand products to be compiled.
  coefficients = (_NEWTON_SCHULZ,) * _ITERATIONS
  matrices = optax.chain(
    optax.contrib.scale_by_muon(coefficients, weight_dimension_numbers=axes),
    optax.stateless_with_tree_map(lambda update, _: as_large_as_adams(update)),
  )
  return optax.partition({True: matrices, False: _adam(config)}, _kernels)


_DIRECTIONS = {
  'adam': _adam,
  'adamw': _adam,
  'lamb': _adam,
  'muon': _muon,
  'sgd': lambda c: optax.trace(decay=c.momentum, nesterov=c.nesterov),
}

_DECOUPLED = ('adamw', 'lamb', 'muon')


def create(config: OptimizerConfig) -> optax.GradientTransformation:
  """Return the direction of the step: gradient → update, before the learning rate.

  'muon' turns a kernel's momentum into the nearest orthogonal matrix, so that all directions move
  alike, and moves the rest by Adam. An update has the root mean square that Adam's has (0.2), so
  learning rates that suit Adam are where to start from. Source: Jordan et al.,
  https://github.com/KellerJordan/Muon; Liu et al. (arXiv:2502.16982) for the 0.2.

  'lamb' makes the update of a kernel, its decay with it, as large as the kernel, so that the learning
  rate is the share of itself by which a kernel changes; the rest moves by Adam. Source: You et al.
  (arXiv:1904.00962), algorithm 2; what is not decayed is not scaled either, as in the authors' code
  (`exclude_from_layer_adaptation` of tensorflow/addons tensorflow_addons/optimizers/lamb.py).

  The gradient is clipped first. Weight decay is applied as named: 'adamw', 'lamb' and 'muon' add it to
  the update (decoupled), 'adam' and 'sgd' to the gradient (L2). Note that the published pose recipes list
  a weight decay of 1e-4 that their Adam never applied (REFERENCE: microsoft/human-pose-estimation.pytorch
  lib/utils/utils.py, get_optimizer), so parity with them is `adam` with `weight_decay=0`.
  """
  if config.name not in _DIRECTIONS:
    raise PosejaxError(
      f'config.optimizer.name={config.name!r} is not an optimiser.'
      + nearest(config.name, _DIRECTIONS)
    )
  parts = [] if config.clip_norm is None else [optax.clip_by_global_norm(config.clip_norm)]
  decay = [optax.add_decayed_weights(config.weight_decay, _kernels)] if config.weight_decay else []
  direction = [_DIRECTIONS[config.name](config)]
  parts += direction + decay if config.name in _DECOUPLED else decay + direction
  if config.name == 'lamb':
    parts.append(optax.masked(optax.scale_by_trust_ratio(), _kernels))
  return optax.chain(*parts)
