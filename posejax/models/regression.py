"""Nets that output coordinates: a residual CNN, and the head that makes any backbone do it."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.models import layers
from posejax.models.resnet import Block


class ResidualCNN(nn.Module):
  """Return `{'c1', 'c2', ...}`, maps at strides 4, 8 ...: residual blocks, then a 2x2 max-pool, each.

  A 5x5 convolution of stride 2 comes first. Parameters: `conv1`, `bn1`, and `layer<stage>_<block>/...`
  from `layer1_0`.

  Attributes:
    features: channels of each stage.
    blocks: residual blocks of each stage.
  """

  features: tuple[int, ...] = (32, 64, 128, 192, 256)
  blocks: int = 1
  dtype: Any = 'float32'
  bn_group_size: int | None = None

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return the feature maps of `[B, H, W, 3]`."""
    x = layers.Conv(self.features[0], 5, 2, dtype=self.dtype, name='conv1')(x)
    x = nn.relu(layers.BatchNorm(self.bn_group_size, dtype=self.dtype, name='bn1')(x, train))
    maps = {}
    for stage, features in enumerate(self.features, 1):
      for i in range(self.blocks):
        x = Block(
          'basic',
          features,
          dtype=self.dtype,
          bn_group_size=self.bn_group_size,
          name=f'layer{stage}_{i}',
        )(x, train)
      x = layers.max_pool(x, 2)
      maps[f'c{stage}'] = x
    return maps


class RegressionHead(nn.Module):
  """Numbers per keypoint from the deepest map, through dense layers. Parameters: `hidden`, `final`.

  Attributes:
    sigmas: whether the logits of two standard deviations follow x and y.
    pooling: 'average' over the map, as published on ImageNet's backbones, or 'flatten', which keeps
      where in the map something was seen and fixes the size of the input.
    hidden: units of a dense layer with a ReLU before the last; 0 for none.
  """

  num_keypoints: int
  sigmas: bool = False
  pooling: str = 'average'
  hidden: int = 0
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, maps: dict[str, jax.Array], train: bool = False) -> jax.Array:
    """Return `[B, K, 2]`, or `[B, K, 4]` with sigmas, in `dtype`; x and y start at the middle, 0.5."""
    del train
    x = maps[max(maps)]
    x = x.mean((1, 2)) if self.pooling == 'average' else x.reshape(x.shape[0], -1)
    if self.hidden:
      init = nn.initializers.he_normal()
      x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, kernel_init=init, name='hidden')(x))
    numbers = 4 if self.sigmas else 2
    final = nn.Dense(
      self.num_keypoints * numbers,
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(0.001),
      name='final',
    )
    x = final(x).reshape(-1, self.num_keypoints, numbers)
    return x + jnp.array([0.5, 0.5, 0, 0][:numbers], x.dtype)


class RegressionNet(nn.Module):
  """Backbone and head: `images [B, H, W, 3] -> {'coordinates': float32 [B, K, 2 or 4]}`."""

  backbone: nn.Module
  head: nn.Module

  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return coordinates as fractions of the crop; `train` toggles batch statistics.

    Apply with `mutable=['batch_stats']` where `train` is true.
    """
    return {'coordinates': self.head(self.backbone(images, train), train).astype(jnp.float32)}
