"""The `posejax` command."""

import argparse
from collections.abc import Sequence
import os
import sys

from posejax.commands import (
  convert,
  data,
  doctor,
  experiment,
  export,
  plan,
  predict,
  serve,
  sweep,
  weights,
)
from posejax.errors import PosejaxError
from posejax.process import huge_pages

_COMMANDS = (experiment, predict, serve, export, data, weights, convert, sweep, plan, doctor)


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog='posejax', description='Human pose estimation in JAX.')
  commands = parser.add_subparsers(title='commands', required=True, metavar='COMMAND')
  for command in _COMMANDS:
    command.register(commands)
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Run a command; return its exit code: 0 well, 1 not well, 2 wrong use, 130 interrupted.

  A command whose parser sets `takes_config` is given the arguments that its parser does not know
  (`posejax.commands.config_flags` reads them); anywhere else they are wrong use. One whose parser sets
  `takes_memory` is started with huge pages where this is the program.
  """
  # What is wrong with a picture is said in posejax's words, once; read when OpenCV is first imported.
  os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
  parser = _parser()
  arguments, rest = parser.parse_known_args(argv)
  if rest and not getattr(arguments, 'takes_config', False):
    parser.error(f'unrecognized arguments: {" ".join(rest)}')
  if argv is None and getattr(arguments, 'takes_memory', False):
    huge_pages.use()
  try:
    return arguments.run(arguments, rest)
  except PosejaxError as error:
    print(f'Error: {error}', file=sys.stderr)
    return 2
  except KeyboardInterrupt:
    print('Interrupted.', file=sys.stderr)
    return 130


if __name__ == '__main__':
  sys.exit(main())
