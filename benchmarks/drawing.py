"""Measure how many crops of drawn people a second come out, at 128x96, as training takes them.

Run: python benchmarks/drawing.py [--people=1600] [--repeats=5]

Every person is drawn anew and cropped (`config.data.cache` off), on one thread without an executor, on
threads and in worker processes. The contenders take turns; the table gives medians.
"""

import argparse
import itertools
import statistics

import contest
import cv2
from stream import Stream

from posejax.data.batches import TrainBatches
from posejax.data.executors import processes, threads
from posejax.data.sources.people import People
from posejax.data.synthetic.people import SyntheticPeople
from posejax.data.transforms import augment
from posejax.data.transforms.crops import CropPerson

_BATCH = 32


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--people', type=int, default=1600, help='per measurement')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--workers', type=int, default=2)
  args = parser.parse_args()
  cv2.setNumThreads(1)  # the executors bring their own threads
  source = People(SyntheticPeople())
  crop = CropPerson(source.label_space.skeleton, (128, 96), 'msra', augment.Augmentation(flip=0.5))
  batches = TrainBatches(source, crop, seed=0, batch_size=_BATCH)
  steps = args.people // _BATCH
  threaded = Stream(threads.iterate, batches, args.workers)
  workers = Stream(processes.Workers().iterate, batches, args.workers)
  first = itertools.count()  # everybody is drawn once: nothing to remember
  contenders = {
    'one thread': lambda: contest.timed(lambda: [batches(next(first)) for _ in range(steps)]),
    'threads': lambda: threaded.turn(steps),
    'processes': lambda: workers.turn(steps),
  }
  rates = {name: [] for name in contenders}
  for repeat in range(args.repeats + 1):
    for name, turn in contenders.items():
      taken = turn()
      if repeat:  # the first turn draws the textures
        rates[name].append(steps * _BATCH / taken)
  print(f'{steps * _BATCH} people a turn, crop 128x96, batch {_BATCH}, {args.workers} workers')
  for name, measured in rates.items():
    print(
      f'{name:12s} {statistics.median(measured):6.0f} crops/s '
      f'(median of {args.repeats}; {min(measured):.0f} to {max(measured):.0f})'
    )


if __name__ == '__main__':
  main()
