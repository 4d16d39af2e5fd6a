"""What every runtime offers."""

import abc
from collections.abc import Mapping
import importlib
import os
from typing import Any

import numpy as np

from posejax.errors import PosejaxError


class NotInstalledError(PosejaxError):
  """A runtime's library is not installed."""


class Runtime(abc.ABC):
  """A net that is ready to run: named inputs to named outputs, of any batch.

  Attributes:
    name: 'xla', 'onnx' or 'openvino'.
  """

  name: str

  @abc.abstractmethod
  def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run it: `posejax.infer.export.pipeline` says what goes in and comes out. Safe in threads."""

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
