"""Measure how many drawn people a second come out as 128x96 crops, on one and on two threads.

Run: python benchmarks/drawing.py [--num=600] [--repeats=5]
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
import statistics
import time

import cv2
import numpy as np

from posejax.data.synthetic.people import SyntheticPeople

_CROP = (96, 128)  # (w, h)
_PADDING = 1.25


def crop(source: SyntheticPeople, index: int) -> np.ndarray:
  example = source[index]
  x0, y0, x1, y1 = example['box'].tolist()
  width = _PADDING * max(x1 - x0, (y1 - y0) * _CROP[0] / _CROP[1])
  zoom = _CROP[0] / width
  matrix = np.array(
    [
      [zoom, 0, (_CROP[0] - 1) / 2 - zoom * (x0 + x1) / 2],
      [0, zoom, (_CROP[1] - 1) / 2 - zoom * (y0 + y1) / 2],
    ]
  )
  return cv2.warpAffine(example['image'], matrix, _CROP, flags=cv2.INTER_LINEAR)


def rate(source: SyntheticPeople, num: int, threads: int, start: int) -> float:
  """Return people per second."""
  share = num // threads

  def work(first: int):
    for index in range(first, first + share):
      crop(source, index)

  with ThreadPoolExecutor(threads) as pool:
    began = time.perf_counter()
    list(pool.map(work, range(start, start + share * threads, share)))
    return share * threads / (time.perf_counter() - began)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--num', type=int, default=600, help='people per measurement')
  parser.add_argument(
    '--repeats', type=int, default=5, help='measurements; their median is printed'
  )
  args = parser.parse_args()
  cv2.setNumThreads(0)
  source = SyntheticPeople()
  rate(source, 50, 1, 0)  # draws the textures
  rates = {1: [], 2: []}
  for repeat in range(args.repeats):
    for threads, measured in rates.items():
      measured.append(rate(source, args.num, threads, repeat * args.num))
  for threads, measured in rates.items():
    print(
      f'{threads} thread{"s" if threads > 1 else ""}: {statistics.median(measured):.0f} people/s '
      f'(median of {args.repeats}; {min(measured):.0f} to {max(measured):.0f})'
    )


if __name__ == '__main__':
  main()
