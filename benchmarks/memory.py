"""Memory of a long film: resident megabytes at every thousandth frame of `posejax predict FILM`.

    python benchmarks/memory.py [--workdir=RUN] [--frames=10000] [--size=320x240]

A drawn film, one person who walks to and fro, is read, looked at, followed, drawn and written. Without a
run the compact net with random weights is taken, which finds nobody. Linux.
"""

import argparse
import os
import re
import tempfile

import contest
import cv2
from predictor import load

DRAWN = 90  # frames, shown forwards and backwards


def resident():
  """Return how many megabytes this process has."""
  with open('/proc/self/status', encoding='ascii') as file:
    return int(re.search(r'VmRSS:\s+(\d+) kB', file.read()).group(1)) / 1024


class Watched:
  """A predictor that prints the memory as it is asked."""

  def __init__(self, predictor, every):
    self._predictor, self._every, self.seen = predictor, every, {}
    self._count = 0

  def __call__(self, image, *boxes):
    self._count += 1
    if self._count % self._every == 0:
      self.seen[self._count] = resident()
      print(f'{self._count:6d} frames: {self.seen[self._count]:.1f} MB', flush=True)
    return self._predictor(image, *boxes)

  def __getattr__(self, name):
    return getattr(self._predictor, name)


def write(path, frames, w, h):
  from posejax.data.synthetic.film import DrawnFilm
  from posejax.infer.frames.writers.film import FilmWriter

  film = DrawnFilm(5, DRAWN, (240, 160), people=1)
  drawn = []
  for frame in film:
    person = cv2.resize(frame['image'], (round(h * 160 / 240), h))
    side = (w - person.shape[1]) // 2
    drawn.append(
      cv2.copyMakeBorder(person, 0, 0, side, w - person.shape[1] - side, cv2.BORDER_REPLICATE)
    )
  turns = [*range(DRAWN), *range(DRAWN - 2, 0, -1)]
  with FilmWriter(path) as writer:
    for number in range(frames):
      writer.write(drawn[turns[number % len(turns)]], number / 30)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir')
  parser.add_argument('--frames', type=int, default=10_000)
  parser.add_argument('--size', default='320x240', help='of a frame, width x height')
  parser.set_defaults(device='cpu', model=None)
  args = parser.parse_args()
  contest.prepare(args)
  from posejax.infer import annotate
  from posejax.infer.frames import inputs

  predictor = Watched(load(args.workdir, args.model), max(1, args.frames // 10))
  w, h = (int(side) for side in args.size.split('x'))
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'film.mp4')
    write(path, args.frames, w, h)
    options = annotate.Options(os.path.join(folder, 'out'))
    summary = annotate.annotate(inputs.expand([path]), predictor, options)
  first, *_, last = predictor.seen.values()
  print(
    f'{summary.frames} frames of {args.size}, {summary.people} people, '
    f'{summary.frames / summary.seconds:.0f} frames/s: {last - first:+.1f} MB after the first tenth'
  )


if __name__ == '__main__':
  main()
