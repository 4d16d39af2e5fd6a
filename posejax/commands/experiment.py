"""`main.py`, `posejax train` and `posejax eval`: an experiment trained, or a run of it measured."""

import argparse
from collections.abc import Sequence
import os
import sys
import time

from posejax.errors import PosejaxError

USAGE = (
  'posejax {mode} --config=configs/NAME.py[:ARGUMENT] [--workdir=DIR] [--config.KEY=VALUE ...]'
)


def register(commands) -> None:
  """Add `train` and `eval` to `commands`, what `ArgumentParser.add_subparsers` returned."""
  for mode, text in (('train', 'train an experiment'), ('eval', 'measure a run')):
    command = commands.add_parser(
      mode, help=text, description=text.capitalize() + '.', usage=USAGE.format(mode=mode)
    )
    _add_options(command)
    command.set_defaults(run=_run, takes_config=True, takes_memory=True, mode=mode)


def main(arguments: Sequence[str], began: float) -> int:
  """Do what the arguments of main.py ask for; return its exit code; see `posejax.train.stop`.

  Args:
    arguments: without the program's name.
    began: `time.monotonic()` of the command's start, for the times shown.
  """
  parser = argparse.ArgumentParser(prog='main.py', usage=USAGE.format(mode='train').replace(
    'posejax train', 'python main.py') + ' [--mode=train|eval]', allow_abbrev=False)  # fmt: skip
  parser.add_argument(
    '--mode', default='train', choices=('train', 'eval'), help='train, or measure a work directory'
  )
  _add_options(parser)
  known, rest = parser.parse_known_args(list(arguments))
  try:
    return run(known, rest, began)
  except PosejaxError as error:
    print(f'Error: {error}', file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print('Interrupted.', file=sys.stderr)
    return 130


def _add_options(parser: argparse.ArgumentParser) -> None:
  from posejax.process import startup

  parser.add_argument(
    '--workdir',
    help='where results go; runs/<config name> where not given, or the run to go on with',
  )
  parser.add_argument(
    '--checkpoint', default='best', help="to measure: 'best' (the default), 'latest' or a step"
  )
  parser.add_argument(
    '--compilation_cache',
    default=startup.DEFAULT_CACHE,
    metavar='DIR',
    help='where compiled programs are kept between runs; empty for nowhere',
  )


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  return run(arguments, rest, time.monotonic())


def run(arguments: argparse.Namespace, rest: Sequence[str], began: float) -> int:
  """Train or measure; return the exit code, as `main`.

  Args:
    arguments: the options of `_add_options`, and `mode`.
    rest: `--config` and its keys.
    began: as of `main`.

  Raises:
    PosejaxError: for what a user can mend.
  """
  from absl import logging

  from posejax.commands import config_flags
  from posejax.process import startup, together
  from posejax.runs import workdirs

  logging.set_verbosity(logging.WARNING)  # Orbax tells of every phase of every save
  named = config_flags.read_named(rest) if rest else None
  if named is not None:
    config, workdir = named.config, arguments.workdir or _default_workdir(named.name)
  else:
    workdir = arguments.workdir
    config = workdirs.read_config(workdir) if workdir else None
  if config is None:
    raise PosejaxError(
      'Name an experiment, --config=configs/NAME.py, or the --workdir of a run to go on with'
      + (f'; {workdir} has no config.json.' if workdir else '.')
    )
  startup.begin(arguments.compilation_cache)
  with together.ending():
    if arguments.mode == 'eval':
      from posejax.train.workdirs.evaluate import evaluate_workdir

      # The run's own config holds, but for what this command line sets.
      evaluate_workdir(workdir, arguments.checkpoint, named.overrides if named else {})
    else:
      from posejax.train import stop
      from posejax.train.loop import train

      train(config, workdir, began)
      return stop.exit_code(workdir)
  return 0


def _default_workdir(name: str) -> str:
  path, _, argument = name.partition(':')
  stem = os.path.splitext(os.path.basename(path))[0]
  return os.path.join('runs', '-'.join([stem, *argument.replace(',', '-').split()]))
