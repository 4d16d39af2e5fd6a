"""Films: frames/s of decoding alone, encoding alone, and decoding into encoding.

    python benchmarks/films.py
    python benchmarks/films.py --size=1280x720 --frames=300

The film is drawn: noise that drifts, under a moving disc, so that neither side has it too easy. Beside
posejax's reader and writer stand the same calls of PyAV in one thread, which overlap nothing; all take
turns, and the table gives medians over the turns.
"""

import argparse
from collections.abc import Callable
from fractions import Fraction
import os
import statistics
import tempfile
import time

import av
import cv2
import numpy as np

from posejax.infer.frames import films
from posejax.infer.frames.writers import film as film_writer

FPS = 30


def draw(num_frames: int, h: int, w: int) -> list[np.ndarray]:
  rng = np.random.default_rng(0)
  ground = cv2.GaussianBlur(rng.integers(0, 256, (h + 64, w + 64, 3), dtype=np.uint8), (0, 0), 3)
  frames = []
  for i in range(num_frames):
    x, y = 32 + round(31 * np.sin(i / 20)), 32 + round(31 * np.cos(i / 33))
    frame = ground[y : y + h, x : x + w].copy()
    center = round(w * (0.5 + 0.4 * np.sin(i / 15))), h // 2
    frames.append(cv2.circle(frame, center, h // 6, (220, 60, 30), -1, cv2.LINE_AA))
  return frames


def write(path: str, frames: list[np.ndarray]) -> int:
  with film_writer.FilmWriter(path) as writer:
    for i, frame in enumerate(frames):
      writer.write(frame, i / FPS)
  return len(frames)


def read(path: str) -> int:
  with films.FilmReader(path) as reader:
    return sum(1 for _ in reader)


def copy(path: str, target: str) -> int:
  with films.FilmReader(path) as reader, film_writer.FilmWriter(target) as writer:
    for frame in reader:
      writer.write(frame.image, frame.time)
  return frame.index + 1


def plain_read(path: str):
  with av.open(path) as container:
    stream = container.streams.video[0]
    stream.thread_type = 'AUTO'
    for frame in container.decode(stream):
      yield frame.to_ndarray(format='rgb24')


def plain_write(path: str, frames) -> int:
  number = 0
  with av.open(path, 'w', container_options={'movflags': '+faststart'}) as container:
    stream = container.add_stream('libx264', rate=FPS, options=film_writer.ENCODERS['libx264'])
    stream.pix_fmt = 'yuv420p'
    for number, image in enumerate(frames, 1):
      if number == 1:
        stream.height, stream.width = image.shape[:2]
      frame = av.VideoFrame.from_ndarray(image)
      frame.pts, frame.time_base = number - 1, Fraction(1, FPS)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return number


def rate(run: Callable[[], int], expected: int) -> float:
  began = time.perf_counter()
  number = run()
  seconds = time.perf_counter() - began
  if number != expected:
    raise SystemExit(f'{number} frames came out of {expected}.')
  return number / seconds


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--size', default='640x480', help='of a frame, width x height')
  parser.add_argument('--frames', type=int, default=600)
  parser.add_argument('--repeats', type=int, default=5)
  args = parser.parse_args()
  w, h = (int(side) for side in args.size.split('x'))
  frames = draw(args.frames, h, w)
  with tempfile.TemporaryDirectory() as folder:
    source, target = os.path.join(folder, 'source.mp4'), os.path.join(folder, 'target.mp4')
    write(source, frames)
    runs = {
      'decode': (lambda: read(source), lambda: sum(1 for _ in plain_read(source))),
      'encode': (lambda: write(target, frames), lambda: plain_write(target, frames)),
      'decode and encode': (
        lambda: copy(source, target),
        lambda: plain_write(target, plain_read(source)),
      ),
    }
    rates = {(name, side): [] for name in runs for side in (0, 1)}
    for _ in range(args.repeats):
      for (name, side), found in rates.items():
        found.append(rate(runs[name][side], len(frames)))
    megabytes = os.path.getsize(source) / 1e6
  print(f'{args.frames} frames of {w}x{h}, {megabytes:.1f} MB, {os.cpu_count()} cores')
  print('| | posejax frames/s | plain PyAV frames/s | ratio |\n|---|---|---|---|')
  for name in runs:
    ours, plain = (statistics.median(rates[name, side]) for side in (0, 1))
    print(f'| {name} | {ours:.0f} | {plain:.0f} | {ours / plain:.2f} |')


if __name__ == '__main__':
  main()
