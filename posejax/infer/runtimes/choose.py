"""Which runtime a net is run by: the one asked for, or the fastest of those that are installed."""

from collections.abc import Callable, Mapping
import dataclasses
import statistics
import time

import jax
import numpy as np

from posejax.errors import PosejaxError, nearest
from posejax.infer.export import files
from posejax.infer.export.pipeline import Pipeline
from posejax.infer.export.program.values import CannotWriteError
from posejax.infer.runtimes.base import NotInstalledError, Runtime
from posejax.infer.runtimes.kept_programs import KeptPrograms
from posejax.infer.runtimes.litert_runtime import LiteRt
from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
from posejax.infer.runtimes.openvino_runtime import OpenVino
from posejax.infer.runtimes.xla import Xla

NAMES = ('xla', 'onnx', 'openvino', 'litert')
AUTO = 'auto'
_SECONDS = 1.0
_TURNS = (3, 30)


@dataclasses.dataclass(frozen=True)
class Choice:
  """A runtime and why it was chosen.

  Attributes:
    runtime: ready to run.
    milliseconds: the median of each that was tried; empty if none was.
    missing: what is not installed or cannot run the net, by name: the sentence that says so.
  """

  runtime: Runtime
  milliseconds: Mapping[str, float]
  missing: Mapping[str, str]

  def __str__(self) -> str:
    if not self.milliseconds:
      return self.runtime.describe()
    tried = ', '.join(f'{name} {ms:.2f} ms' for name, ms in self.milliseconds.items())
    return ' '.join([f'{self.runtime.describe()}, the fastest of {tried}.', *self.missing.values()])


def create(
  name: str,
  pipeline: Pipeline,
  example: Mapping[str, np.ndarray] | None = None,
  precision: str = 'float32',
  kept: KeptPrograms | None = None,
) -> Choice:
  """Return a runtime for a pipeline.

  Args:
    name: of `NAMES`, or 'auto'.
    pipeline: what to run.
    example: inputs like those to come, which 'auto' tries the runtimes with.
    precision: of OpenVINO; see `OpenVino`.
    kept: of XLA; see `Xla`.

  Raises:
    PosejaxError: no such runtime or not in that precision, its library is not installed, or it cannot
      run the net.
  """
  if name not in (*NAMES, AUTO):
    raise PosejaxError(f'--runtime={name} is no runtime.' + nearest(name, (*NAMES, AUTO)))
  if precision != 'float32' and name not in ('openvino', AUTO):
    raise PosejaxError(
      f'--precision={precision} is of --runtime=openvino; {name} has float32 alone.'
    )
  makers = _makers(pipeline, precision, kept)
  if name == AUTO and jax.default_backend() == 'cpu':
    return fastest(makers, example)
  # The others compute on CPUs only.
  return Choice(makers['xla' if name == AUTO else name](), {}, {})


def fastest(
  makers: Mapping[str, Callable[[], Runtime]], example: Mapping[str, np.ndarray]
) -> Choice:
  """Make every runtime that can be had, let them take turns for a moment, and return the fastest.

  Args:
    makers: by name; one that fails, or whose runtime does, is left out.
    example: inputs to try them with.
  """
  runtimes, missing = {}, {}
  for name, make in makers.items():
    try:
      runtime = make()
      runtime(example)  # compiles
      runtimes[name] = runtime
    except (NotInstalledError, CannotWriteError) as e:
      missing[name] = str(e)
    except Exception as e:  # each library fails in its own way, and another one may not
      missing[name] = f'{name} cannot run this net ({type(e).__name__}: {e!s:.200}).'
  if not runtimes:
    raise PosejaxError(' '.join(missing.values()))
  times = {name: [] for name in runtimes}
  began = time.perf_counter()
  for turn in range(_TURNS[1]):
    if turn >= _TURNS[0] and time.perf_counter() - began > _SECONDS:
      break
    for name, runtime in runtimes.items():
      start = time.perf_counter()
      runtime(example)
      times[name].append(time.perf_counter() - start)
  medians = {name: 1e3 * statistics.median(spent) for name, spent in times.items()}
  best = min(medians, key=medians.__getitem__)
  return Choice(runtimes[best], dict(sorted(medians.items(), key=lambda item: item[1])), missing)


def _makers(
  pipeline: Pipeline, precision: str, kept: KeptPrograms | None
) -> dict[str, Callable[[], Runtime]]:
  written: list[bytes] = []

  def model() -> bytes:
    if not written:
      written.append(files.onnx_bytes(pipeline))
    return written[0]

  return {
    'xla': lambda: Xla(pipeline, kept),
    'onnx': lambda: OnnxRuntime(model()),
    'openvino': lambda: OpenVino(model(), precision),
    'litert': lambda: LiteRt(files.tflite_bytes(pipeline)),
  }
