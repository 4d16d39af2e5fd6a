"""HRNet backbones: branches at strides 4 to 32 side by side, which exchange what they see.

Source: Sun et al., Deep High-Resolution Representation Learning (arXiv:1902.09212);
leoxiaobin/deep-high-resolution-net.pytorch lib/models/pose_hrnet.py for what the weights assume:
stride-2 convolutions pad (1, 1), fused maps grow by repeating pixels, and the last exchange fills the
branch at stride 4 only.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax

from posejax.errors import PosejaxError
from posejax.models import layers
from posejax.models.backbones import resnet

STAGES = {2: 1, 3: 4, 4: 3}
"""Stage, which has as many branches -> exchange modules in it, in published nets."""
BLOCKS = 4
"""Residual blocks in `layer1`, and per branch of a module, in published nets."""
STRIDE = 32
"""Of the deepest branch."""


class ExchangeModule(nn.Module):
  """Residual blocks on every branch, then every output is the sum of all branches, resized.

  Parameters: `branch<i>_<block>/...`; `fuse<i>_<j>_conv`, `_bn` from a deeper branch j to i, and
  `fuse<i>_<j>_<k>_conv`, `_bn` for the stride-2 steps k from a shallower one. All count from 0.

  Attributes:
    width: channels of branch 0; the others have 2, 4 and 8 times as many.
    num_outputs: how many branches come out, from the shallowest.
    blocks: on every branch.
  """

  width: int
  num_outputs: int
  blocks: int = BLOCKS
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm
  remat: bool = False

  @nn.compact
  def __call__(self, branches: list[jax.Array], train: bool) -> list[jax.Array]:
    """Return the first `num_outputs` branches `[B, h / 2 ** i, w / 2 ** i, width * 2 ** i]`."""
    conv_bn = partial(_conv_bn, self.conv, self.norm, train)
    residual = layers.rematerialized(resnet.Block, self.remat and train)
    branches = list(branches)
    for i in range(len(branches)):
      for block in range(self.blocks):
        branches[i] = residual(
          'basic',
          self.width * 2**i,
          conv=self.conv,
          norm=self.norm,
          name=f'branch{i}_{block}',
        )(branches[i], train)

    def moved(i: int, j: int) -> jax.Array:
      """Return branch j with the width of branch i, and its size where that is smaller."""
      x = branches[j]
      if j > i:
        return conv_bn(x, self.width * 2**i, size=1, name=f'fuse{i}_{j}')
      for k in range(i - j):
        last = k == i - j - 1
        x = conv_bn(x, self.width * 2 ** (i if last else j), stride=2, name=f'fuse{i}_{j}_{k}')
        x = x if last else nn.relu(x)
      return x

    return [
      layers.add_relu(*(moved(i, j) for j in range(len(branches)))) for i in range(self.num_outputs)
    ]


class HRNet(nn.Module):
  """One map at stride 4, of `width` channels: the shallowest branch after three stages.

  Parameters: `conv1`, `bn1`, `conv2`, `bn2`, `layer1_<block>/...`, `transition<n>_<branch>_conv`,
  `_bn`, and `stage<n>_<module>/...` (see `ExchangeModule`); blocks, branches and modules count from 0.

  Attributes:
    width: channels of the branch at stride 4: 32 or 48 in published nets.
    modules: exchange modules in stages 2, 3 and 4; each may have none.
    blocks: residual blocks in `layer1`, and per branch of a module.
  """

  width: int
  modules: tuple[int, int, int] = tuple(STAGES.values())
  blocks: int = BLOCKS
  conv: Callable = layers.Conv
  norm: Callable = layers.BatchNorm
  remat: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[int, jax.Array]:
    """Return the feature map of `[B, H, W, 3]`, H and W multiples of 32, by its stride."""
    common = {'conv': self.conv, 'norm': self.norm}
    conv_bn = partial(_conv_bn, self.conv, self.norm, train)
    if x.shape[1] % STRIDE or x.shape[2] % STRIDE:
      raise PosejaxError(
        f'HRNet takes images whose height and width are multiples of {STRIDE}, got '
        f'{x.shape[1]}x{x.shape[2]}; set config.task.crop_size so, e.g. (256, 192).'
      )
    x = self.conv(64, 3, 2, name='conv1')(x)
    x = nn.relu(self.norm(name='bn1')(x, train))
    x = self.conv(64, 3, 2, name='conv2')(x)
    x = nn.relu(self.norm(name='bn2')(x, train))
    residual = layers.rematerialized(resnet.Block, self.remat and train)
    for block in range(self.blocks):
      x = residual('bottleneck', 64, **common, name=f'layer1_{block}')(x, train)

    branches = [x]
    for stage, count in zip(STAGES, self.modules, strict=True):
      if stage == 2:
        branches = [nn.relu(conv_bn(x, self.width, name='transition1_0'))]
      new = self.width * 2 ** (stage - 1)
      deepest = x if stage == 2 else branches[-1]
      grown = conv_bn(deepest, new, stride=2, name=f'transition{stage - 1}_{stage - 1}')
      branches.append(nn.relu(grown))
      for module in range(count):
        end = stage == max(STAGES) and module == count - 1
        exchange = ExchangeModule(
          self.width,
          1 if end else stage,
          self.blocks,
          **common,
          remat=self.remat,
          name=f'stage{stage}_{module}',
        )
        branches = exchange(branches, train)
    return {4: branches[0]}


def _conv_bn(
  conv: Callable,
  norm: Callable,
  train: bool,
  x: jax.Array,
  features: int,
  *,
  size: int = 3,
  stride: int = 1,
  name: str,
) -> jax.Array:
  """Convolve and normalise, as `<name>_conv` and `<name>_bn` of the module that calls."""
  x = conv(features, size, stride, name=f'{name}_conv')(x)
  return norm(name=f'{name}_bn')(x, train)
