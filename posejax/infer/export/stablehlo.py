"""A function as StableHLO for several kinds of devices, for programs that have JAX but not posejax.

The file is a zip of `model.bin`, which `jax.export.deserialize` reads, and `model.json`, the description
of `posejax.infer.export.pipeline`. Forms that differ between platforms (`jax.lax.platform_dependent`) are
all in it; parameters are in it once.
"""

from collections.abc import Callable, Mapping, Sequence
import io
import json
from typing import Any
import zipfile

import jax
from jax import export

from posejax.errors import PosejaxError

PLATFORMS = ('cpu', 'cuda', 'tpu')
_MODEL, _DESCRIPTION = 'model.bin', 'model.json'


def to_stablehlo(
  fn: Callable[..., Mapping[str, jax.Array]],
  inputs: Mapping[str, jax.ShapeDtypeStruct],
  description: str = '{}',
  platforms: Sequence[str] = PLATFORMS,
) -> bytes:
  """Write a function of arrays as StableHLO.

  Args:
    fn: called with the inputs by name; returns named arrays. What it closes over becomes constants.
    inputs: shapes and types; sizes may be symbols of `jax.export.symbolic_shape`.
    description: JSON to lie beside it.
    platforms: what it can run on.
  """

  def positional(named):
    return dict(fn(**named))

  exported = export.export(jax.jit(positional), platforms=tuple(platforms))(dict(inputs))
  stream = io.BytesIO()
  with zipfile.ZipFile(stream, 'w') as archive:
    archive.writestr(_MODEL, exported.serialize())
    archive.writestr(_DESCRIPTION, description)
  return stream.getvalue()


def read(data: bytes) -> tuple[Callable[[Mapping[str, Any]], dict[str, jax.Array]], dict[str, Any]]:
  """Return the function of a file, `named inputs -> named outputs`, compiled when called, and what it is.

  Raises:
    PosejaxError: it is no such file.
  """
  try:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
      exported = export.deserialize(bytearray(archive.read(_MODEL)))
      description = json.loads(archive.read(_DESCRIPTION))
  except (zipfile.BadZipFile, KeyError, ValueError) as e:
    raise PosejaxError(f'This is no StableHLO file that posejax wrote: {e}.') from e
  return jax.jit(lambda named: exported.call(dict(named))), description
