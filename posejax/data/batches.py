"""Batches as a pure function of (seed, step): no iterator state, no order that depends on hosts.

Training goes through the source in one NumPy permutation per epoch; step `s` of global batch size
`B` takes the places `s*B ... s*B + B - 1` of that endless sequence, and each process its own slice of
them. Every example is augmented with a generator seeded by (seed, epoch, example). So the order is
the same on any number of hosts, and starting at step 1,000,000 costs nothing.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import numpy as np

from posejax.types import Batch, Example, TransformFn


@functools.lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
  """Return the int64 `[num_examples]` order of one epoch, the same on every host."""
  order = np.random.default_rng((seed, epoch)).permutation(num_examples)
  order.setflags(write=False)
  return order


@dataclasses.dataclass(frozen=True)
class Later:
  """An array of an example that is made after the small ones, straight in its batch.

  A batch's labels made one after the other take half the time of labels made between pictures, which
  drive the code out of the processor's caches; and nothing has to be copied.

  Attributes:
    shape: of the array.
    dtype: of the array.
    write: `write(out)` fills it.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  write: Callable[[np.ndarray], None]


@dataclasses.dataclass(frozen=True)
class TrainBatches:
  """Training batches by step: `batches(step)` is this process's slice of the global batch.

  Attributes:
    source: random access to examples.
    transform: makes the arrays of one example. If it has a method `begin`, that one is called with the
      same arguments, and may return a `Later` in the place of an array. If it has a method `others`, that
      is called before with the same generator and the number of examples, and returns the numbers of
      those that go in too: a list of them is `begin`'s third argument.
    seed: root of order and augmentation.
    batch_size: examples per step over all processes.
    process_index, process_count: which slice is this process's.
  """

  source: Any
  transform: TransformFn
  seed: int
  batch_size: int
  process_index: int = 0
  process_count: int = 1

  def __call__(self, step: int) -> Batch:
    """Return this process's slice of the batch of one step."""
    num_examples = len(self.source)
    local = self.batch_size // self.process_count
    first = step * self.batch_size + self.process_index * local
    rows = _Rows(self.transform, local)
    others_fn = getattr(self.transform, 'others', None)
    for place in range(first, first + local):
      epoch, offset = divmod(place, num_examples)
      index = int(epoch_order(self.seed, epoch, num_examples)[offset])
      # The leading 1 keeps this stream apart from the order's, which is seeded by (seed, epoch).
      rng = np.random.default_rng((1, self.seed, epoch, index))
      others = (
        () if others_fn is None else ([self.source[i] for i in others_fn(rng, num_examples)],)
      )
      rows.add(index, self.source[index], rng, *others)
    return rows.finish()


@dataclasses.dataclass(frozen=True)
class EvalBatches:
  """Every example of a source once, in order: `batches(n)` for n in `range(len(batches))`.

  The last batch is filled up with padding (`mask` 0, `index` -1, labels 0), so that all batches
  have one shape and no example is dropped or counted twice.
  """

  source: Any
  transform: TransformFn
  batch_size: int
  process_index: int = 0
  process_count: int = 1

  def __len__(self) -> int:
    return -(-len(self.source) // self.batch_size)

  def __call__(self, number: int) -> Batch:
    """Return this process's slice of evaluation batch `number`."""
    local = self.batch_size // self.process_count
    first = number * self.batch_size + self.process_index * local
    rows = _Rows(self.transform, local)
    for i in range(first, min(first + local, len(self.source))):
      rows.add(i, self.source[i], np.random.default_rng(0))
    if not rows.count:
      # A process whose slice lies wholly in the padding still needs the arrays' shapes.
      rows.add(0, self.source[0], np.random.default_rng(0))
      rows.clear()
    return rows.finish()


class _Rows:
  """The arrays of a batch, filled one example at a time and padded with zeros."""

  def __init__(self, transform: TransformFn, size: int):
    self._begin = getattr(transform, 'begin', transform)
    self._later: list[tuple[Later, np.ndarray]] = []
    self.batch: Batch = {'index': np.full(size, -1, np.int32), 'mask': np.zeros(size, np.float32)}
    self._keys = None
    self.count = 0

  def add(self, index: int, example: Example, rng: np.random.Generator, *others) -> None:
    """Append an example; `others` is a list of those that go in too, if the transform takes such.

    Raises:
      ValueError: its arrays differ from those of the first example in name, shape or type.
    """
    batch, row = self.batch, self.count
    arrays = self._begin(example, rng, *others)
    if self._keys is None:
      self._keys = arrays.keys()
      for key, value in arrays.items():
        batch[key] = np.empty((len(batch['index']), *value.shape), value.dtype)
    elif arrays.keys() != self._keys:
      raise ValueError(f'Example {index} has {sorted(arrays)}, the first {sorted(self._keys)}.')
    for key, value in arrays.items():
      column = batch[key]
      if value.shape != column.shape[1:] or value.dtype != column.dtype:
        raise ValueError(
          f'Example {index}: {key!r} is {value.dtype} {value.shape}, but the first example of its '
          f'batch has {column.dtype} {column.shape[1:]}.'
        )
      if isinstance(value, Later):
        self._later.append((value, column[row]))
      else:
        column[row] = value
    batch['index'][row], batch['mask'][row] = index, 1
    self.count += 1

  def clear(self) -> None:
    """Forget the examples; what stays is how they look."""
    self._later.clear()
    self.batch['index'][:], self.batch['mask'][:] = -1, 0
    self.count = 0

  def finish(self) -> Batch:
    """Return the batch: make what was left for later, and the padding."""
    for array, out in self._later:
      array.write(out)
    for key in self._keys:
      self.batch[key][self.count :] = 0
    return self.batch
