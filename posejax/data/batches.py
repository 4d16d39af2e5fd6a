"""Batches as a pure function of (seed, step): no iterator state, no order that depends on hosts.

Training goes through the source in one NumPy permutation per epoch; step `s` of global batch size
`B` takes the places `s*B ... s*B + B - 1` of that endless sequence, and each process its own slice of
them. Every example is augmented with a generator seeded by (seed, epoch, example). So the order is
the same on any number of hosts, and starting at step 1,000,000 costs nothing.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from posejax.types import Batch, PrepareFn


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
  """Return the int64 `[num_examples]` order of one epoch, the same on every host."""
  order = np.random.default_rng((seed, epoch)).permutation(num_examples)
  order.setflags(write=False)
  return order


@dataclasses.dataclass(frozen=True)
class TrainBatches:
  """Training batches by step: `batches(step)` is this process's slice of the global batch.

  Attributes:
    source: random access to examples.
    prepare: makes the arrays of one example.
    seed: root of order and augmentation.
    batch_size: examples per step over all processes.
    process_index, process_count: which slice is this process's.
  """

  source: Any
  prepare: PrepareFn
  seed: int
  batch_size: int
  process_index: int = 0
  process_count: int = 1

  def __call__(self, step: int) -> Batch:
    """Return this process's slice of the batch of one step."""
    num_examples = len(self.source)
    local = self.batch_size // self.process_count
    first = step * self.batch_size + self.process_index * local
    rows = []
    for place in range(first, first + local):
      epoch, offset = divmod(place, num_examples)
      index = int(epoch_order(self.seed, epoch, num_examples)[offset])
      # The leading 1 keeps this stream apart from the order's, which is seeded by (seed, epoch).
      rng = np.random.default_rng((1, self.seed, epoch, index))
      rows.append((index, self.prepare(self.source[index], rng)))
    return _stack(rows, local)


@dataclasses.dataclass(frozen=True)
class EvalBatches:
  """Every example of a source once, in order: `batches(n)` for n in `range(len(batches))`.

  The last batch is filled up with padding (`mask` 0, `index` -1, labels 0), so that all batches
  have one shape and no example is dropped or counted twice.
  """

  source: Any
  prepare: PrepareFn
  batch_size: int
  process_index: int = 0
  process_count: int = 1

  def __len__(self) -> int:
    return -(-len(self.source) // self.batch_size)

  def __call__(self, number: int) -> Batch:
    """Return this process's slice of evaluation batch `number`."""
    local = self.batch_size // self.process_count
    first = number * self.batch_size + self.process_index * local
    rows = [
      (i, self.prepare(self.source[i], np.random.default_rng(0)))
      for i in range(first, min(first + local, len(self.source)))
    ]
    # A process whose slice lies wholly in the padding still needs the arrays' shapes.
    template = rows[0][1] if rows else self.prepare(self.source[0], np.random.default_rng(0))
    padding = {k: np.zeros_like(v) for k, v in template.items()}
    rows += [(-1, padding)] * (local - len(rows))
    return _stack(rows, local)


def _stack(rows: list[tuple[int, dict[str, np.ndarray]]], size: int) -> Batch:
  batch = {key: np.stack([arrays[key] for _, arrays in rows]) for key in rows[0][1]}
  batch['index'] = np.array([index for index, _ in rows], np.int32)
  batch['mask'] = (batch['index'] >= 0).astype(np.float32)
  assert len(batch['index']) == size
  return batch
