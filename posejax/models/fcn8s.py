"""FCN-8s: a class for every pixel, from the last three blocks of a VGG16.

Source: Long et al., Fully Convolutional Networks for Semantic Segmentation (arXiv:1411.4038), without
the two convolutions that took the classifier's place there (fc6 and fc7: 120 million parameters, which
nothing but an ImageNet classifier fills).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from posejax.errors import PosejaxError
from posejax.models import layers

STRIDE = 32
"""Height and width must be divisible by it, so that every map is twice the next."""


def bilinear(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
  """Initialise the kernel `[2 f, 2 f, C, C]` of a deconvolution to bilinear interpolation by f.

  Source: `upsample_filt` of shelhamer/fcn.berkeleyvision.org surgery.py.
  """
  del key
  size, _, channels_in, channels_out = shape
  factor = size / 2
  profile = 1 - np.abs(np.arange(size) - (factor - 0.5)) / factor
  kernel = profile[:, None, None, None] * profile[:, None, None] * np.eye(channels_in, channels_out)
  return jnp.asarray(kernel, dtype)


class Fcn8sHead(nn.Module):
  """Scores of the three maps by 1x1 convolutions, added from the deepest up and enlarged in between.

  The enlarging deconvolutions start bilinear and are learnt. Parameters: `score_<map>` and
  `deconv_<map>` (twice from `pool5` and `pool4`, eight times from `pool3`).
  """

  num_classes: int
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, maps: dict[str, jax.Array], train: bool = False) -> jax.Array:
    """Return logits `[B, H, W, num_classes]` in `dtype`."""
    del train
    init = nn.initializers.normal(0.001)
    x = None
    for name, factor in (('pool5', 2), ('pool4', 2), ('pool3', 8)):
      score = layers.Conv(
        self.num_classes,
        1,
        bias=True,
        dtype=self.dtype,
        kernel_init=init,
        name=f'score_{name}',
      )(maps[name])
      x = score if x is None else x + score
      x = layers.Deconv(self.num_classes, self.dtype, bilinear, factor, name=f'deconv_{name}')(x)
    return x


class SegmentationNet(nn.Module):
  """Backbone and head: `images [B, H, W, 3] -> {'logits': float32 [B, H, W, C]}`."""

  backbone: nn.Module
  head: nn.Module

  def __call__(self, images: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Return the logits of normalised float images; `train` toggles batch statistics.

    Apply with `mutable=['batch_stats']` where `train` is true.

    Raises:
      PosejaxError: height or width is not divisible by 32.
    """
    h, w = images.shape[1:3]
    if h % STRIDE or w % STRIDE:
      better = tuple(max(1, round(side / STRIDE)) * STRIDE for side in (h, w))
      raise PosejaxError(
        f'config.data.crop_size={(h, w)} must be divisible by {STRIDE} for FCN-8s; try {better}.'
      )
    return {'logits': self.head(self.backbone(images, train), train).astype(jnp.float32)}
