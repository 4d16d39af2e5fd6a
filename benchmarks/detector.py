"""RTMDet-nano on a CPU: pictures per second through XLA and through onnxruntime, and what NMS adds.

    python benchmarks/detector.py                              # nano at 320x320, batches of 1 and 8
    python benchmarks/detector.py --models=rtmdet_tiny --size=640x640 --batch=1

Both get uint8 canvases on the host and give every cell's box and class probabilities on the host, on a
thread for every processor; `with NMS` is the whole of `task.infer` by XLA. They take turns; the table
gives medians in milliseconds, pictures per second, and how far onnxruntime's numbers are from XLA's.
Weights are random, for one class: so nearly all candidates stay in NMS, which then costs the most.
"""

import argparse
from functools import partial

import contest
import numpy as np

MODELS = 'rtmdet_nano'


def make_pipelines(name, size):
  """Return (boxes of every cell, the whole detector) with the same random weights."""
  import jax
  import jax.numpy as jnp

  from posejax import experiment
  from posejax.codecs import rtmdet
  from posejax.config import Config
  from posejax.infer.export.pipeline import Pipeline
  from posejax.labels import LabelSpace
  from posejax.models.rtmdet import INPUT_MEAN, INPUT_STD
  from posejax.tasks import net

  config = Config.from_dict(
    {'task': {'name': 'detection', 'crop_size': size}, 'model': {'name': name}}
  )
  model, task = experiment.build(config, LabelSpace(('person',)))
  variables = jax.tree.map(np.asarray, jax.jit(task.init)(jax.random.key(0)))

  def cells(variables, images):
    images = net.normalize(images, INPUT_MEAN, INPUT_STD, 'bgr')
    boxes, logits = rtmdet.decode(model.apply(variables, images))
    return {'scores': jnp.concatenate([boxes, jax.nn.sigmoid(logits)], -1)}

  whole = Pipeline(task.infer, variables, size, task.labels, finds_all=True)
  return Pipeline(cells, variables, size, task.labels), whole


def measure(name, args, print_head):
  """Print the rows of a net."""
  from posejax.infer.export import files
  from posejax.infer.runtimes.onnx_runtime import OnnxRuntime
  from posejax.infer.runtimes.xla import Xla

  size = contest.crop_size(args)
  cells, whole = make_pipelines(name, size)
  runtimes = {
    'XLA': Xla(cells),
    'ORT': OnnxRuntime(files.onnx_bytes(cells)),
    'with NMS': Xla(whole),
  }
  if print_head:
    head = ''.join(f' | {n} ms | pictures/s' for n in runtimes)
    print(f'| model | batch{head} | largest difference |')
    print('|' + '---|' * (2 * len(runtimes) + 3))
  rng = np.random.default_rng(0)
  for batch in map(int, args.batch.split(',')):
    inputs = {'images': rng.integers(0, 256, (batch, *size, 3), np.uint8)}
    found = {n: runtime(inputs)['scores'] for n, runtime in runtimes.items()}
    run = {n: partial(contest.timed, partial(r, inputs)) for n, r in runtimes.items()}
    cells_of = [name, batch]
    for spent in contest.turns(run, args.repeats).values():
      cells_of += [f'{1000 * spent:.2f}', f'{batch / spent:.1f}']
    cells_of.append(f'{np.abs(found["XLA"] - found["ORT"]).max():.1e}')
    print('| ' + ' | '.join(map(str, cells_of)) + ' |', flush=True)


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--models', default=MODELS)
  parser.add_argument('--batch', default='1,8', help='pictures at a time')
  parser.add_argument('--size', default='320x320', help='canvas, height x width')
  parser.add_argument('--repeats', type=int, default=10)
  args = parser.parse_args()
  args.device = 'cpu'
  contest.prepare(args)
  for i, name in enumerate(args.models.split(',')):
    measure(name, args, print_head=i == 0)


if __name__ == '__main__':
  main()
