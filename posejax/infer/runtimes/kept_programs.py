"""What was found out about a net when it was last used, so that the next start need not find it again.

JAX keeps compiled programs by what they compute, and to know that it traces and lowers them first, which
for a net of a hundred layers takes longer than all that follows. Here they are kept by what they are made
from: the net's config and labels, the arrays' shapes, the code, the libraries and the machine.
"""

from collections.abc import Callable, Mapping
import hashlib
import json
import math
import os
import pathlib
import platform
import sys
import sysconfig
from typing import Any
import uuid

import flax
import flax.linen as nn
import jax
from jax.experimental import serialize_executable
import jaxlib
import numpy as np

import posejax
from posejax import buckets, files, paths
from posejax.infer.export.pipeline import Pipeline
from posejax.runs.saved_net import SavedNet
from posejax.tasks.net import Shapes, traced_outputs
from posejax.types import Variables

Apply = Callable[[Variables, Mapping[str, np.ndarray]], dict[str, jax.Array]]
_DIGEST_SIZE = hashlib.sha256().digest_size


class KeptPrograms:
  """A net's programs and the shapes of its outputs, in the folder where JAX keeps compiled programs.

  As there, what is loaded is machine code: the folder must be one's own.
  """

  def __init__(self, folder: str, net: SavedNet):
    """Find nothing out yet; `of` says whether anything is to be kept.

    Args:
      folder: where programs are kept; it need not exist.
      net: whose they are.
    """
    self._folder, self._variables = folder, net.variables
    shapes = {path: _shape(leaf) for path, leaf in paths.flatten(net.variables).items()}
    self._key = [net.config.to_dict(), net.labels.to_json(), shapes, _surroundings()]

  @classmethod
  def of(cls, net: SavedNet) -> 'KeptPrograms | None':
    """Return what is kept of a net; None where no folder keeps programs or the code is in no file."""
    folder = jax.config.jax_compilation_cache_dir
    in_folder = folder and not buckets.is_in_one(folder)
    if not in_folder or not hasattr(sys.modules['__main__'], '__file__'):
      return None
    return cls(os.path.join(folder, 'nets'), net)

  def outputs(self, model: nn.Module, images: jax.ShapeDtypeStruct) -> Shapes:
    """Return the shapes of the net's outputs for normalised images."""
    path = self._path('outputs', _shape(images))
    try:
      known = json.loads(_read(path))
      return {name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in known.items()}
    except (OSError, ValueError):
      found = traced_outputs(self._variables, model, images)
      self._keep(path, json.dumps({name: _shape(one) for name, one in found.items()}).encode())
      return found

  def compiled(self, pipeline: Pipeline, *arguments: Any) -> Apply:
    """Return a pipeline's `apply` compiled for arguments like these, by what is kept or anew.

    Args:
      pipeline: of the net.
      *arguments: to compile it for, on the default device.
    """
    leaves, tree = jax.tree.flatten((arguments, {}))
    about = [pipeline.description(), pipeline.takes, str(tree), [_shape(leaf) for leaf in leaves]]
    path = self._path('program', about)
    try:
      program = _read(path)
      outputs = jax.tree.structure(dict.fromkeys(pipeline.outputs, 0))
      return serialize_executable.deserialize_and_load(
        program, tree, outputs, execution_devices=jax.devices()[:1]
      )
    # Whatever is wrong with what is kept, by a damaged disk or another JAX: it can be had again.
    except Exception:
      return self._compile(path, pipeline, arguments)

  def _compile(self, path: str, pipeline: Pipeline, arguments: Any) -> Apply:
    compiled = _compiled_here(pipeline.apply, arguments)
    try:
      program, _, _ = serialize_executable.serialize(compiled)
    except (ValueError, NotImplementedError):  # JAX cannot write every program
      return compiled
    self._keep(path, program)
    return compiled

  def _path(self, kind: str, of: Any) -> str:
    text = json.dumps([self._key, of], sort_keys=True, default=str)
    return os.path.join(self._folder, f'{kind}-{hashlib.sha256(text.encode()).hexdigest()}')

  def _keep(self, path: str, content: bytes) -> None:
    try:
      os.makedirs(self._folder, exist_ok=True)
      files.replace(path, hashlib.sha256(content).digest() + content)
    except OSError:  # a full disk or somebody else's folder: the next start is slower, no more
      pass


def _compiled_here(function: Apply, arguments: Any) -> jax.stages.Compiled:
  """Compile a function without the cache of JAX, neither from it nor into it.

  What XLA has read from there it writes without some of its functions, and what is then read fails when
  it is called (on CPUs, jaxlib 0.10.2: "Function ... not found").
  """

  def unheard_of(*arguments):
    return function(*arguments)

  unheard_of.__name__ = f'net_{uuid.uuid4().hex}'  # a part of that cache's keys
  least = jax.config.jax_persistent_cache_min_compile_time_secs
  jax.config.update('jax_persistent_cache_min_compile_time_secs', math.inf)
  try:
    return jax.jit(unheard_of).lower(*arguments).compile()
  finally:
    jax.config.update('jax_persistent_cache_min_compile_time_secs', least)


def _read(path: str) -> bytes:
  """Return what was kept in a file; ValueError where it is damaged."""
  content = files.read(path)
  digest, content = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
  if hashlib.sha256(content).digest() != digest:
    raise ValueError(f'{path} is damaged.')
  return content


def _shape(array: Any) -> tuple[list[int], str]:
  return list(np.shape(array)), str(array.dtype)


def _surroundings() -> list[Any]:
  """Return what a program depends on beside its net: machine, libraries, settings and code."""
  device = jax.devices()[0]
  return [
    [device.platform, device.device_kind, device.client.platform_version, jax.device_count()],
    [platform.machine(), _processor() if device.platform == 'cpu' else ''],
    [sys.version, jax.__version__, jaxlib.__version__, flax.__version__, posejax.__version__],
    [jax.config.jax_enable_x64, str(jax.config.jax_default_matmul_precision)],
    {
      name: value for name, value in os.environ.items() if name in ('XLA_FLAGS', 'LIBTPU_INIT_ARGS')
    },
    _code(),
  ]


def _processor() -> str:
  """Return what the processor can do, for which its programs are compiled."""
  try:
    lines = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
  except OSError:
    return platform.processor()
  return next((line for line in lines if line.startswith(('flags', 'Features'))), '')


def _code() -> dict[str, tuple[int, int]]:
  """Return size and time of every file of posejax and of all imported code that is nobody's package."""
  installed = tuple(
    sysconfig.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')
  )
  found = {str(path) for path in pathlib.Path(posejax.__file__).parent.rglob('*.py')}
  for module in list(sys.modules.values()):
    path = getattr(module, '__file__', None)
    if path and not path.startswith(installed):
      found.add(path)
  return {path: (status.st_size, status.st_mtime_ns) for path in found if (status := _status(path))}


def _status(path: str) -> os.stat_result | None:
  try:
    return os.stat(path)
  except OSError:
    return None
