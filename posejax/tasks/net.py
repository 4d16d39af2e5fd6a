"""What every task does with a net: feed it pictures, and run it in training."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.types import Batch, Variables

NormalizeFn = Callable[[jax.Array], jax.Array]


def normalize(
  images: jax.Array, mean: tuple[float, ...], std: tuple[float, ...], channels: str
) -> jax.Array:
  """Turn uint8 RGB `[B, H, W, 3]` into what a net expects: float32 in its own channel order."""
  if channels == 'bgr':
    images = images[..., ::-1]
  return (images.astype(jnp.float32) / 255 - jnp.array(mean)) / jnp.array(std)


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
