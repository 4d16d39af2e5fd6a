"""Codecs: what a net is asked to output, encode and decode side by side."""

import dataclasses

from posejax.codecs.heatmap import Dark, HeatmapCodec, Msra, Udp
from posejax.errors import PosejaxError, nearest

CODECS = {
  'msra': Msra,
  'dark': Dark,
  'udp': Udp,
}


def create(name: str, **kwargs) -> HeatmapCodec:
  """Return the codec called `name`; `kwargs` are its fields.

  Raises:
    PosejaxError: the name or a field is unknown, or a field has an impossible value.
  """
  if name not in CODECS:
    raise PosejaxError(f'Unknown codec {name!r}.' + nearest(name, CODECS))
  fields = [field.name for field in dataclasses.fields(CODECS[name])]
  for key in kwargs:
    if key not in fields:
      raise PosejaxError(f'Codec {name!r} has no field {key!r}.' + nearest(key, fields))
  return CODECS[name](**kwargs)


__all__ = ['CODECS', 'Dark', 'HeatmapCodec', 'Msra', 'Udp', 'create']
