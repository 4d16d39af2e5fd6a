"""MoveNet's heads: maps of person centres and of keypoints, each by a small branch of its own."""

from typing import Any, ClassVar

import flax.linen as nn
import jax

from posejax.models.mobile_layers import Conv, DepthwiseConv

HIDDEN = 96
PRIOR_LOGIT = -2.19
"""Heatmaps start at a probability of 0.1 everywhere, or the background's gradient drowns the peaks'.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, with the constant of Zhou et al.,
"Objects as Points" (arXiv:1904.07850).
"""


def channels(num_keypoints: int, boxes: bool) -> dict[str, int]:
  """Return the maps and how many channels each has.

  `center` holds logits of person centres and `keypoint_heatmaps` those of keypoints. Pairs are (dy, dx)
  in cells, keypoint j's in channels 2j and 2j + 1: `keypoint_regression` from the cell of a person's
  centre to its keypoints, `keypoint_offsets` from a keypoint's cell to the keypoint in it; and with
  boxes `box_offset` from the centre's cell to the box's middle, and `box_scale`, the box's height and
  width.
  """
  sizes = {'box_scale': 2, 'box_offset': 2} if boxes else {}
  return {
    'center': 1,
    **sizes,
    'keypoint_heatmaps': num_keypoints,
    'keypoint_regression': 2 * num_keypoints,
    'keypoint_offsets': 2 * num_keypoints,
  }


class Branch(nn.Module):
  """3x3 depthwise, 1x1 to 96 channels with ReLU, 1x1. Parameters: `depthwise`, `hidden`, `final`."""

  features: int
  bias: float = 0.0
  dtype: Any = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Return `[B, h, w, features]`, in float32: many are cells, of which bfloat16 has few fractions."""
    x = DepthwiseConv(dtype=self.dtype, name='depthwise')(x)
    x = nn.relu(Conv(HIDDEN, bias=True, dtype=self.dtype, name='hidden')(x))
    final = Conv(
      self.features,
      bias=True,
      kernel_init=nn.initializers.normal(0.001),
      bias_init=nn.initializers.constant(self.bias),
      name='final',
    )
    return final(x)


class MoveNetHead(nn.Module):
  """A branch for each of the maps that `channels` lists, by its name.

  Attributes:
    boxes: whether boxes are found beside keypoints, as MultiPose does.
  """

  num_keypoints: int
  boxes: bool = False
  dtype: Any = 'float32'

  multiple: ClassVar[int] = 32

  @nn.compact
  def __call__(self, maps: dict[int, jax.Array], train: bool = False) -> dict[str, jax.Array]:
    """Return the raw maps at the smallest stride of the maps."""
    del train
    outputs = {}
    for name, features in channels(self.num_keypoints, self.boxes).items():
      bias = PRIOR_LOGIT if name in ('center', 'keypoint_heatmaps') else 0.0
      outputs[name] = Branch(features, bias, self.dtype, name=name)(maps[min(maps)])
    return outputs
