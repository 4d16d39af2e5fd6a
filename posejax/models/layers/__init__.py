"""Layers that every net here is built from: convolution, deconvolution, batch norm, pooling and sums.

Arrays are `[B, h, w, C]`. Parameters and batch statistics are float32; `dtype` is what a layer computes
in. A backbone, neck or head does not choose its layers, it is handed them (`posejax.models.compose`):
`conv(features, size, stride, padding, bias=..., name=...)(x)` as `Conv`, and
`norm(name=...)(x, train, shortcut)` as `BatchNorm`.
"""

from posejax.models.layers.convolution import (
  Conv,
  Deconv,
  conv2d,
  deconv2d,
  he_normal_fan_out,
  kernel_of,
)
from posejax.models.layers.norm import BatchNorm, FrozenBatchNorm, GroupNorm
from posejax.models.layers.pooling import avg_pool2, max_pool
from posejax.models.layers.remat import rematerialized
from posejax.models.layers.sums import add, add_relu, concatenate, upsample

__all__ = [
  'DTYPES',
  'BatchNorm',
  'Conv',
  'Deconv',
  'FrozenBatchNorm',
  'GroupNorm',
  'add',
  'add_relu',
  'avg_pool2',
  'concatenate',
  'conv2d',
  'deconv2d',
  'he_normal_fan_out',
  'kernel_of',
  'max_pool',
  'rematerialized',
  'upsample',
]

DTYPES = ('float32', 'bfloat16')
"""What nets compute in."""
