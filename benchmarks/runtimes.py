"""Keypoints from crops by every runtime: XLA, XLA with plain convolutions, onnxruntime and OpenVINO.

    python benchmarks/runtimes.py                             # four nets, batches of 1 and 8
    python benchmarks/runtimes.py --models=pose_resnet18 --batch=1

All get uint8 crops on the host and give keypoints on the host, on a thread for every processor:
normalising, the net, and decoding with the quarter of a cell. `plain` is XLA without the project's forms
of convolutions for CPUs (`models.cpu.convolution`). The 8-bit forms are calibrated on drawn people.
They take turns; the table gives medians in milliseconds and how many times as fast as XLA each is, and
then how far each one's keypoints are from XLA's. Weights are random: what 8 bits do to them says little.
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
CALIBRATION = 64


def make_pipeline(name, size):
  """Return a net with random weights."""
  import jax

  from posejax import experiment, labels, skeletons
  from posejax.config import Config
  from posejax.infer.export.pipeline import Pipeline

  config = Config.from_dict(
    {'task': {'name': 'pose', 'crop_size': size, 'flip': False}, 'model': {'name': name}}
  )
  model, task = experiment.build(config, labels.people(skeletons.COCO))
  variables = jax.tree.map(np.asarray, random_variables(model, size))
  return Pipeline(task.infer, variables, size, task.labels)


def drawn_crops(size, count):
  """Return uint8 crops of drawn people."""
  from posejax import experiment, labels
  from posejax.config import Config
  from posejax.data import sources
  from posejax.data.batches import EvalBatches

  config = Config.from_dict(
    {
      'task': {'name': 'pose', 'crop_size': size},
      'data': {'num_eval_examples': count},
      'model': {'name': 'pose_densenet_compact'},
    }
  )
  source = sources.create_people(config.data, 'eval', 0)
  _, task = experiment.build(config, labels.people(source.label_space.skeleton))
  return np.asarray(EvalBatches(source, task.transform_eval, count)(0)['images'])


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


def contenders_for(pipeline, images, calibration):
  """Return every runtime by name, each compiled for the images' batch."""
  from posejax.infer.export import files
  from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
  from posejax.infer.runtimes.openvino_runtime import OpenVino
  from posejax.infer.runtimes.xla import Xla

  H, W = pipeline.crop_size
  inputs = {'images': images}

  def warmed(runtime):
    runtime(inputs)
    return runtime

  model = files.onnx_bytes(pipeline)
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'int8.onnx')
    files.write_int8(path, pipeline, calibration, images, (W / 16, H / 16))
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
  }


def measure(name, args, print_head):
  """Print the rows of a net."""
  size = SMALL.get(name) or contest.crop_size(args)
  pipeline = make_pipeline(name, size)
  crops = drawn_crops(size, CALIBRATION)
  for batch in map(int, args.batch.split(',')):
    images = np.ascontiguousarray(crops[-batch:])
    runtimes = contenders_for(pipeline, images, crops)
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
  parser.add_argument('--batch', default='1,8', help='examples at a time')
  parser.add_argument('--size', default='256x192', help='crop, height x width; the compact: 96x64')
  parser.add_argument('--repeats', type=int, default=10)
  args = parser.parse_args()
  args.device = 'cpu'
  contest.prepare(args)
  for i, name in enumerate(args.models.split(',')):
    measure(name, args, print_head=i == 0)


if __name__ == '__main__':
  main()
