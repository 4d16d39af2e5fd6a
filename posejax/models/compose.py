"""Put nets together from the tables, by names and options as a config has them.

Parts do not choose their layers. Each declares the fields it wants of `conv`, `deconv`, `dense` and
`norm`, constructors of layers, and is handed them with the compute type and the batch norm of the whole
net: so another convolution or norm is one choice, made here.
"""

from collections.abc import Mapping
import dataclasses
from functools import cache, partial
from typing import Any

import flax.linen as nn

from posejax.errors import PosejaxError, nearest
from posejax.models import layers
from posejax.models.backbones import BACKBONES
from posejax.models.heads import HEADS
from posejax.models.necks import NECKS
from posejax.models.net import Net

# Flax's own, and what is one switch of the whole net.
_NO_OPTIONS = ('parent', 'name', 'remat')


def net(
  *,
  backbone: Mapping[str, Any],
  head: Mapping[str, Any],
  neck: Mapping[str, Any] | None = None,
  num_keypoints: int = 17,
  num_classes: int = 80,
  dtype: str = 'float32',
  bn_group_size: int | None = None,
) -> Net:
  """Return a net of parts, each `{'name': ..., option: ...}` with a name of its table.

  Raises:
    PosejaxError: a name or option is unknown (the nearest is named), or an option is missing.
  """
  given = {
    **layers_of(dtype, bn_group_size),
    'num_keypoints': num_keypoints,
    'num_classes': num_classes,
    'dtype': dtype,
    'bn_group_size': bn_group_size,
  }
  return Net(
    backbone=part('backbone', backbone, BACKBONES, given),
    head=part('head', head, HEADS, given),
    neck=part('neck', neck, NECKS, given) if neck else None,
  )


@cache  # so that nets of equal options are equal, as modules are that hold the same constructors
def layers_of(dtype: str, bn_group_size: int | None) -> Mapping[str, partial]:
  """Return the constructors of layers that parts are handed, by the names of their fields."""
  return {
    'conv': partial(layers.Conv, dtype=dtype),
    'deconv': partial(layers.Deconv, dtype=dtype),
    'dense': partial(nn.Dense, dtype=dtype),
    'norm': partial(layers.BatchNorm, group_size=bn_group_size, dtype=dtype),
  }


def handed(module: type[nn.Module], given: Mapping[str, Any]) -> dict[str, Any]:
  """Return those of `given` that a module has fields for."""
  names = {field.name for field in dataclasses.fields(module)}
  return {name: value for name, value in given.items() if name in names}


def rematerialized(net: nn.Module, name: str) -> nn.Module:
  """Return a net whose backbone computes the inner maps of its blocks anew for their gradients.

  Raises:
    PosejaxError: its backbone has no blocks, or it has no backbone.
  """
  backbone = getattr(net, 'backbone', None)
  if not hasattr(backbone, 'remat'):
    which = [name for name, module in BACKBONES.items() if hasattr(module, 'remat')]
    raise PosejaxError(
      f'config.model.remat: {name!r} has no backbone of blocks; those of {", ".join(which)} have them.'
    )
  return net.clone(backbone=backbone.clone(remat=True))


def part(
  kind: str,
  options: Mapping[str, Any],
  table: Mapping[str, type[nn.Module]],
  given: Mapping[str, Any],
) -> nn.Module:
  """Return a part by its name and options.

  Args:
    kind: what the section of the config is called.
    options: `{'name': ..., option: ...}`.
    table: name -> constructor.
    given: what it is handed of, by the names of its fields.

  Raises:
    PosejaxError: as `net`.
  """
  key = f'config.model.{kind}'
  if not isinstance(options, Mapping) or 'name' not in options:
    raise PosejaxError(
      f'{key}={options!r} must be a section with a name, one of {", ".join(table)}.'
    )
  options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
  name = options.pop('name')
  if name not in table:
    raise PosejaxError(f'{key}.name={name!r} is not known.{nearest(name, table)}')
  own = {
    field.name: field.default is dataclasses.MISSING
    for field in dataclasses.fields(table[name])
    if field.name not in _NO_OPTIONS and field.name not in given
  }
  for option in options:
    if option not in own:
      raise PosejaxError(f'{key}.{option} is not an option of {name!r}.{nearest(option, own)}')
  for option, required in own.items():
    if required and option not in options:
      raise PosejaxError(f'{key}.{option} is not set, and {name!r} has no default for it.')
  return table[name](**options, **handed(table[name], given))
