"""`posejax convert`: a work directory from a checkpoint of another project."""

import argparse

_TEXT = """\
Make a work directory from a checkpoint of another project (.pth, .pt, .safetensors; docs/weights.md
lists which), to evaluate, fine-tune and predict with like any other:

  posejax convert pose_resnet_50_256x192.pth.tar --config=configs/pose_resnet.py:depth=50 --workdir=RUN
  python main.py --workdir=RUN --mode=eval
"""


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  command = commands.add_parser(
    'convert',
    help="make a work directory from another project's checkpoint",
    description=_TEXT,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    usage='posejax convert FILE --config=configs/NAME.py[:ARGUMENT] --workdir=RUN '
    '[--fresh MODULE] [--channels rgb|bgr] [--config.KEY=VALUE ...]',
  )
  command.add_argument('file', metavar='FILE', help='the checkpoint')
  command.add_argument('--workdir', required=True, metavar='RUN', help='what to make')
  command.add_argument(
    '--fresh',
    action='append',
    default=[],
    metavar='MODULE',
    help="start a module anew, e.g. head/final where the checkpoint's keypoints are others; may be "
    'given several times',
  )
  command.add_argument(
    '--channels',
    choices=('rgb', 'bgr'),
    help="order in which this net saw colours, where it is not that of its project's published nets",
  )
  command.set_defaults(run=_run, takes_config=True)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  from absl import logging

  from posejax.commands import config_flags
  from posejax.train.workdirs.convert import convert_workdir

  logging.set_verbosity(logging.WARNING)  # Orbax tells of every phase of a save
  config = config_flags.read(rest)
  converted = convert_workdir(
    arguments.file,
    config,
    arguments.workdir,
    fresh=arguments.fresh,
    channels=arguments.channels,
  )
  print(converted.summary())
  print(
    f'Written to {arguments.workdir}. Next: python main.py --workdir={arguments.workdir} --mode=eval'
  )
  return 0
