"""Run a batch function ahead of its consumer on threads, in order, without TensorFlow."""

from collections import deque
from collections.abc import Callable, Iterator
import concurrent.futures

from posejax.types import Batch


def iterate(
  make_batch: Callable[[int], Batch], start: int, stop: int, num_workers: int, prefetch: int
) -> Iterator[Batch]:
  """Yield `make_batch(start), ..., make_batch(stop - 1)`, made ahead on threads.

  OpenCV and NumPy release the interpreter lock in their inner loops, so threads run in parallel.

  Args:
    make_batch: pure function of the step.
    start: first step.
    stop: one past the last step.
    num_workers: batches made in parallel.
    prefetch: batches held ready beyond those in the making.

  Raises:
    Whatever `make_batch` raises, at the step it belongs to.
  """
  pool = concurrent.futures.ThreadPoolExecutor(num_workers, thread_name_prefix='batches')
  pending = deque()
  try:
    for step in range(start, stop):
      pending.append(pool.submit(make_batch, step))
      if len(pending) >= num_workers + prefetch:
        yield pending.popleft().result()
    while pending:
      yield pending.popleft().result()
  finally:
    pool.shutdown(wait=False, cancel_futures=True)
