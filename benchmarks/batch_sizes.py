"""How large a batch may be: PCK after equal examples, by batch size, learning-rate rule and optimiser.

    python benchmarks/batch_sizes.py --out=batch_sizes                       # 39 runs
    python benchmarks/batch_sizes.py --out=some --examples=32768 --batches=32,128,512,2048 # 21
    python benchmarks/batch_sizes.py --out=smoke --examples=2048 --batches=32,2048 --optimizers=adam

Trains a compact net on drawn people, 64x48, batch norm over groups of 32 examples whatever the batch. The
learning rate of batches of 32 is each optimiser's own; larger ones follow it by each rule. Every run sees
`--examples` examples, a tenth of its steps in warm-up, and ends on a cosine at zero. Batches that do not
fit are computed in microbatches of `--at_once` examples.

A row is a run of `posejax train` in a work directory of its own under `--out`. Stop it when you like: the
same command goes on with the run that was broken off. The table is `--out`/batch_sizes.md, the plot
`--out`/batch_sizes.png; both are written anew after every row.
"""

import argparse
import itertools
import json
import os
import sys
import time

import matplotlib

matplotlib.use('agg')

from matplotlib import pyplot as plt

from posejax import files
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.train import loop
from posejax.train.optim import schedules

METRIC = 'PCK@0.20/torso'
GROUP = 32
EVALUATED = 512
BATCHES = (32, 64, 128, 256, 512, 1024, 2048)
RULES = ('linear', 'sqrt')
RATES = {'adam': 2e-3, 'muon': 1e-2, 'lamb': 1e-2}
"""Of batches of 32."""


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--out', default='batch_sizes')
  parser.add_argument('--examples', type=int, default=131_072, help='that every run learns from')
  parser.add_argument('--batches', default=','.join(map(str, BATCHES)))
  parser.add_argument('--rules', default=','.join(RULES))
  parser.add_argument('--optimizers', default=','.join(RATES))
  parser.add_argument('--at_once', type=int, default=256, help='examples in a microbatch at most')
  parser.add_argument('--workers', type=int, default=2)
  args = parser.parse_args()
  batches = [int(batch) for batch in args.batches.split(',')]
  settings = itertools.product(args.optimizers.split(','), batches, args.rules.split(','))
  rows = []
  for optimizer, batch, rule in settings:
    if batch == GROUP and rule != RULES[0]:
      continue  # every rule is the same there
    rows.append(row(args, optimizer, batch, rule))
    write(args, rows)


def config(args, optimizer: str, batch: int, rule: str) -> Config:
  steps = max(args.examples // batch, 2)
  return Config.from_dict(
    {
      'batch_size': batch,
      'microbatches': max(batch // args.at_once, 1),
      'num_steps': steps,
      'log_every_steps': max(steps // 20, 1),
      'eval_every_steps': steps,
      'checkpoint_every_steps': max(steps // 8, 1),
      'task': {'name': 'pose', 'crop_size': (64, 48)},
      'data': {
        'num_train_examples': min(args.examples, 16_384),
        'num_eval_examples': EVALUATED,
        'cache': True,
        'executor': 'threads',
        'num_workers': args.workers,
        'augment': {'flip': 0.5, 'rotation': 20.0, 'scale': 0.2},
      },
      'model': {'name': 'pose_densenet_compact', 'bn_group_size': GROUP},
      'codec': {'name': 'msra', 'sigma': 1.0},
      'evaluate': {'batch_size': 128},
      'optimizer': {
        'name': optimizer,
        'learning_rate': RATES[optimizer],
        'reference_batch_size': GROUP,
        'batch_scaling': rule,
        'warmup_steps': steps // 10,
        'clip_norm': 1.0,
      },
    }
  )


def row(args, optimizer: str, batch: int, rule: str) -> dict:
  """Return what a run came to, trained as far as it is not yet; its PCK is None where it diverged."""
  workdir = os.path.join(args.out, f'{optimizer}-{batch}-{rule}')
  file = os.path.join(workdir, 'row.json')
  if os.path.exists(file):
    with open(file, encoding='utf-8') as text:
      return json.load(text)
  settings = config(args, optimizer, batch, rule)
  began, pck = time.monotonic(), None
  try:
    loop.train(settings, workdir)
    pck = last(os.path.join(workdir, 'metrics.jsonl'))
    if pck is None:
      sys.exit(f'{workdir} was stopped. The same command goes on with it.')
  except PosejaxError as error:
    if not str(error).startswith('Step '):
      raise
    print(error)
  found = {
    'optimizer': optimizer,
    'batch': batch,
    'rule': rule,
    'rate': schedules.peak_learning_rate(settings.optimizer, batch),
    'steps': settings.num_steps,
    'pck': pck,
    'minutes': (time.monotonic() - began) / 60,
  }
  files.replace(file, json.dumps(found).encode())
  return found


def last(path: str) -> float | None:
  with open(path, encoding='utf-8') as lines:
    return next((one[METRIC] for one in map(json.loads, [*lines][::-1]) if METRIC in one), None)


def write(args, rows: list[dict]) -> None:
  """Write the table and the plot of the rows that there are."""
  lines = [
    f'{METRIC} of {EVALUATED} drawn people after {args.examples:,} examples.',
    '',
    '| optimizer | batch | rule | learning rate | steps | PCK | minutes |',
    '|---|---|---|---|---|---|---|',
  ]
  for one in rows:
    rule = 'either' if one['batch'] == GROUP else one['rule']
    pck = 'diverged' if one['pck'] is None else f'{one["pck"]:.4f}'
    lines.append(
      f'| {one["optimizer"]} | {one["batch"]:,} | {rule} | {one["rate"]:.3g} | {one["steps"]:,} | {pck} '
      f'| {one["minutes"]:.1f} |'
    )
  path = os.path.join(args.out, 'batch_sizes')
  files.replace(f'{path}.md', ('\n'.join(lines) + '\n').encode())
  figure, axes = plt.subplots(figsize=(8, 5), layout='constrained')
  for color, optimizer in enumerate(RATES):
    for rule, style in zip(RULES, ('o-', 's--'), strict=True):
      of_line = [
        one
        for one in rows
        if one['optimizer'] == optimizer and (one['rule'] == rule or one['batch'] == GROUP)
      ]
      if of_line:
        values = [0 if one['pck'] is None else one['pck'] for one in of_line]
        axes.plot(
          [one['batch'] for one in of_line],
          values,
          style,
          color=f'C{color}',
          label=f'{optimizer}, {rule}',
        )
  sizes = sorted({one['batch'] for one in rows})
  axes.set_xscale('log', base=2)
  axes.set_xticks(sizes, [f'{size:,}' for size in sizes])
  axes.set(xlabel='batch', ylabel=METRIC, title=f'After {args.examples:,} examples; 0: diverged')
  axes.grid(alpha=0.3)
  axes.legend()
  figure.savefig(f'{path}.png', dpi=100)
  plt.close(figure)


if __name__ == '__main__':
  main()
