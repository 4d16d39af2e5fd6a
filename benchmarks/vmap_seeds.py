"""Seeds of a small net as one program: a step vmapped over seeds against the same steps one by one.

    python benchmarks/vmap_seeds.py                     # 4 seeds of the compact DenseNet, batch 16, 96x64
    python benchmarks/vmap_seeds.py --seeds=8 --batch=4 --size=64x48

Both run posejax's own training step on the same states and batches, and must agree on the losses before
anything is timed. They take turns in one process; the table gives medians of a step of all seeds.
"""

import argparse
from functools import partial
import time

import contest
import numpy as np
from train_step import make_batch


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--model', default='pose_densenet_compact')
  parser.add_argument('--seeds', type=int, default=4)
  contest.add_arguments(parser, batch='16')
  parser.set_defaults(size='96x64')
  args = parser.parse_args()
  contest.prepare(args)
  import jax
  import jax.numpy as jnp

  from posejax import devices, experiment, labels, skeletons
  from posejax.config import Config
  from posejax.train.step import build

  batch, size = int(args.batch), contest.crop_size(args)
  config = Config.from_dict(
    {
      'batch_size': batch,
      'dtype': args.dtype,
      'task': {'name': 'pose', 'crop_size': size},
      'model': {'name': args.model},
      'optimizer': {'schedule': 'constant', 'schedule_steps': 1_000_000},
    }
  )
  skeleton = skeletons.COCO
  _, task = experiment.build(config, labels.people(skeleton))
  mesh, init = devices.make_mesh(), jax.jit(task.init)
  keys = [jax.random.key(seed) for seed in range(args.seeds)]
  training = build.training(task, config, mesh, init(keys[0]))
  states = [training.init_state(init(key)) for key in keys]
  one = make_batch(batch, size, skeleton.num_keypoints)
  batches = [{**one, 'images': np.roll(one['images'], seed, 1)} for seed in range(args.seeds)]
  stack = partial(jax.tree.map, lambda *leaves: jnp.stack(leaves))
  programs = {}
  for name, function, examples in (
    ('one by one', training.step_fn, (states[0], batches[0], keys[0])),
    ('vmapped', jax.vmap(training.step_fn), (stack(*states), stack(*batches), jnp.stack(keys))),
  ):
    began = time.perf_counter()
    programs[name] = jax.jit(function).lower(*examples).compile()
    print(f'{name}: compiled in {time.perf_counter() - began:.0f} s')
  together = stack(*states), stack(*batches), jnp.stack(keys)
  alone = list(zip(states, batches, keys, strict=True))
  single = [programs['one by one'](*one) for one in alone]
  losses = [float(output.scalars['loss']) for _, output in single]
  vmapped = programs['vmapped'](*together)[1].scalars['loss']
  np.testing.assert_allclose(vmapped, losses, rtol=1e-3)

  def one_by_one():
    for one in alone:
      jax.block_until_ready(programs['one by one'](*one))

  contenders = {
    'one by one': lambda: contest.timed(one_by_one),
    'vmapped': lambda: contest.timed(lambda: jax.block_until_ready(programs['vmapped'](*together))),
  }
  seconds = contest.turns(contenders, args.repeats)
  print(f'{args.model}, {args.seeds} seeds, batch {batch} each, {args.size}, {args.dtype}')
  for name, value in seconds.items():
    print(f'{name:12s} {1000 * value:8.1f} ms, {seconds["one by one"] / value:.2f} times as fast')


if __name__ == '__main__':
  main()
