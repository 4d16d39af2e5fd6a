"""What every task does with a net: feed it pictures, and run it in training."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.types import Batch, Variables

NormalizeFn = Callable[[jax.Array], jax.Array]
Shapes = Mapping[str, jax.ShapeDtypeStruct]
OutputsFn = Callable[[nn.Module, jax.ShapeDtypeStruct], Shapes]
"""`(net, normalised images) -> what it outputs for them`."""


def normalize(
  images: jax.Array, mean: tuple[float, ...], std: tuple[float, ...], channels: str
) -> jax.Array:
  """Turn uint8 RGB `[B, H, W, 3]` into what a net expects: float32 in its own channel order."""
  if channels == 'bgr':
    images = images[..., ::-1]
  return (images.astype(jnp.float32) / 255 - jnp.array(mean)) / jnp.array(std)


@partial(jax.jit, static_argnums=0)
def apply(model: nn.Module, variables: Variables, images: jax.Array) -> dict[str, jax.Array]:
  """Return the net's outputs for normalised images.

  A program that looks twice, as the flip test does, is traced once, which takes most of a second: half of
  the start of `posejax predict`.
  """
  return model.apply(variables, images)


def traced_outputs(variables: Variables, model: nn.Module, images: jax.ShapeDtypeStruct) -> Shapes:
  """Return what a net outputs with what it has learned; tracing it so need not be done again."""
  return apply.eval_shape(model, variables, images)


def apply_in_training(
  model: nn.Module,
  normalize_fn: NormalizeFn,
  variables: Variables,
  batch: Batch,
  key: jax.Array,
) -> tuple[dict[str, jax.Array], Mapping[str, Any]]:
  """Return the net's outputs for a batch, and its updated batch statistics; `key` is for dropout."""
  return model.apply(
    variables,
    normalize_fn(batch['images']),
    train=True,
    mutable=['batch_stats'],
    rngs={'dropout': key},
  )
