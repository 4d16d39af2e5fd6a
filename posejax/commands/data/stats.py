"""`posejax data stats`: count a data set, and list what looks wrong in it."""

import argparse


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'count people, keypoints and boxes, and list annotations that look wrong'
  command = commands.add_parser('stats', help=text, description=text.capitalize() + '.')
  command.add_argument('--split', choices=('train', 'eval'), default='train')
  command.add_argument(
    '--pictures',
    action='store_true',
    help='read pictures with people: sizes, broken ones, duplicates',
  )
  command.add_argument('--out', metavar='FILE.json', help='write everything as JSON')
  command.add_argument('--sheet', metavar='FILE.png', help='draw the most suspicious people')
  command.add_argument('--num', type=int, default=24, help='how many to draw (24)')
  command.set_defaults(run=_run, takes_config=True)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  import json

  from tqdm import tqdm

  from posejax import draw
  from posejax.commands import config_flags
  from posejax.commands.data import options
  from posejax.data import sources
  from posejax.data.inspect import sheets, stats, suspicious, table

  config = config_flags.read(rest)
  number = options.positive('--num', arguments.num)
  if arguments.out:
    options.file_to_write('--out', arguments.out, ('.json',))
  if arguments.sheet:
    options.file_to_write('--sheet', arguments.sheet, options.PICTURES)
  source = sources.create_people(sources.once(config.data), arguments.split, config.seed)
  people = table.read(source, lambda items: tqdm(items, 'labels', unit=' people', leave=False))
  findings = suspicious.find(people) + suspicious.in_file(source)
  extra = {}
  if arguments.pictures:
    extra['pictures'], more = stats.read_pictures(
      source, people, lambda items: tqdm(items, 'pictures', unit=' pictures', leave=False)
    )
    findings += more
  counts = {'split': arguments.split, **stats.statistics(source, people, findings), **extra}
  print(stats.text(counts))
  if arguments.out:
    with open(arguments.out, 'w', encoding='utf-8') as file:
      json.dump(counts, file, indent=1)
    print(f'Everything is written to {arguments.out}.')
  chosen = stats.worst(findings, number) if arguments.sheet else []
  if chosen:
    captions = [f'#{index} {reason}' for index, reason in chosen]
    draw.save(arguments.sheet, sheets.originals(source, [index for index, _ in chosen], captions))
    print(f'The {len(chosen)} most suspicious people are drawn in {arguments.sheet}.')
  return 0
