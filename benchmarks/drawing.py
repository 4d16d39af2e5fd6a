"""Measure how many crops of drawn people a second come out, at 128x96, as training takes them.

Run: python benchmarks/drawing.py [--people=1600] [--repeats=5]

Every person is drawn anew and cropped (`config.data.cache` off), on one thread without an executor, on
threads and in worker processes. The contenders take turns; the table gives medians.
"""

import argparse
import statistics
import time

import cv2

from posejax.data import augment, executor, processes
from posejax.data.batches import TrainBatches
from posejax.data.crops import CropPerson
from posejax.data.synthetic.people import SyntheticPeople

_BATCH = 32


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--people', type=int, default=1600, help='per measurement')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--workers', type=int, default=2)
  args = parser.parse_args()
  cv2.setNumThreads(1)  # the executors bring their own threads
  source = SyntheticPeople()
  crop = CropPerson(source.skeleton, (128, 96), 'msra', augment.Augmentation(flip=0.5))
  batches = TrainBatches(source, crop, seed=0, batch_size=_BATCH)
  steps = args.people // _BATCH
  # As in training, worker processes start once: an open stream keeps them from turn to turn.
  workers = processes.Workers()
  idle = workers.iterate(batches, 0, 1 + args.workers, args.workers, prefetch=0)
  next(idle)
  contenders = {
    'one thread': lambda start, stop: map(batches, range(start, stop)),
    'threads': lambda *span: executor.iterate(batches, *span, args.workers, prefetch=2),
    'processes': lambda *span: workers.iterate(batches, *span, args.workers, prefetch=2),
  }
  rates = {name: [] for name in contenders}
  for repeat in range(args.repeats + 1):
    for name, iterate in contenders.items():
      began = time.perf_counter()
      for _ in iterate(repeat * steps, (repeat + 1) * steps):
        pass
      if repeat:  # the first turn draws the textures
        rates[name].append(steps * _BATCH / (time.perf_counter() - began))
  print(f'{steps * _BATCH} people a turn, crop 128x96, batch {_BATCH}, {args.workers} workers')
  for name, measured in rates.items():
    print(
      f'{name:12s} {statistics.median(measured):6.0f} crops/s '
      f'(median of {args.repeats}; {min(measured):.0f} to {max(measured):.0f})'
    )


if __name__ == '__main__':
  main()
