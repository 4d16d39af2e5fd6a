"""What is compiled on a thread while other things are made ready."""

from collections.abc import Callable
import threading
import time


class Ahead:
  """A compilation under way: what JAX compiles on one thread, a call on another finds compiled.

  Attributes:
    seconds: how long it took; 0 until it has ended.
  """

  def __init__(self, compile_fn: Callable[[], object]):
    self._compile, self._error = compile_fn, None
    self.seconds = 0.0
    self._thread = threading.Thread(target=self._run, name='compiler')
    self._thread.start()

  def _run(self) -> None:
    began = time.monotonic()
    try:
      self._compile()
    except Exception as error:
      self._error = error
    self.seconds = round(time.monotonic() - began, 3)

  def wait(self) -> None:
    """Wait until it has ended.

    Raises:
      Whatever compiling raised.
    """
    self._thread.join()
    if self._error is not None:
      raise self._error
