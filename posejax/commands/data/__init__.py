"""`posejax data …`: prepare data sets, look at them, count them, write them in other forms."""

from posejax.commands.data import export, prepare, pseudo_label, show, stats

_COMMANDS = (prepare, show, stats, export, pseudo_label)


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'prepare data sets, look at them, count them, write them in other forms'
  command = commands.add_parser('data', help=text, description=text.capitalize() + '.')
  parts = command.add_subparsers(title='commands', required=True, metavar='COMMAND')
  for part in _COMMANDS:
    part.register(parts)
