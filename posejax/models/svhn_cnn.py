"""Digit classifiers: a plain convolutional net and a wide residual one."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from posejax.errors import PosejaxError, nearest
from posejax.models import compose, layers
from posejax.models.backbones import resnet


class PlainNet(nn.Module):
  """Two blocks of convolution, batch norm, ReLU and 2x2 max-pooling; flatten, dense, ReLU, dense.

  Parameters: `conv1`, `bn1`, `conv2`, `bn2`, `dense1`, `dense2`.
  """

  num_classes: int
  features: tuple[int, ...] = (32, 64)
  hidden: int = 128
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm
  dense: Callable = nn.Dense

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return `{'logits': float32 [B, C]}` of normalised float images `[B, H, W, 3]`."""
    x = images
    for i, features in enumerate(self.features, 1):
      x = self.conv(features, name=f'conv{i}')(x)
      x = self.norm(name=f'bn{i}')(x, train)
      # The same values as with ReLU first, which then has four times as many to look at.
      x = nn.relu(layers.max_pool(x, 2))
    x = x.reshape(x.shape[0], -1)
    x = nn.relu(self.dense(self.hidden, name='dense1')(x))
    x = self.dense(self.num_classes, name='dense2')(x)
    return {'logits': x.astype(jnp.float32)}


class WideResNet(nn.Module):
  """Wide residual net of pre-activation blocks in three stages, dropout between a block's convolutions.

  Parameters: `conv1`, `layer<stage>_<block>/...` from `layer1_0`, `bn_final`, `dense`.
  Source: Zagoruyko and Komodakis, "Wide Residual Networks" (arXiv:1605.07146);
  szagoruyko/wide-residual-networks pytorch/resnet.py and models/wide-resnet.lua (dropout).

  Attributes:
    depth: 6 n + 4 for n blocks a stage.
    width: factor on the 16, 32 and 64 channels of the stages.
    dropout: share of a block's inner activations that training leaves out.
  """

  num_classes: int
  depth: int = 16
  width: int = 8
  dropout: float = 0.0
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm

  @nn.compact
  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return `{'logits': float32 [B, C]}` of normalised float images `[B, H, W, 3]`."""
    block = partial(
      resnet.Block,
      'basic',
      version=2,
      dropout=self.dropout,
      conv=self.conv,
      norm=self.norm,
    )
    x = self.conv(16, name='conv1')(images)
    for stage in (1, 2, 3):
      for i in range((self.depth - 4) // 6):
        features, stride = 16 * self.width * 2 ** (stage - 1), 2 if i == 0 and stage > 1 else 1
        x = block(features, stride, name=f'layer{stage}_{i}')(x, train)
    x = nn.relu(self.norm(name='bn_final')(x, train)).astype(jnp.float32).mean((1, 2))
    return {'logits': nn.Dense(self.num_classes, name='dense')(x)}


_VARIANTS = {
  'baseline': (PlainNet, ('features', 'hidden')),
  'wide': (WideResNet, ('depth', 'width', 'dropout')),
}


def create(
  *,
  variant: str = 'baseline',
  num_classes: int = 10,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
  features: tuple[int, ...] | None = None,
  hidden: int | None = None,
  depth: int | None = None,
  width: int | None = None,
  dropout: float | None = None,
) -> nn.Module:
  """Return a digit classifier: `[B, H, W, 3]` to `{'logits': float32 [B, num_classes]}`.

  Args:
    variant: 'baseline' (`PlainNet`) or 'wide' (`WideResNet`).
    num_classes: C.
    dtype: what it computes in.
    bn_group_size: as every net's.
    features: of the baseline's convolutions.
    hidden: features of the baseline's first dense layer.
    depth: of the wide net, 6 n + 4.
    width: of the wide net.
    dropout: of the wide net, below 1.

  Raises:
    PosejaxError: an unknown variant, a setting of the other variant, or an impossible depth.
  """
  if variant not in _VARIANTS:
    raise PosejaxError(
      f'config.model.variant={variant!r} is not a variant of svhn_cnn.'
      + nearest(variant, _VARIANTS)
    )
  given = {
    'features': None if features is None else tuple(features),
    'hidden': hidden,
    'depth': depth,
    'width': width,
    'dropout': dropout,
  }
  given = {name: value for name, value in given.items() if value is not None}
  net, own = _VARIANTS[variant]
  for name in given:
    if name not in own:
      raise PosejaxError(
        f'config.model.{name} is no setting of svhn_cnn with variant={variant!r}; those are '
        f'{", ".join(own)}.'
      )
  if given.get('depth', 10) % 6 != 4 or given.get('depth', 10) < 10:
    raise PosejaxError(f'config.model.depth={depth} must be 10, 16, 22, 28, …: 6 n + 4.')
  if not 0 <= given.get('dropout', 0) < 1:
    raise PosejaxError(f'config.model.dropout={dropout} must be in [0, 1).')
  handed = compose.handed(net, compose.layers_of(dtype, bn_group_size))
  return net(num_classes, **handed, **given)
