"""Time an executor in the steady state: at work for all turns of a benchmark, as it is in training."""

import time

_PREFETCH = 2
_SETTLE_SECONDS = 0.2


class Stream:
  """An executor that runs ahead through batches without end."""

  def __init__(self, iterate, batches, num_workers: int):
    self._batches = iterate(batches, 0, 10**6, num_workers=num_workers, prefetch=_PREFETCH)
    self._ready = num_workers + _PREFETCH

  def turn(self, steps: int) -> float:
    """Return the seconds that so many batches take, made from the first to the last in that time."""
    for _ in range(self._ready):  # made before; as many are under way when the turn ends
      next(self._batches)
    began = time.perf_counter()
    for _ in range(steps):
      next(self._batches)
    seconds = time.perf_counter() - began
    time.sleep(_SETTLE_SECONDS)  # until those are made, which is not the next contender's business
    return seconds
