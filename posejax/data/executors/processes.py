"""Run a batch function ahead of its consumer in worker processes, which share no interpreter lock.

Processes start anew (`spawn`) and are given the batch function by pickle, so everything that it holds
must be importable. Batches come back through memory that both sides map; pipes carry only step
numbers and errors. The memory has no name and a pipe closes with its owner: a run that is killed leaves
neither memory nor processes behind.
"""

import atexit
import collections
from collections.abc import Callable, Iterator
import ctypes
import dataclasses
import itertools
import mmap
import multiprocessing
from multiprocessing import connection, reduction, resource_tracker
import os
import pickle
import signal
import tempfile
import traceback
import weakref

import cv2
import numpy as np

from posejax.errors import PosejaxError
from posejax.types import Batch

_ALIGNMENT = 64
_JOIN_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclasses.dataclass(frozen=True)
class Layout:
  """Where a batch's arrays lie in a slot, a piece of shared memory.

  Attributes:
    arrays: (key, shape, dtype, first byte, end) of each.
    size: of the slot, bytes.
  """

  arrays: tuple[tuple[str, tuple[int, ...], np.dtype, int, int], ...]
  size: int

  @classmethod
  def of(cls, batch: Batch) -> 'Layout':
    """Return the layout of batches that look like this one."""
    arrays, start = [], 0
    for key, value in batch.items():
      arrays.append((key, value.shape, value.dtype, start, start + value.nbytes))
      start += -(-value.nbytes // _ALIGNMENT) * _ALIGNMENT
    return cls(tuple(arrays), max(start, 1))

  def views(self, slot: np.ndarray) -> Batch:
    """Return the arrays in a slot, uint8 `[size]`; they keep it alive and are no copies."""
    return {
      key: slot[start:end].view(dtype).reshape(shape)
      for key, shape, dtype, start, end in self.arrays
    }

  def write(self, batch: Batch, slot: np.ndarray) -> None:
    """Copy a batch into a slot.

    Raises:
      ValueError: it does not look like the one that the layout was made of.
    """
    views = self.views(slot)
    looks, expected = (
      {key: (value.dtype, value.shape) for key, value in arrays.items()}
      for arrays in (batch, views)
    )
    if looks != expected:
      raise ValueError(f'A batch looks like {looks}; the first one looked like {expected}.')
    for key, view in views.items():
      view[...] = batch[key]


class Workers:
  """Processes that make batches, shared by the streams that are open at the same time.

  They start with the first stream and end with the last: an evaluation in the middle of training uses
  the training's.
  """

  def __init__(self):
    self._processes: list[multiprocessing.process.BaseProcess] = []
    self._pipes: list[connection.Connection] = []
    self._numbers = itertools.count()
    self._open: set[int] = set()
    self._replies: dict[tuple[int, int], BaseException | None] = {}

  def iterate(
    self,
    make_batch: Callable[[int], Batch],
    start: int,
    stop: int,
    num_workers: int,
    prefetch: int,
  ) -> Iterator[Batch]:
    """Yield `make_batch(start), ..., make_batch(stop - 1)`: the same bytes as `threads.iterate`.

    Args and errors are those of `threads.iterate`. Where a stream is open, its workers
    are used, however many.

    Raises:
      PosejaxError: `make_batch` cannot be pickled, or a worker died.
    """
    if start >= stop:
      return
    stream, steps = next(self._numbers), range(start + 1, stop)
    self._open.add(stream)
    try:
      if steps and not self._pipes:
        self._start(min(num_workers, len(steps)))
      # Tells names, shapes and types, while the workers import what they need.
      first = make_batch(start)
      if steps:
        yield from self._batches(stream, _pickled(make_batch), first, steps, prefetch)
      else:
        yield first
    finally:
      self._close(stream)

  def _batches(self, stream, pickled, first, steps, prefetch) -> Iterator[Batch]:
    workers, layout = len(self._pipes), Layout.of(first)
    for worker in range(workers):
      self._send(worker, ('open', stream, pickled, layout))
    # A batch lies in its slot for as long as anybody holds one of its arrays. Then the slot is free
    # for another of its worker's batches; where none is free, one more is made.
    free = [[] for _ in range(workers)]
    under_way = collections.deque()
    numbers = itertools.count()

    def ask(i: int) -> None:
      """Have step number i made, by worker i % workers."""
      worker = i % workers
      if free[worker]:
        number, memory = free[worker].pop()
      else:
        number = next(numbers)
        memory = self._new_slot(worker, stream, number, layout)
      self._send(worker, ('make', stream, steps[i], number))
      under_way.append((number, memory))

    def take(i: int) -> Batch:
      number, memory = under_way.popleft()
      slot = np.frombuffer(memory, np.uint8)
      weakref.finalize(slot, free[i % workers].append, (number, memory)).atexit = False
      return layout.views(slot)

    ahead = workers * (1 + -(-prefetch // workers))
    for i in range(min(ahead, len(steps))):
      ask(i)
    yield first
    for i, step in enumerate(steps):
      self._await(i % workers, stream, step)
      if i + ahead < len(steps):
        ask(i + ahead)
      yield take(i)  # and hold nothing of it

  def _new_slot(self, worker: int, stream: int, number: int, layout: Layout) -> mmap.mmap:
    descriptor = _nameless_file(layout.size)
    try:
      self._send(worker, ('slot', stream, number), descriptor)
      return mmap.mmap(descriptor, layout.size)
    finally:
      os.close(descriptor)

  def _await(self, worker: int, stream: int, step: int) -> None:
    """Wait until a step's batch is in its slot; raise what its making raised."""
    while (stream, step) not in self._replies:
      try:
        came_stream, came_step, error = self._pipes[worker].recv()
      except (EOFError, OSError) as gone:
        process = self._processes[worker]
        process.join(_JOIN_SECONDS)
        raise PosejaxError(
          f'A worker process ended (exit code {process.exitcode}) before it had made batch {step}. '
          'Killed by the system, it is mostly memory that ran out: lower config.data.num_workers, or '
          "share one process's memory with config.data.executor='threads'."
        ) from gone
      if came_stream in self._open:
        self._replies[came_stream, came_step] = error
    error = self._replies.pop((stream, step))
    if error is not None:
      raise error

  def _send(self, worker: int, message: tuple, descriptor: int | None = None) -> None:
    try:
      self._pipes[worker].send(message)
      if descriptor is not None:
        reduction.send_handle(self._pipes[worker], descriptor, self._processes[worker].pid)
    except OSError:
      pass  # it died; waiting for its reply says so

  def _start(self, num_workers: int) -> None:
    context = multiprocessing.get_context('spawn')
    atexit.register(self._stop)  # before multiprocessing waits for what would never end
    resource_tracker.ensure_running()  # multiprocessing's own process; starting it unblocks signals
    # A new process inherits what is blocked: no Ctrl-C ends it before it says that it ignores them.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
      for _ in range(num_workers):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs,), name='batches', daemon=True)
        process.start()
        theirs.close()
        self._processes.append(process)
        self._pipes.append(ours)
    finally:
      signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

  def _close(self, stream: int) -> None:
    self._open.discard(stream)
    self._replies = {key: error for key, error in self._replies.items() if key[0] != stream}
    if not self._open:
      self._stop()
      return
    for worker in range(len(self._pipes)):
      self._send(worker, ('close', stream))

  def _stop(self) -> None:
    if not self._pipes:
      return  # also while the interpreter shuts down, where a forgotten stream is closed late
    atexit.unregister(self._stop)
    for pipe in self._pipes:
      pipe.close()
    for process in self._processes:
      process.join(_JOIN_SECONDS)  # it ends when it looks at its pipe: after its batch
      if process.is_alive():
        process.kill()
        process.join()
      process.close()
    self._pipes, self._processes = [], []


def _pickled(make_batch: Callable[[int], Batch]) -> bytes:
  try:
    return pickle.dumps(make_batch)
  except Exception as error:  # each type's own way of saying no
    raise PosejaxError(
      f"config.data.executor='processes' sends the data source to other processes, and it cannot be "
      f"pickled: {error}. Take 'threads' or 'tfdata', or define its parts at the top of a module."
    ) from error


def _nameless_file(size: int) -> int:
  """Return the descriptor of a file in memory that goes with its last owner."""
  if hasattr(os, 'memfd_create'):  # Linux
    descriptor = os.memfd_create('batches')
  else:
    with tempfile.TemporaryFile() as file:
      descriptor = os.dup(file.fileno())
  os.ftruncate(descriptor, size)
  return descriptor


def _work(pipe: connection.Connection) -> None:
  """Serve one owner until its end of the pipe closes: the life of a worker process."""
  for number in _SIGNALS:
    signal.signal(
      number, signal.SIG_IGN
    )  # the owner decides when to stop, and may want more batches
  signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
  os.environ['JAX_PLATFORMS'] = (
    'cpu'  # whatever a source asks of JAX, the owner has the accelerator
  )
  _keep_freed_memory()
  cv2.setNumThreads(1)
  streams: dict[int, _Stream] = {}
  try:
    while True:
      kind, number, *message = pipe.recv()
      if kind == 'open':
        streams[number] = _Stream(*message)
      elif kind == 'slot':
        streams[number].add_slot(message[0], reduction.recv_handle(pipe))
      elif kind == 'make':
        pipe.send((number, message[0], streams[number].make(*message)))
      else:
        streams.pop(number, None)  # one of a single batch was never opened here
  except (EOFError, OSError):
    pass  # the owner closed its end, or is dead


class _Stream:
  """One batch function in a worker, and the slots that it fills."""

  def __init__(self, pickled: bytes, layout: Layout):
    self._layout = layout
    self._slots: dict[int, np.ndarray] = {}
    self._fault = None
    try:
      self._make_batch = pickle.loads(pickled)
    except Exception as error:
      self._fault = error

  def add_slot(self, number: int, descriptor: int) -> None:
    """Map a slot, and close its descriptor."""
    self._slots[number] = np.frombuffer(mmap.mmap(descriptor, self._layout.size), np.uint8)
    os.close(descriptor)

  def make(self, step: int, slot: int) -> Exception | None:
    """Make a batch and return None, or return the error that it raised."""
    try:
      if self._fault is not None:
        raise self._fault
      self._layout.write(self._make_batch(step), self._slots[slot])
    except Exception as error:
      return _sendable(error)
    return None


def _sendable(error: Exception) -> Exception:
  error.add_note('In a worker process:\n' + ''.join(traceback.format_exception(error)))
  try:
    if type(pickle.loads(pickle.dumps(error))) is type(error):
      return error
  except Exception:
    pass
  return RuntimeError(''.join(traceback.format_exception(error)))


def _keep_freed_memory() -> None:
  """Tell glibc to reuse the memory of pictures instead of returning it to the system.

  A picture of some 100 kB is otherwise mapped, faulted in page by page and unmapped each time: a tenth
  of the time of a crop.
  """
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  if mallopt is not None:
    m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
    mallopt(m_mmap_threshold, 32 << 20)  # its largest value
    mallopt(m_trim_threshold, 256 << 20)
