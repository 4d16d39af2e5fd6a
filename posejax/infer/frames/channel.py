"""A bounded queue between two threads that either of them can end, and threads at its ends."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
import threading
from typing import Any


class Channel:
  """A bounded first-in first-out queue with one giver and one taker.

  `queue.Queue` has no way to wake a thread that waits on it when the other side has gone.
  """

  def __init__(self, depth: int):
    self._depth = depth
    self._items = deque()
    self._changed = threading.Condition()
    self._ended = self._stopped = False
    self._error: BaseException | None = None

  def put(self, item: Any) -> bool:
    """Wait for room and put an item; return False where the taker has gone."""
    with self._changed:
      self._changed.wait_for(lambda: self._stopped or len(self._items) < self._depth)
      if not self._stopped:
        self._items.append(item)
        self._changed.notify_all()
      return not self._stopped

  def end(self, error: BaseException | None = None) -> None:
    """Say, as the giver, that no more items come; an error reaches the taker after the last item."""
    with self._changed:
      self._ended, self._error = True, error
      self._changed.notify_all()

  def stop(self) -> None:
    """Say, as the taker, that no more items are wanted; what waits is dropped."""
    with self._changed:
      self._stopped = True
      self._items.clear()
      self._changed.notify_all()

  def get(self) -> Any:
    """Wait for an item and return it.

    Raises:
      StopIteration: the giver has ended, or the taker itself has stopped.
      BaseException: what the giver ended with.
    """
    with self._changed:
      self._changed.wait_for(lambda: self._items or self._ended or self._stopped)
      if self._items:
        self._changed.notify_all()
        return self._items.popleft()
      error, self._error = self._error, None
    if error is not None and not self._stopped:
      raise error
    raise StopIteration


class Ahead(Iterator):
  """Run a generator on a thread, `depth` items ahead of its consumer, in order.

  The thread starts with the first item that is asked for. What the generator raises is raised here,
  after the items before it.
  """

  def __init__(self, generator: Generator, depth: int, name: str):
    self._generator = generator
    self._channel = Channel(depth)
    self._thread = threading.Thread(target=self._run, name=name, daemon=True)
    self._started = False

  def _run(self) -> None:
    error = None
    try:
      for item in self._generator:
        if not self._channel.put(item):
          break
    except BaseException as raised:
      error = raised
    finally:
      self._generator.close()
      self._channel.end(error)

  def __next__(self) -> Any:
    if not self._started:
      self._started = True
      self._thread.start()
    return self._channel.get()

  def close(self) -> None:
    """Stop the generator and wait for its thread; nothing more is yielded."""
    self._channel.stop()
    if self._started:
      self._thread.join()
    self._started = True


class Behind:
  """Call `consume(item)` for every item on a thread, at most `depth` items behind the giver.

  Args:
    consume: called in order. What it raises is raised by the next `put` or by `finish`.
    depth: items that may wait.
    name: of the thread.
  """

  def __init__(self, consume: Callable[[Any], None], depth: int, name: str):
    self._consume = consume
    self._channel = Channel(depth)
    self._error: BaseException | None = None
    self._thread = threading.Thread(target=self._run, name=name, daemon=True)
    self._thread.start()

  def _run(self) -> None:
    try:
      while True:
        try:
          item = self._channel.get()
        except StopIteration:
          return
        self._consume(item)
    except BaseException as raised:
      self._error = raised
      self._channel.stop()

  def put(self, item: Any) -> None:
    """Wait for room and hand over an item."""
    if not self._channel.put(item):
      self._thread.join()
      self._raise()

  def finish(self) -> None:
    """Wait until everything is consumed."""
    self._channel.end()
    self._thread.join()
    self._raise()

  def abandon(self) -> None:
    """Drop what waits and end the thread; errors are dropped too."""
    self._channel.stop()
    self._thread.join()

  def _raise(self) -> None:
    error, self._error = self._error, None
    if error is not None:
      raise error
