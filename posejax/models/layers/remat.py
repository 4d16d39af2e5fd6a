"""Blocks whose inner maps are computed anew for their gradients instead of being kept."""

from collections.abc import Callable

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

_KEPT = 'exchanged'


def kept(x: jax.Array) -> jax.Array:
  """Return `x`, which is not computed anew: what devices exchange is small, and waiting for it long."""
  return checkpoint_name(x, _KEPT)


def rematerialized(block: Callable, on: bool) -> Callable:
  """Return `block` as it is, or, where `on`, so that its gradient computes anew what is within it.

  Args:
    block: a module with `(x, train)`, or a function `(module, x, train)` that makes its parts within the
      module that it is given. Names of parameters stay.
    on: whether to.
  """
  if not on:
    return block
  policy = jax.checkpoint_policies.save_only_these_names(_KEPT)
  # 2: `train`, counted from the module itself.
  return nn.remat(block, static_argnums=(2,), policy=policy)
