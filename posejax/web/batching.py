"""One thread owns the net and gives it together what several clients wait for."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
import contextlib
import dataclasses
import logging
import threading
import time

import numpy as np

from posejax.errors import PosejaxError
from posejax.infer.results import Result
from posejax.web.limits import Limits
from posejax.web.predictor import Predicts

_LOG = logging.getLogger(__name__)


class BusyError(Exception):
  """So much waits that nothing more is taken."""


class NetFailedError(PosejaxError):
  """The net failed on a picture, which nobody who sent it can mend."""


@dataclasses.dataclass
class _Waiting:
  image: np.ndarray
  is_gone: Callable[[], bool]
  future: Future = dataclasses.field(default_factory=Future)

  @property
  def pixels(self) -> int:
    return self.image.shape[0] * self.image.shape[1]


class Batcher:
  """A queue of pictures with a bound, emptied in batches by one thread.

  While the net is at work, what arrives waits and becomes the next batch. Before it starts, it waits
  some milliseconds, but only where other pictures are known to come.
  """

  def __init__(
    self, predictor: Predicts, limits: Limits, on_batch: Callable[[int], None] = lambda size: None
  ):
    """Start the thread.

    Args:
      predictor: the net.
      limits: of batches and of what may wait.
      on_batch: told the size of every batch.
    """
    self._predictor = predictor
    self._limits = limits
    self._on_batch = on_batch
    self._changed = threading.Condition()
    self._queue: deque[_Waiting] = deque()
    self._pixels = 0  # of what waits or is in the net
    self._coming = 0
    self._closed = False
    self._thread = threading.Thread(target=self._run, name='posejax-batches', daemon=True)
    self._thread.start()

  @contextlib.contextmanager
  def coming(self) -> Iterator[None]:
    """Let the next batch wait, some milliseconds at most, for what this context will submit."""
    with self._changed:
      self._coming += 1
    try:
      yield
    finally:
      with self._changed:
        self._coming -= 1
        self._changed.notify_all()

  def submit(
    self, image: np.ndarray, is_gone: Callable[[], bool] = lambda: False
  ) -> 'Future[Result]':
    """Let a picture wait for the net.

    Args:
      image: uint8 RGB `[h, w, 3]`.
      is_gone: asked before the net sees the picture; it is skipped, and its future cancelled, where
        nobody waits for it any more.

    Raises:
      BusyError: too much waits already, or the server stops.
    """
    item = _Waiting(image, is_gone)
    with self._changed:
      full = self._pixels and self._pixels + item.pixels > self._limits.waiting_pixels
      if self._closed or full or len(self._queue) >= self._limits.waiting:
        raise BusyError
      self._pixels += item.pixels
      self._queue.append(item)
      self._changed.notify_all()
    return item.future

  def close(self, seconds: float) -> None:
    """Take nothing more and answer what waits; what still waits after `seconds` is given up."""
    with self._changed:
      self._closed = True
      self._changed.notify_all()
    self._thread.join(seconds)
    with self._changed:
      for item in self._queue:
        item.future.cancel()

  def _run(self) -> None:
    while items := self._next():
      # A future that its client cancelled must not be touched any more.
      wanted = [i for i in items if not (i.is_gone() and i.future.cancel())]
      wanted = [i for i in wanted if i.future.set_running_or_notify_cancel()]
      if wanted:
        self._on_batch(len(wanted))
        self._predict(wanted)
      with self._changed:
        self._pixels -= sum(item.pixels for item in items)
      del items, wanted  # pictures are large, and the next may take a while to come

  def _next(self) -> list[_Waiting]:
    """Wait for pictures and return those of the next batch; none once closed and empty."""
    with self._changed:
      self._changed.wait_for(lambda: self._queue or self._closed)
      end = time.monotonic() + self._limits.batch_milliseconds / 1000
      self._changed.wait_for(
        lambda: len(self._queue) >= self._limits.batch or not self._coming or self._closed,
        max(0.0, end - time.monotonic()),
      )
      size = min(len(self._queue), self._limits.batch)
      return [self._queue.popleft() for _ in range(size)]

  def _predict(self, items: list[_Waiting]) -> None:
    try:
      results = self._predictor([item.image for item in items])
      if len(results) != len(items):
        raise ValueError(f'{len(items)} pictures gave {len(results)} results')
    except Exception as error:
      if len(items) > 1:  # one picture's fault is not the others'
        for item in items:
          self._predict([item])
      else:
        if not isinstance(error, PosejaxError):
          _LOG.exception('The net failed on a picture of shape %s.', items[0].image.shape)
          error = NetFailedError("The net failed on this picture; the server's log says how.")
        items[0].future.set_exception(error)
    else:
      for item, result in zip(items, results, strict=True):
        item.future.set_result(result)
