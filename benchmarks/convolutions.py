"""The forms that a convolution's forward pass may have on a CPU, layer by layer of a net.

    python benchmarks/convolutions.py                                    # the compact net, 128x96
    python benchmarks/convolutions.py --model=pose_hrnet_w32 --size=256x192 --batch=1,8
    python benchmarks/convolutions.py --model=pose_resnet18 --size=256x192 --whole

`posejax.models.cpu.convolution.form` chooses one of `FORMS` by a layer's shape. Here every form computes
every layer of more than one pixel's kernel, each compiled alone, in turns; the table gives medians, and
how much longer the chosen form takes than the fastest. The last line weighs the layers by how often the
net has them; a form that cannot compute a layer is weighed there with the chosen one. `--whole` times the
net's whole forward pass instead: as chosen, and with one form for all layers that it can compute.
"""

import argparse
import collections
from functools import partial

import contest
import numpy as np


def model_and_images(args, batch: int):
  """Return a net and random images for it."""
  import jax.numpy as jnp

  from posejax import models

  images = np.random.default_rng(0).normal(size=(batch, *contest.crop_size(args), 3))
  return models.create(args.model), jnp.asarray(images, jnp.float32)


def layers_of(model, images) -> collections.Counter:
  """Return how often a net has a convolution of (x shape, kernel shape, stride, padding)."""
  import jax

  from posejax.models.cpu import convolution

  found = collections.Counter()
  forward = convolution.forward

  def watched(x, kernel, stride, padding):
    found[x.shape, kernel.shape, stride, padding] += 1
    return forward(x, kernel, stride, padding)

  convolution.forward = watched
  try:
    jax.eval_shape(model.init, jax.random.key(0), images)
  finally:
    convolution.forward = forward
  return found


def compiled(fn, *arguments):
  """Return a function that runs `fn`, compiled, on its arguments to the end."""
  import jax

  program = jax.jit(fn).lower(*arguments).compile()
  return lambda: jax.block_until_ready(program(*arguments))


def measure_layers(args, batch: int) -> None:
  """Print a row for each layer, and the sums."""
  import jax.numpy as jnp

  from posejax.models.cpu import convolution

  forms = convolution.FORMS
  print(f'| batch {batch}: input | kernel | stride | times | {" | ".join(forms)} | chosen | loss |')
  print('|' + '---|' * (6 + len(forms)))
  rng = np.random.default_rng(0)
  totals = collections.Counter()
  for (shape, kernel_shape, stride, padding), times in layers_of(
    *model_and_images(args, batch)
  ).items():
    if kernel_shape[0] == 1:
      continue
    x, kernel = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in (shape, kernel_shape))
    contenders = {
      name: partial(contest.timed, compiled(partial(fn, stride=stride, padding=padding), x, kernel))
      for name, fn in forms.items()
      if convolution.can(name, kernel_shape[0], stride, padding)
    }
    ms = {name: 1000 * s for name, s in contest.turns(contenders, args.repeats).items()}
    chosen, best = convolution.form(shape[1:3], kernel_shape, stride, padding), min(ms.values())
    for name in forms:
      totals[name] += times * ms.get(name, ms[chosen])
    totals['chosen'] += times * ms[chosen]
    totals['the fastest of each'] += times * best
    cells = ['x'.join(map(str, shape[1:])), 'x'.join(map(str, kernel_shape)), stride, times]
    cells += [f'{ms[name]:.3f}' if name in ms else '-' for name in forms]
    print(
      '| ' + ' | '.join(map(str, [*cells, chosen, f'{ms[chosen] / best:.2f}'])) + ' |', flush=True
    )
  print(', '.join(f'{name} {total:.2f} ms' for name, total in totals.items()))


def forced(chooser, name, shape, kernel_shape, stride, padding):
  """Return a form's name where it can compute a layer, else the one that is chosen."""
  from posejax.models.cpu import convolution

  if convolution.can(name, kernel_shape[0], stride, padding):
    return name
  return chooser(shape, kernel_shape, stride, padding)


def measure_whole(args, batch: int) -> None:
  """Print the milliseconds of the net's forward pass with each form."""
  import jax

  from posejax.models.cpu import convolution

  model, images = model_and_images(args, batch)
  shapes = jax.eval_shape(model.init, jax.random.key(0), images)
  variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.01, np.float32), shapes)
  chooser, contenders = convolution.form, {}
  try:
    for name in ('chosen', *convolution.FORMS):
      if name != 'chosen':
        convolution.form = partial(forced, chooser, name)
      jax.clear_caches()
      contenders[name] = partial(contest.timed, compiled(model.apply, variables, images))
  finally:
    convolution.form = chooser
  ms = {name: 1000 * s for name, s in contest.turns(contenders, args.repeats).items()}
  cells = [f'{name} {value:.2f} ms ({value / ms["chosen"]:.2f})' for name, value in ms.items()]
  print(f'{args.model}, {args.size}, batch {batch}: ' + ', '.join(cells), flush=True)


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--model', default='pose_densenet_compact')
  parser.add_argument('--size', default='128x96', help='crop, height x width')
  parser.add_argument('--batch', default='1,16')
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument('--whole', action='store_true', help='time the whole net instead')
  args = parser.parse_args()
  args.device = 'cpu'
  contest.prepare(args)
  for batch in map(int, args.batch.split(',')):
    (measure_whole if args.whole else measure_layers)(args, batch)


if __name__ == '__main__':
  main()
