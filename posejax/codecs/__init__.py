"""Codecs: what a net is asked to output, encode and decode side by side."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from posejax.codecs.base import Codec
from posejax.codecs.discs import Discs
from posejax.codecs.heatmap import Dark, HeatmapCodec, Msra, Udp
from posejax.codecs.movenet_codec import MoveNet
from posejax.codecs.regression import Regression
from posejax.errors import PosejaxError, nearest

CODECS = {
  'msra': Msra,
  'dark': Dark,
  'udp': Udp,
  'regression': Regression,
  'discs': Discs,
  'movenet': MoveNet,
}


def create(name: str, **kwargs) -> Codec:
  """Return the codec called `name`; `kwargs` are its fields.

  Raises:
    PosejaxError: the name or a field is unknown, or a field has an impossible value.
  """
  _check_fields(name, kwargs)
  return CODECS[name](**kwargs)


def fit(
  name: str, crop_size: tuple[int, int], shapes: Mapping[str, tuple[int, ...]], **kwargs
) -> Codec:
  """Return the codec called `name` for a net; see `Codec.fit`.

  Raises:
    PosejaxError: as `create`.
  """
  _check_fields(name, kwargs)
  return CODECS[name].fit(crop_size, shapes, **kwargs)


def _check_fields(name: str, kwargs: Mapping[str, Any]) -> None:
  known = fields(name)
  for key in kwargs:
    if key not in known:
      raise PosejaxError(f'Codec {name!r} has no field {key!r}.' + nearest(key, known))


def fields(name: str) -> tuple[str, ...]:
  """Return the names of the fields of the codec called `name`.

  Raises:
    PosejaxError: the name is unknown.
  """
  if name not in CODECS:
    raise PosejaxError(f'Unknown codec {name!r}.' + nearest(name, CODECS))
  return tuple(field.name for field in dataclasses.fields(CODECS[name]))


__all__ = [
  'CODECS',
  'Codec',
  'Dark',
  'Discs',
  'HeatmapCodec',
  'MoveNet',
  'Msra',
  'Regression',
  'Udp',
  'create',
  'fields',
  'fit',
]
