"""`posejax doctor`: does JAX compute rightly here?"""

import argparse


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'check that JAX computes rightly on this machine, with these devices and flags'
  command = commands.add_parser('doctor', help=text, description=text.capitalize() + '.')
  command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  del arguments, rest  # it has no settings
  from posejax import doctor

  return doctor.run()
