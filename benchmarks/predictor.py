"""What the Predictor costs over the bare compiled net, and a film from end to end against both.

    python benchmarks/predictor.py [--workdir=RUN | --model=pose_resnet18] [--repeats=30] [--frames=300]

Pictures are 640x480 with people's boxes; the film is H.264 of the same size. Without a run the compact
net of the main job, or the one named, is taken with random weights, which find nobody: of every frame
the whole picture is looked at once.
"""

import argparse
import os
import statistics
import tempfile
import time

import contest
import numpy as np

SIZE = (480, 640)
COMPACT = {'name': 'pose_densenet_compact', 'head_features': 32}


def medians(contenders, repeats):
  """Return the median seconds of every contender; they take turns."""
  taken = {name: [] for name in contenders}
  for turn in range(repeats + 2):
    for name, run in contenders.items():
      began = time.perf_counter()
      run()
      if turn >= 2:
        taken[name].append(time.perf_counter() - began)
  return {name: statistics.median(times) for name, times in taken.items()}


def load(workdir, model):
  from posejax.infer.predictor import Predictor

  if workdir:
    return Predictor.load(workdir)
  import jax

  from posejax import experiment, labels, skeletons
  from posejax.config import Config

  config = Config.from_dict(
    {
      'task': {'name': 'pose', 'crop_size': (256, 192) if model else (96, 64)},
      'model': {'name': model} if model else COMPACT,
      'codec': {'name': 'udp'},
    }
  )
  _, task = experiment.build(config, labels.people(skeletons.COCO))
  return Predictor(task, task.init(jax.random.key(0)), name=f'{model or "compact"}, random weights')


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir')
  parser.add_argument('--model')
  parser.add_argument('--repeats', type=int, default=30)
  parser.add_argument('--frames', type=int, default=300)
  parser.set_defaults(device='cpu')
  args = parser.parse_args()
  contest.prepare(args)
  import jax

  predictor = load(args.workdir, args.model)
  variables = jax.device_put(predictor.pipeline.variables)
  bare = jax.jit(predictor.pipeline.apply)
  image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
  box = np.array([[200.0, 60.0, 380.0, 430.0]], np.float32)
  print(f'{predictor.name}, {predictor.runtime}; medians of {args.repeats}')
  for people in (1, 8):
    boxes = np.repeat(box, people, 0)
    crops = np.stack([predictor.task.view(image, b)[0] for b in boxes])

    def run_bare(crops=crops):
      jax.tree.map(np.asarray, bare(variables, {'images': crops}))

    seconds = medians(
      {'bare': run_bare, 'Predictor': lambda boxes=boxes: predictor(image, boxes)}, args.repeats
    )
    over = seconds['Predictor'] / seconds['bare'] - 1
    print(
      f'{people} people: net {1000 * seconds["bare"]:.2f} ms, Predictor '
      f'{1000 * seconds["Predictor"]:.2f} ms: {100 * over:+.1f} %'
    )
    if people == 1:
      alone = 1 / seconds['bare']
  with tempfile.TemporaryDirectory() as folder:
    film(predictor, folder, args.frames, alone)


def film(predictor, folder, frames, alone):
  """Print the frames a second of `posejax predict` on a film, against the net's own."""
  from posejax.infer import annotate
  from posejax.infer.frames import inputs
  from posejax.infer.frames.writers.film import FilmWriter

  rng = np.random.default_rng(1)
  still = rng.integers(0, 256, (SIZE[0] // 16, SIZE[1] // 16, 3), dtype=np.uint8)
  still = np.repeat(np.repeat(still, 16, 0), 16, 1)
  path = os.path.join(folder, 'film.mp4')
  with FilmWriter(path) as writer:
    for number in range(frames):
      writer.write(np.roll(still, 2 * number, 1), number / 30)
  for overlays in (False, True):
    options = annotate.Options(os.path.join(folder, f'out{overlays}'), overlays=overlays)
    summary = annotate.annotate(inputs.expand([path]), predictor, options)
    rate = summary.frames / summary.seconds
    what = 'decoded, followed, drawn and encoded' if overlays else 'decoded and followed'
    print(f'film, {what}: {rate:.0f} frames/s, {rate / alone:.2f} of the net alone ({alone:.0f})')


if __name__ == '__main__':
  main()
