"""A contender in a process of its own: neither framework's threads and allocations reach the other's."""

from collections.abc import Callable
import multiprocessing
import os
import time
import traceback
from typing import Any

import numpy as np

_DIED = 'The process of the contender died.'


class NoRivalError(Exception):
  """There is nothing to compare with, and why."""


class Away:
  """An object made and kept in another process. Arguments and results travel pickled, arrays as NumPy's.

  Args:
    make: a class or function at the top of a module.
    *args: its arguments.

  Raises:
    NoRivalError: `make` raised it.
    RuntimeError: it raised anything else.
  """

  def __init__(self, make: Callable, *args: Any):
    context = multiprocessing.get_context('spawn')
    self._connection, theirs = context.Pipe()
    self._process = context.Process(target=_serve, args=(theirs, make, args), daemon=True)
    self._process.start()
    theirs.close()
    try:
      self._receive()
    except Exception:
      self.close()
      raise

  def call(self, method: str, *args: Any) -> Any:
    """Return what a method returns."""
    return self._ask(method, args)[0]

  def timed(self, method: str, *args: Any) -> Callable[[], float]:
    """Return a function that calls a method and returns its seconds, taken in that process."""
    return lambda: self._ask(method, args, silent=True)[1]

  def close(self) -> None:
    """End the process."""
    self._connection.close()
    self._process.join()

  def _ask(self, method, args, silent=False):
    try:
      self._connection.send((method, args, silent))
    except OSError:
      raise RuntimeError(_DIED) from None
    return self._receive()

  def _receive(self):
    try:
      result, seconds, error = self._connection.recv()
    except (EOFError, OSError):
      raise RuntimeError(_DIED) from None
    if error is not None:
      raise error
    return result, seconds


def prepare_torch():
  """Return PyTorch, told to use every core, and TF32 as XLA does by default.

  Raises:
    NoRivalError: it is not installed.
  """
  try:
    import torch
  except ImportError:
    raise NoRivalError('PyTorch is not installed') from None
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
  return torch


def load_twin(name: str, device: str, variables: Any, num_keypoints: int):
  """Return the PyTorch twin of a net with its weights, after `prepare_torch`.

  Raises:
    NoRivalError: there is no such twin, or PyTorch sees no GPU where one is asked for.
  """
  import torch
  from twins import TWINS

  if name not in TWINS:
    raise NoRivalError('twins/ has no such net')
  if device == 'gpu' and not torch.cuda.is_available():
    raise NoRivalError('PyTorch sees no GPU')
  net = TWINS[name](num_keypoints)
  net.load_posejax(variables)
  return net


def to_numpy(tree: Any) -> Any:
  """Return a tree of arrays as plain dicts of NumPy's."""
  if hasattr(tree, 'items'):
    return {key: to_numpy(value) for key, value in tree.items()}
  return np.asarray(tree)


def _serve(connection, make, args):
  try:
    contender = make(*args)
  except NoRivalError as e:
    connection.send((None, 0.0, e))
    return
  except Exception:
    connection.send((None, 0.0, RuntimeError(traceback.format_exc())))
    return
  connection.send((None, 0.0, None))
  while True:
    try:
      method, arguments, silent = connection.recv()
    except EOFError:
      return
    try:
      began = time.perf_counter()
      result = getattr(contender, method)(*arguments)
      seconds = time.perf_counter() - began
      connection.send((None if silent else result, seconds, None))
    except Exception:
      connection.send((None, 0.0, RuntimeError(traceback.format_exc())))
