"""What every runtime offers."""

import abc
from collections.abc import Mapping
import importlib
import os
from typing import Any

import numpy as np

from posejax.errors import PosejaxError

MAX_BATCH = 8
"""Examples that go through a net at once at the most: so much memory and no more, and one size to compile
for beside 1."""


class NotInstalledError(PosejaxError):
  """A runtime's library is not installed."""


class Runtime(abc.ABC):
  """A net that is ready to run: named inputs to named outputs, of any batch.

  Attributes:
    name: 'xla', 'onnx', 'openvino' or 'litert'.
  """

  name: str

  def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run it: `posejax.infer.export.pipeline` says what goes in and comes out. Safe in threads."""
    count = len(inputs['images'])
    if count <= MAX_BATCH:
      return self._run(inputs, count)
    parts = [
      self._run({n: a[i : i + MAX_BATCH] for n, a in inputs.items()}, min(MAX_BATCH, count - i))
      for i in range(0, count, MAX_BATCH)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

  @abc.abstractmethod
  def _run(self, inputs: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Run it on `count` examples, `MAX_BATCH` at the most."""

  @abc.abstractmethod
  def describe(self) -> str:
    """Return in a few words what runs, in what, on how many threads."""


def library(name: str, extra: str) -> Any:
  """Import an optional library.

  Raises:
    NotInstalledError: it is not there; says how to install it.
  """
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as e:
    if (e.name or '').split('.')[0] != name.split('.')[0]:
      raise
    raise NotInstalledError(
      f"{name.split('.')[0]} is not installed; pip install 'posejax[{extra}]'."
    ) from e


def num_threads() -> int:
  """Return how many processors this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
