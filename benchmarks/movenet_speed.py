"""MoveNet beside TensorFlow Lite (XNNPACK, float32): the same graph, weights and crop, one person.

    python -m tests.goldens.make_movenet --models=DIR --tflite=FOLDER
    POSEJAX_CACHE=DIR python benchmarks/movenet_speed.py --tflite=FOLDER [--variants=lightning,thunder]

DIR holds movenet-*.json and their .bin, as `posejax weights get` leaves them. TensorFlow Lite has a
process of its own; both take turns of ten crops one after another, from pixels to keypoints, and must
find the same keypoints before anything is timed. posejax computes by the runtime that `--runtime=auto`
picks, which is named.
"""

import argparse
from functools import partial
import os

import contest
import numpy as np
import rival


class TfLite:
  """The published graph in TensorFlow Lite."""

  def __init__(self, path: str, threads: int):
    import tensorflow as tf

    self._interpreter = tf.lite.Interpreter(path, num_threads=threads)
    self._interpreter.allocate_tensors()
    self._input = self._interpreter.get_input_details()[0]['index']
    self._output = self._interpreter.get_output_details()[0]['index']

  def run(self, image: np.ndarray) -> np.ndarray:
    """Return the keypoints of a crop, `[17, 3]`: y, x by the crop's sides, score."""
    self._interpreter.set_tensor(self._input, image[None].astype(np.int32))
    self._interpreter.invoke()
    return self._interpreter.get_tensor(self._output)[0, 0]


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--tflite', required=True, metavar='FOLDER')
  parser.add_argument('--variants', default='lightning,thunder')
  parser.add_argument('--threads', type=int, default=os.cpu_count())
  parser.add_argument('--runtime', default='auto')
  parser.add_argument('--repeats', type=int, default=30)
  args = parser.parse_args()

  from posejax.data.synthetic.film import DrawnFilm
  from posejax.infer.predictor import Predictor
  from posejax.infer.runtimes import choose

  print('| net | posejax ms | by | TensorFlow Lite ms | ratio |\n|---|---|---|---|---|')
  for variant in args.variants.split(','):
    pipeline = Predictor.load(f'movenet_{variant}').pipeline
    image = DrawnFilm(1, 1, pipeline.crop_size, people=1)[0]['image']
    inputs = {'images': image[None]}
    choice = choose.create(args.runtime, pipeline, inputs)
    path = os.path.join(args.tflite, f'movenet-{variant}.tflite')
    away = rival.Away(TfLite, path, args.threads)
    theirs = away.call('run', image)
    ours = (choice.runtime(inputs)['keypoints'][0] + 0.5) / image.shape[0]
    # Lightning's file has a factor in half precision: 2.4e-4 off at most.
    same = int((np.abs(ours - theirs[:, 1::-1]).max(-1) < 1e-3).sum())
    if same < len(theirs):
      raise SystemExit(f'{variant}: {same} of {len(theirs)} keypoints are the same; nothing timed.')
    seconds = contest.turns(
      {
        'posejax': partial(contest.burst, partial(contest.timed, partial(choice.runtime, inputs))),
        'theirs': partial(contest.burst, away.timed('run', image)),
      },
      args.repeats,
    )
    away.close()
    mine, other = (1e3 * seconds[name] for name in ('posejax', 'theirs'))
    name = type(choice.runtime).__name__
    print(f'| {variant} | {mine:.2f} | {name} | {other:.2f} | {mine / other:.2f} |', flush=True)


if __name__ == '__main__':
  main()
