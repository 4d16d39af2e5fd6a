"""FCN-8s: a class for every pixel, from the maps at strides 8, 16 and 32, e.g. of a VGG16.

Source: Long et al., Fully Convolutional Networks for Semantic Segmentation (arXiv:1411.4038), without
the two convolutions that took the classifier's place there (fc6 and fc7: 120 million parameters, which
nothing but an ImageNet classifier fills).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from posejax.models import layers


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

  The enlarging deconvolutions start bilinear and are learnt. Parameters: `score_pool<i>` and
  `deconv_pool<i>` (twice at strides 32 and 16, `pool5` and `pool4`, eight times at 8, `pool3`).
  """

  num_keypoints: int
  conv: Callable = layers.Conv
  deconv: Callable = layers.Deconv
  multiple = 32
  """What height and width of the pictures must be divisible by, so that every map is twice the next."""

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return `{'logits': [B, H, W, K + 1]}`, of the background and every keypoint."""
    del train
    classes = self.num_keypoints + 1
    init = nn.initializers.normal(0.001)
    x = None
    for level, factor in ((5, 2), (4, 2), (3, 8)):
      name = f'pool{level}'
      score = self.conv(classes, 1, bias=True, kernel_init=init, name=f'score_{name}')
      y = score(maps[2**level])
      x = y if x is None else x + y
      deconv = self.deconv(classes, kernel_init=bilinear, factor=factor, name=f'deconv_{name}')
      x = deconv(x)
    return {'logits': x}
