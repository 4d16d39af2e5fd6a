"""`posejax data show`: contact sheets of a data set, as annotated and as trained on."""

import argparse


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'draw contact sheets of originals with their labels, and of crops with their targets'
  command = commands.add_parser('show', help=text, description=text.capitalize() + '.')
  command.add_argument(
    '--split', choices=('train', 'eval'), default='train', help="'train' is augmented, 'eval' not"
  )
  command.add_argument('--num', type=int, default=24, help='how many people (24)')
  command.add_argument(
    '--seed',
    type=int,
    help="which people, and their augmentation; with the config's own seed (the default) the first "
    'ones that training sees',
  )
  command.add_argument('--out', required=True, metavar='DIR', help='folder for the sheets')
  command.set_defaults(run=_run, takes_config=True)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  import os

  from tqdm import tqdm

  from posejax import draw, experiment
  from posejax.commands import config_flags
  from posejax.commands.data import options
  from posejax.data import batches
  from posejax.data.inspect import sheets

  config = config_flags.read(rest)
  number = options.positive('--num', arguments.num)
  folder = options.folder_to_write('--out', arguments.out)
  run, train = experiment.from_config(config), arguments.split == 'train'
  source = run.train_source if train else run.main.source
  make_batch = batches.TrainBatches(
    source,
    run.task.transform_train if train else run.task.transform_eval,
    config.seed if arguments.seed is None else arguments.seed,
    batch_size=1,
  )
  places = range(min(number, len(source)))
  shown = [make_batch(place) for place in tqdm(places, 'crops', leave=False)]
  written = {'crops': sheets.panels(shown, run.task.draw)}
  if 'keypoints' in source.labels(0):
    indices = [int(batch['index'][0]) for batch in shown]
    written['originals'] = sheets.originals(source, tqdm(indices, 'originals', leave=False))
  print(f'{len(shown)} of {len(source):,} examples of {source.name} ({arguments.split}):')
  for name, sheet in written.items():
    path = os.path.join(folder, f'{name}-{arguments.split}.png')
    draw.save(path, sheet)
    print(f'  {path}')
  return 0
