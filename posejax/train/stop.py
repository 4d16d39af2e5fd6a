"""Being asked to stop: SIGTERM (preemption, a cluster's time limit) and Ctrl-C, and what is said then."""

from collections.abc import Iterator
import contextlib
import os
import signal
import threading

import jax
from jax.experimental import multihost_utils

from posejax import devices
from posejax.runs import checkpoint, workdirs

EXIT_CODE = 75
"""Of a program that wrote a checkpoint and has something left to do.

Source: EX_TEMPFAIL of sysexits.h, no error but to be tried again. Schedulers take 0 for complete.
"""


class StopFlag:
  """Whether this run was asked to stop; on several processes, the same answer on each."""

  def __init__(self):
    self._asked = threading.Event()

  def ask(self, signal_number: int, frame) -> None:
    """Handle a signal; a second Ctrl-C gives up at once."""
    del frame
    if self._asked.is_set() and signal_number == signal.SIGINT:
      raise KeyboardInterrupt
    self._asked.set()
    if jax.process_count() > 1:
      # What JAX listens for: it tells the other processes, see `at`.
      os.kill(os.getpid(), signal.SIGTERM)

  def asked(self) -> bool:
    """Return whether this process was asked."""
    return self._asked.is_set()

  def at(self, step: int) -> bool:
    """Return whether to stop after `step`."""
    if jax.process_count() > 1:
      # JAX's coordination service catches SIGTERM on any process and agrees with all on a step.
      return multihost_utils.reached_preemption_sync_point(step)
    return self.asked()


def exit_code(workdir: str) -> int:
  """Return what a program that trained ends with: 0 where the run is complete, else `EXIT_CODE`.

  All processes end with what the first sees in the work directory.
  """

  def finished() -> int | None:
    return checkpoint.finished_step(workdir, workdirs.read_config(workdir))

  return EXIT_CODE if devices.from_first(finished) is None else 0


@contextlib.contextmanager
def listen() -> Iterator[StopFlag]:
  """Turn SIGTERM and SIGINT into a flag while inside. Only the main thread can.

  On several processes SIGTERM stays JAX's.
  """
  flag = StopFlag()
  numbers = [signal.SIGINT] if jax.process_count() > 1 else [signal.SIGINT, signal.SIGTERM]
  if threading.current_thread() is not threading.main_thread():
    yield flag
    return
  before = {number: signal.signal(number, flag.ask) for number in numbers}
  try:
    yield flag
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
