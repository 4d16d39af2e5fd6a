"""Batches from real JPEGs: the batch function under each executor against a plain OpenCV loop.

    POSEJAX_REAL_DATA=... python benchmarks/batches.py            # JPEGs of <there>/lspet/images
    python benchmarks/batches.py --images=FOLDER --size=256x192

The plain loop is what one writes first, in this file and with nothing of posejax: one thread, one
example after the other, `cv2.imdecode`, `cv2.flip`, `cv2.getRotationMatrix2D`, `cv2.warpAffine` and one
`cv2.transform` for the colours. It draws the same random numbers, and before anything is timed its
pictures and keypoints are compared with the batch function's. All contenders take turns in one
process; the table gives medians over the turns and their ratio to the loop.
"""

import argparse
from functools import partial
import glob
import os
import pathlib
import statistics

import contest
import cv2
import numpy as np
from stream import Stream

from posejax import skeletons
from posejax.data.batches import TrainBatches
from posejax.data.executors import processes, threads
from posejax.data.transforms import augment
from posejax.data.transforms.crops import CropPerson

AUGMENTATION = augment.Augmentation(
  flip=0.5, rotation=40, scale=0.3, color=0.5, brightness=0.2, contrast=0.2, saturation=0.3
)
SEED = 0


class Jpegs:
  """Encoded pictures in memory with a made-up person in the middle: no disk in the measurement."""

  skeleton = skeletons.LSP

  def __init__(self, folder: str, limit: int):
    paths = sorted(glob.glob(os.path.join(folder, '*.jpg')))[:limit]
    if not paths:
      raise SystemExit(f'No .jpg in {folder}; set POSEJAX_REAL_DATA or --images.')
    self._examples = [
      self._example(pathlib.Path(path).read_bytes(), i) for i, path in enumerate(paths)
    ]

  def _example(self, encoded: bytes, i: int):
    h, w = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    places = np.random.default_rng(i).uniform((0.2, 0.1), (0.8, 0.9), (14, 2))
    return {
      'image': encoded,
      'keypoints': np.float32(places * (w, h)),
      'visibility': np.full(14, 2, np.int32),
      'box': np.float32([0.2 * w, 0.1 * h, 0.8 * w, 0.9 * h]),
    }

  def __len__(self):
    return len(self._examples)

  def __getitem__(self, i):
    return self._examples[i]


def plain_example(example, rng, crop_size):
  """Return the crop and the keypoints in it, by OpenCV and NumPy alone."""
  H, W = crop_size
  image = cv2.imdecode(np.frombuffer(example['image'], np.uint8), cv2.IMREAD_COLOR)
  image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
  keypoints, visibility = example['keypoints'], example['visibility']
  x0, y0, x1, y1 = example['box']
  center_x, center_y = (x0 + x1) / 2, (y0 + y1) / 2
  width = 1.25 * max(x1 - x0, (y1 - y0) * W / H)
  rng.random()  # the half body's number, which is not used here
  rng.random()  # whether to scale: always
  width *= 1 + 0.3 * np.clip(rng.standard_normal(), -1, 1)
  rotation = 40 * np.clip(rng.standard_normal(), -2, 2) if rng.random() < 0.6 else 0
  if rng.random() < 0.5:
    image = cv2.flip(image, 1)
    last = image.shape[1] - 1
    center_x = last - center_x
    keypoints = np.stack([last - keypoints[:, 0], keypoints[:, 1]], axis=1)[FLIP]
    visibility = visibility[FLIP]
  matrix = cv2.getRotationMatrix2D((float(center_x), float(center_y)), rotation, W / width)
  matrix[:, 2] += (W / 2 - center_x, H / 2 - center_y)
  crop = cv2.warpAffine(image, matrix, (W, H), flags=cv2.INTER_LINEAR)
  keypoints = keypoints @ matrix[:, :2].T + matrix[:, 2]
  if rng.random() < 0.5:
    brightness, contrast, saturation, _ = 1 + rng.uniform(-1, 1, 4) * (0.2, 0.2, 0.3, 0)
    colors = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    crop = cv2.transform(crop, np.column_stack([colors, np.full(3, 127.5 * (1 - contrast))]))
  return crop, keypoints, visibility


FLIP = np.array(skeletons.LSP.flip_permutation)


def plain_loop(source, crop_size, order, batch_size) -> None:
  """Make one example after another and stack them to batches."""
  for start in range(0, len(order), batch_size):
    examples = [
      plain_example(source[i], np.random.default_rng((1, SEED, 0, i)), crop_size)
      for i in order[start : start + batch_size]
    ]
    for arrays in zip(*examples, strict=True):
      np.stack(arrays)


def check_same(batch, source, crop_size) -> None:
  """Refuse to compare what is not the same work: pictures within rounding, keypoints in 1/100 pixel."""
  for row, i in enumerate(batch['index'].tolist()):
    image, keypoints, _ = plain_example(
      source[i], np.random.default_rng((1, SEED, 0, i)), crop_size
    )
    apart = np.abs(image.astype(int) - batch['images'][row])
    shift = np.abs(keypoints - batch['keypoints'][row]).max()
    if apart.mean() > 0.5 or shift > 0.01:
      raise SystemExit(f'Example {i}: {apart.mean():.2f} grey levels and {shift:.3f} pixels apart.')


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  default = os.path.join(os.environ.get('POSEJAX_REAL_DATA', '.'), 'lspet', 'images')
  parser.add_argument('--images', default=default)
  parser.add_argument('--num_images', type=int, default=960)
  parser.add_argument('--size', default='256x192', help='crop, height x width')
  parser.add_argument('--batch', type=int, default=32)
  parser.add_argument('--workers', type=int, default=os.cpu_count())
  parser.add_argument('--repeats', type=int, default=7)
  args = parser.parse_args()
  cv2.setNumThreads(1)  # the executors bring their own threads
  size = tuple(int(s) for s in args.size.split('x'))
  source = Jpegs(args.images, args.num_images)
  batches = TrainBatches(
    source, CropPerson(source.skeleton, size, 'msra', AUGMENTATION), SEED, args.batch
  )
  check_same(batches(0), source, size)
  steps = len(source) // args.batch
  order = range(steps * args.batch)
  executors = {'threads': threads.iterate, 'processes': processes.Workers().iterate}
  try:
    from posejax.data.executors import tfdata

    executors['tf.data'] = tfdata.iterate
  except ImportError:
    print('tf.data: TensorFlow is not installed')
  streams = {name: Stream(iterate, batches, args.workers) for name, iterate in executors.items()}
  contenders = {
    'plain loop': lambda: contest.timed(lambda: plain_loop(source, size, order, args.batch)),
    'batch function, no executor': lambda: contest.timed(
      lambda: [batches(step) for step in range(steps)]
    ),
    **{name: partial(stream.turn, steps) for name, stream in streams.items()},
  }
  times = {name: [] for name in contenders}
  for repeat in range(args.repeats + 1):
    for name, turn in contenders.items():
      taken = turn()
      if repeat:  # the first turn warms up
        times[name].append(taken)
  images = steps * args.batch
  base = statistics.median(times['plain loop'])
  print(f'{images} JPEGs a turn, crop {args.size}, batch {args.batch}, {args.workers} workers')
  print(f'{"":30s} images/s   against the loop')
  for name, values in times.items():
    median = statistics.median(values)
    print(f'{name:30s} {images / median:8.0f}   {base / median:.2f}')


if __name__ == '__main__':
  main()
