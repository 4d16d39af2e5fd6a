"""The `posejax` command."""

import argparse
from collections.abc import Sequence
import sys

from posejax.errors import PosejaxError


def _doctor(arguments: argparse.Namespace) -> int:
  del arguments
  from posejax import doctor

  return doctor.run()


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog='posejax', description='Human pose estimation in JAX.')
  commands = parser.add_subparsers(title='commands', required=True, metavar='COMMAND')
  text = 'check that JAX computes rightly on this machine, with these devices and flags'
  command = commands.add_parser('doctor', help=text, description=text.capitalize() + '.')
  command.set_defaults(run=_doctor)
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Run a command; return its exit code: 0 well, 1 not well, 2 wrong use, 130 interrupted."""
  arguments = _parser().parse_args(argv)
  try:
    return arguments.run(arguments)
  except PosejaxError as error:
    print(f'Error: {error}', file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print('Interrupted.', file=sys.stderr)
    return 130


if __name__ == '__main__':
  sys.exit(main())
