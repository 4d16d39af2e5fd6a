"""`posejax sweep`: many runs of one experiment that differ in a few settings."""

import argparse
from collections.abc import Sequence
import os

_TEXT = """\
Train every combination of some settings, compare them in a table and a plot (docs/sweep.md):

  posejax sweep --config=configs/pose_densenet.py --set optimizer.learning_rate=1e-2,3e-3 --set seed=0,1

Interrupted, it goes on where it was when the same command is given again. A value is a number, true,
false, none, text, or a tuple; quote what the shell would read: --set 'model.block_layers=(1,2),(2,2)'.
"""


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  command = commands.add_parser(
    'sweep',
    help='train every combination of some settings and compare them',
    description=_TEXT,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    usage='posejax sweep --config=configs/NAME.py[:ARGUMENT] --set KEY=V1,V2 [--set KEY2=V1,V2 ...] '
    '[--out=DIR] [--parallel=N] [--launcher=slurm [--sbatch=OPTIONS]] [--config.KEY=VALUE ...]',
  )
  command.add_argument(
    '--set', action='append', required=True, metavar='KEY=V1,V2', help='a setting and its values'
  )
  command.add_argument(
    '--out',
    metavar='DIR',
    help='where the runs and the table go; runs/sweep-<config name> if unset',
  )
  command.add_argument(
    '--parallel',
    type=int,
    metavar='N',
    help='so many runs at a time, each on a GPU or a share of the cores of its own (default: 1; with '
    'slurm as many as the cluster takes)',
  )
  command.add_argument(
    '--launcher',
    choices=('local', 'slurm'),
    default='local',
    help='run on this machine (the default), or as an array job that Slurm distributes',
  )
  command.add_argument(
    '--sbatch',
    metavar='OPTIONS',
    help="options of sbatch for every run, such as '--gpus=1 --time=8:00:00 --partition=gpu'",
  )
  # Its runs' processes take its environment over.
  command.set_defaults(run=_run, takes_config=True, takes_memory=True)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  import jax

  # The runs are processes of their own. This one computes nothing, so it leaves the devices to them.
  jax.config.update('jax_platforms', 'cpu')
  from posejax.commands import config_flags
  from posejax.errors import PosejaxError
  from posejax.sweep import check, grid, results, runner

  if arguments.parallel is not None and arguments.parallel < 1:
    raise PosejaxError(f'--parallel={arguments.parallel} must be at least 1.')
  folder = arguments.out or _default_folder(rest)
  where = _launcher(arguments, folder)
  runs = grid.runs(
    config_flags.read(rest), arguments.set, lambda settings: config_flags.read(rest, settings)
  )
  runs = check.continued(runs, folder)
  check.can_be_built(runs)
  states = runner.run_all(runs, folder, where)
  counts = {state: list(states.values()).count(state) for state in dict.fromkeys(states.values())}
  print(
    f'{len(runs)} runs in {folder}: ' + ', '.join(f'{n} {state}' for state, n in counts.items())
  )
  print(f'Compared in {os.path.join(folder, "sweep.md")}, sweep.csv and sweep.png.')
  if set(counts) == {results.FINISHED}:
    return 0
  print('The same command goes on with what is not finished.')
  return 1 if results.FAILED in counts else 130


def _launcher(arguments: argparse.Namespace, folder: str):
  from posejax.errors import PosejaxError
  from posejax.sweep import devices, local, slurm

  if arguments.launcher == 'slurm':
    return slurm.SlurmLauncher(folder, arguments.parallel, arguments.sbatch or '')
  if arguments.sbatch is not None:
    raise PosejaxError(f'--sbatch={arguments.sbatch!r} has no meaning without --launcher=slurm.')
  return local.LocalLauncher(folder, devices.slots(arguments.parallel or 1))


def _default_folder(rest: Sequence[str]) -> str:
  """Return runs/sweep-<config name> for the arguments that name the config."""
  name = ''
  for argument, after in zip(rest, [*rest[1:], ''], strict=True):
    if argument in ('--config', '-config'):
      name = after
    elif argument.lstrip('-').startswith('config='):
      name = argument.partition('=')[2]
  path, _, options = name.partition(':')
  stem = os.path.splitext(os.path.basename(path))[0]
  return os.path.join('runs', '-'.join(['sweep', stem, *options.replace(',', '-').split()]))
