"""`posejax data prepare`: turn a public data set's own files into records that train fast."""

import argparse


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = "prepare a public data set from its authors' files, once"
  command = commands.add_parser('prepare', help=text, description=text.capitalize() + '.')
  command.add_argument('name', metavar='NAME', help='coco, lsp, lspet, mpii or panoptic')
  command.add_argument(
    '--manual_dir', default='', metavar='DIR', help="folder with the authors' files"
  )
  command.add_argument(
    '--data_dir',
    default='',
    metavar='DIR',
    help='where prepared data sets are kept ($TFDS_DATA_DIR or ~/tensorflow_datasets)',
  )
  command.add_argument(
    '--on_error',
    choices=('raise', 'skip'),
    default='raise',
    help='pictures that are missing or broken: refuse them (the default), or leave them out, counted',
  )
  command.add_argument(
    '--download', action='store_true', help='fetch the files, where their authors allow it'
  )
  command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  del rest  # it takes no config
  from posejax.data.builders import BUILDERS, prepare
  from posejax.data.sources.people import People
  from posejax.data.sources.prepared import SPLITS, Prepared
  from posejax.errors import PosejaxError, nearest

  name = arguments.name
  if name not in BUILDERS:
    raise PosejaxError(f'{name!r} is not a public data set to prepare.' + nearest(name, BUILDERS))
  manual_dir, data_dir, on_error = arguments.manual_dir, arguments.data_dir, arguments.on_error
  builder = prepare.prepare(name, manual_dir, data_dir, on_error, arguments.download)
  print(f'{name} is prepared in {builder.data_path}:')
  for split in SPLITS:
    source = People(Prepared(name, split, manual_dir, data_dir, on_error))
    print(f'  {split:5s} {len(source):,} people on {len(source.image_ids):,} pictures')
    for reason, count in sorted(source.left_out.items()):
      print(f'        left out: {count:,} {reason}')
  where = f' --config.data.data_dir={data_dir}' if data_dir else ''
  print(f'Train on it with --config.data.name={name}{where}')
  return 0
