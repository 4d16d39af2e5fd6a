"""Batches from real JPEGs: the batch function under both executors against a plain OpenCV loop.

    POSEJAX_REAL_DATA=... python benchmarks/batches.py            # JPEGs of <there>/lspet/images
    python benchmarks/batches.py --images=FOLDER --size=256x192

The plain loop is what one writes first: one thread, one example at a time, the same decoding, the
same random transform and colours, the same crop, by the same functions. All contenders take turns in
one process; the table gives medians over the turns and their ratio to the loop.
"""

import argparse
import glob
import os
import pathlib
import statistics
import time

import cv2
import numpy as np

from posejax import skeletons
from posejax.data import augment, executor
from posejax.data.batches import TrainBatches
from posejax.data.crops import CropPerson
from posejax.geometry import affine


class Jpegs:
  """Encoded pictures in memory with a made-up person in the middle: no disk in the measurement."""

  skeleton = skeletons.LSP

  def __init__(self, folder: str, limit: int):
    paths = sorted(glob.glob(os.path.join(folder, '*.jpg')))[:limit]
    if not paths:
      raise SystemExit(f'No .jpg in {folder}; set POSEJAX_REAL_DATA or --images.')
    self._encoded = [pathlib.Path(path).read_bytes() for path in paths]
    self._shapes = [cv2.imdecode(np.frombuffer(b, np.uint8), 1).shape for b in self._encoded]

  def __len__(self):
    return len(self._encoded)

  def __getitem__(self, i):
    h, w = self._shapes[i][:2]
    rng = np.random.default_rng(i)
    return {
      'image': self._encoded[i],
      'keypoints': rng.uniform((0.2 * w, 0.1 * h), (0.8 * w, 0.9 * h), (14, 2)),
      'visibility': np.full(14, 2),
      'box': np.array([0.2 * w, 0.1 * h, 0.8 * w, 0.9 * h]),
    }


def plain_loop(source, crop: CropPerson, order) -> None:
  """Decode, vary and crop one example after another."""
  for i in order:
    example = source[i]
    image = cv2.imdecode(np.frombuffer(example['image'], np.uint8), cv2.IMREAD_COLOR)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    rng = np.random.default_rng((1, 0, 0, i))
    matrix, _ = crop.labels(example, rng)
    if np.linalg.det(matrix[:, :2]) < 0:
      # As usual: mirror the picture, and undo the mirror in the matrix.
      image = np.ascontiguousarray(image[:, ::-1])
      mirror = np.array([[-1.0, 0.0, image.shape[1] - 1.0], [0.0, 1.0, 0.0]])
      matrix = affine.compose(matrix, mirror)
    warped = cv2.warpAffine(image, matrix, crop.crop_size[::-1], flags=cv2.INTER_LINEAR)
    crop.augmentation.photometric(rng, warped)


def drain(iterate, batches, steps, workers) -> None:
  for _ in iterate(batches, 0, steps, num_workers=workers, prefetch=2):
    pass


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  default = os.path.join(os.environ.get('POSEJAX_REAL_DATA', '.'), 'lspet', 'images')
  parser.add_argument('--images', default=default)
  parser.add_argument('--num_images', type=int, default=640)
  parser.add_argument('--size', default='256x192', help='crop, height x width')
  parser.add_argument('--batch', type=int, default=32)
  parser.add_argument('--workers', type=int, default=os.cpu_count())
  parser.add_argument('--repeats', type=int, default=7)
  args = parser.parse_args()
  cv2.setNumThreads(1)  # the executors bring their own threads
  size = tuple(int(s) for s in args.size.split('x'))
  source = Jpegs(args.images, args.num_images)
  crop = CropPerson(source.skeleton, size, 'msra', augment.create('hrnet', color=0.5))
  batches = TrainBatches(source, crop, 0, args.batch)
  steps = len(source) // args.batch
  order = np.random.default_rng(0).permutation(len(source))[: steps * args.batch]
  contenders = {
    'plain loop': lambda: plain_loop(source, crop, order),
    'batch function, no executor': lambda: [batches(step) for step in range(steps)],
    'threads': lambda: drain(executor.iterate, batches, steps, args.workers),
  }
  try:
    from posejax.data import pipeline

    contenders['tf.data'] = lambda: drain(pipeline.iterate, batches, steps, args.workers)
  except ImportError:
    print('tf.data: TensorFlow is not installed')
  times = {name: [] for name in contenders}
  for repeat in range(args.repeats + 1):
    for name, run in contenders.items():
      began = time.perf_counter()
      run()
      if repeat:  # the first turn warms up
        times[name].append(time.perf_counter() - began)
  images = steps * args.batch
  base = statistics.median(times['plain loop'])
  print(f'{images} JPEGs a turn, crop {args.size}, batch {args.batch}, {args.workers} workers')
  print(f'{"":30s} images/s   against the loop')
  for name, values in times.items():
    median = statistics.median(values)
    print(f'{name:30s} {images / median:8.0f}   {base / median:.2f}')


if __name__ == '__main__':
  main()
