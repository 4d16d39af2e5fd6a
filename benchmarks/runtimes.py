"""Keypoints from crops by every runtime: XLA, with plain convolutions too, onnxruntime, OpenVINO, LiteRT.

    python benchmarks/runtimes.py                             # four nets, batches of 1 and 8
    python benchmarks/runtimes.py --models=pose_resnet18 --batch=1
    python benchmarks/runtimes.py --workdir=runs/pose_densenet   # a trained net: accuracy as well

All get uint8 crops on the host and give keypoints on the host, on a thread for every processor:
normalising, the net, and decoding with the quarter of a cell. `plain` is XLA without the project's forms
of convolutions for CPUs (`models.cpu.convolution`). The 8-bit forms are calibrated on drawn people.
They take turns; the table gives medians in milliseconds and how many times as fast as XLA each is, and
then how far each one's keypoints are from XLA's. Random weights say little of what 8 bits do; of a run's,
trained on drawn people, the PCK on 512 others is printed, by scales from people of the training set.
"""

import argparse
from functools import partial
import os
import tempfile

import contest
from inference import random_variables
import numpy as np

MODELS = 'pose_densenet_compact,pose_resnet18,pose_resnet50,pose_hrnet_w32'
SMALL = {'pose_densenet_compact': (96, 64)}
CALIBRATION, EVALUATED = 128, 512


def make_pipeline(name, size):
  """Return a net with random weights, and its task."""
  import jax

  from posejax import experiment, labels, skeletons
  from posejax.config import Config
  from posejax.infer.export.pipeline import Pipeline

  config = Config.from_dict(
    {'task': {'name': 'pose', 'crop_size': size, 'flip': False}, 'model': {'name': name}}
  )
  model, task = experiment.build(config, labels.people(skeletons.COCO))
  variables = jax.tree.map(np.asarray, random_variables(model, size))
  return Pipeline(task.infer, variables, size, task.labels), task


def drawn_people(task, split, count):
  """Return a batch of drawn people, as `posejax.types` has it."""
  from posejax.data.batches import EvalBatches
  from posejax.data.sources.people import People
  from posejax.data.synthetic.people import SyntheticPeople

  source = People(SyntheticPeople(split, seed=1, num_examples=count))
  return EvalBatches(source, task.transform_eval, count)(0)


def plainly(make):
  """Return what `make` makes, traced and compiled with XLA's own convolutions."""
  import jax

  from posejax.models.cpu import convolution

  own, convolution.forward = convolution.forward, convolution.plain
  jax.clear_caches()  # what was traced before has the project's forms in it
  try:
    return make()
  finally:
    convolution.forward = own
    jax.clear_caches()


def contenders_for(pipeline, images, calibration, cell):
  """Return every runtime by name, each compiled for the images' batch."""
  from posejax.infer.export import files
  from posejax.infer.runtimes.litert_runtime import LiteRt
  from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
  from posejax.infer.runtimes.openvino_runtime import OpenVino
  from posejax.infer.runtimes.xla import Xla

  inputs = {'images': images}

  def warmed(runtime):
    runtime(inputs)
    return runtime

  model = files.onnx_bytes(pipeline)
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'int8.onnx')
    files.write_int8(path, pipeline, calibration, images, cell)
    with open(path, 'rb') as file:
      rounded = file.read()
  return {
    'XLA': warmed(Xla(pipeline)),
    'plain': plainly(lambda: warmed(Xla(pipeline))),
    'ORT': warmed(OnnxRuntime(model)),
    'ORT int8': warmed(OnnxRuntime(rounded)),
    'OV': warmed(OpenVino(model)),
    'OV bf16': warmed(OpenVino(model, 'bfloat16')),
    'OV int8': warmed(OpenVino(rounded)),
    'LiteRT': warmed(LiteRt(files.tflite_bytes(pipeline))),
  }


def accuracy(pipeline, task, calibration):
  """Print what every runtime scores on drawn people that it was not calibrated on."""
  from posejax.geometry import affine
  from posejax.metrics import pck

  people = drawn_people(task, 'eval', EVALUATED)
  skeleton, threshold = task.labels.skeleton, 'PCK@0.20/torso'
  runtimes = contenders_for(pipeline, people['images'][:8], calibration, task.codec.cell)
  for name, runtime in runtimes.items():
    found = runtime({'images': people['images']})['keypoints']
    found = affine.transform_points(found, people['crop_to_image'])
    known = (people[key] for key in ('keypoints_image', 'visibility', 'boxes', 'mask'))
    sums = pck.pck_sums(found, *known, skeleton)
    print(f'{name}: {threshold} {pck.summarize_pck(sums, skeleton)[threshold]:.4f}', flush=True)


def measure(name, pipeline, task, args, print_head):
  """Print the rows of a net."""
  crops = drawn_people(task, 'train', CALIBRATION)['images']
  for batch in map(int, args.batch.split(',')):
    images = np.ascontiguousarray(crops[-batch:])
    runtimes = contenders_for(pipeline, images, crops, task.codec.cell)
    if print_head:
      print('| model | batch | ' + ' | '.join(f'{n} ms | ratio' for n in runtimes) + ' | moved |')
      print('|' + '---|' * (2 * len(runtimes) + 3))
      print_head = False
    run = {n: partial(contest.timed, partial(r, {'images': images})) for n, r in runtimes.items()}
    seconds = contest.turns(run, args.repeats)
    reference = runtimes['XLA']({'images': images})['keypoints']
    cell = 4.0  # pixels of the crop
    moved = {
      n: (np.abs(r({'images': images})['keypoints'] - reference) > cell).any(-1).mean()
      for n, r in runtimes.items()
    }
    cells = [name, batch]
    for spent in seconds.values():
      cells += [f'{1000 * spent:.2f}', f'{seconds["XLA"] / spent:.2f}']
    cells.append(', '.join(f'{n} {100 * share:.1f} %' for n, share in moved.items() if share))
    print('| ' + ' | '.join(map(str, cells)) + ' |', flush=True)


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--models', default=MODELS)
  parser.add_argument('--workdir', help='a run, instead of models with random weights')
  parser.add_argument('--batch', default='1,8', help='examples at a time')
  parser.add_argument('--size', default='256x192', help='crop, height x width; the compact: 96x64')
  parser.add_argument('--repeats', type=int, default=10)
  args = parser.parse_args()
  args.device = 'cpu'
  contest.prepare(args)
  if args.workdir:
    from posejax import Predictor

    predictor = Predictor.load(args.workdir)
    measure(predictor.name, predictor.pipeline, predictor.task, args, print_head=True)
    crops = drawn_people(predictor.task, 'train', CALIBRATION)['images']
    accuracy(predictor.pipeline, predictor.task, crops)
    return
  for i, name in enumerate(args.models.split(',')):
    pipeline, task = make_pipeline(name, SMALL.get(name) or contest.crop_size(args))
    measure(name, pipeline, task, args, print_head=i == 0)


if __name__ == '__main__':
  main()
