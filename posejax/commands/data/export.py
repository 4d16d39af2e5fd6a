"""`posejax data export`: write a data set as a COCO-format file with pictures, or as TFRecords."""

import argparse


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = "write a data set in COCO's format, or as TFRecords of its people"
  command = commands.add_parser('export', help=text, description=text.capitalize() + '.')
  command.add_argument('--format', choices=('coco', 'tfrecord'), required=True)
  command.add_argument('--split', choices=('train', 'eval'), default='train')
  command.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
  command.set_defaults(run=_run, takes_config=True)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  from tqdm import tqdm

  from posejax.commands import config_flags
  from posejax.commands.data import options
  from posejax.data import sources
  from posejax.data.formats import export

  config = config_flags.read(rest)
  folder = options.folder_to_write('--out', arguments.out)
  whole = arguments.format == 'coco' and config.task['name'] == 'detection'
  create = sources.create if whole else sources.create_people
  source = create(sources.once(config.data), arguments.split, config.seed)

  def progress(items):
    return tqdm(items, 'export', unit=' pictures' if whole else ' people', leave=False)

  if arguments.format == 'coco':
    written = export.to_coco(source, folder, progress)
    what = 'boxes' if whole else 'people'
    print(f'{written["annotations"]:,} {what} on {written["pictures"]:,} pictures:')
    for path in written['files']:
      print(f'  {path}')
    annotations, *skeleton, images = written['files']
    own = f' --config.data.skeleton={skeleton[0]}' if skeleton else ''
    print(
      f'Train on it with --config.data.annotations={annotations} --config.data.images={images}{own}'
    )
  else:
    from posejax.data.formats import tfrecords  # TensorFlow: seconds to import

    records = export.records(source, progress)
    paths, number = tfrecords.write(folder, arguments.split, source.label_space.skeleton, records)
    print(f'{number:,} records (one person each); {paths[-1]} says what they hold:')
    for path in paths:
      print(f'  {path}')
  return 0
