"""`posejax predict`: pictures, folders, films or a camera in, skeletons out."""

import argparse

from posejax.commands import net_options


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'find people, or what else a run has learnt, on pictures, films and cameras'
  command = commands.add_parser('predict', help=text, description=text.capitalize() + '.')
  command.add_argument(
    'inputs',
    nargs='+',
    metavar='INPUT',
    help='pictures, folders of them, globs, films, camera:0, or - for a list on standard input',
  )
  net_options.add(command)
  command.add_argument('--out', default='predictions', metavar='DIR', help='where results go')
  command.add_argument(
    '--boxes',
    metavar='FILE.json',
    help="people's boxes on the pictures: a detector's results, or a COCO-format file",
  )
  command.add_argument('--csv', action='store_true', help='write tables too')
  command.add_argument('--gif', action='store_true', help='write a GIF of a folder or film too')
  command.add_argument('--heatmaps', action='store_true', help='draw heatmaps under the skeletons')
  command.add_argument('--no_overlays', action='store_true', help='draw nothing')
  command.add_argument(
    '--no_tracking', action='store_true', help='of a film: every frame on its own, without ids'
  )
  command.add_argument('--no_smoothing', action='store_true', help='of a film: points as they come')
  command.add_argument('--max_frames', type=int, help='of a film or camera: stop after so many')
  command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  del rest  # the run has its config
  import sys

  from posejax.process import startup

  with startup.without_collection():
    from posejax.infer import annotate

    prepared = _prepared(arguments)
  summary = annotate.annotate(*prepared)
  for fault in summary.faults:
    print(f'Left out: {fault}', file=sys.stderr)
  rate = summary.frames / summary.seconds if summary.seconds else 0.0
  print(
    f'{summary.frames} pictures or frames, {summary.people} found, {rate:.1f} a second. '
    f'Written to {arguments.out}: {_listed(summary.written)}.'
  )
  if summary.interrupted:
    raise KeyboardInterrupt
  return 1 if summary.faults or not summary.frames else 0


def _prepared(arguments: argparse.Namespace):
  """Return what to look at, the `Predictor` that does, and the options of both."""
  from posejax.errors import PosejaxError
  from posejax.infer import annotate, box_files
  from posejax.infer.frames import inputs

  if arguments.max_frames is not None and arguments.max_frames < 1:
    raise PosejaxError(f'--max_frames={arguments.max_frames} must be at least 1.')
  if arguments.boxes and arguments.detector:
    raise PosejaxError('--boxes and --detector both say where people are; give either.')
  found = inputs.expand(arguments.inputs)
  boxes = box_files.read(arguments.boxes) if arguments.boxes else None
  predictor = net_options.predictor(arguments)
  options = annotate.Options(
    arguments.out,
    boxes=boxes,
    track=not arguments.no_tracking,
    smooth=not arguments.no_smoothing,
    csv=arguments.csv,
    gif=arguments.gif,
    heatmaps=arguments.heatmaps,
    overlays=not arguments.no_overlays,
    max_frames=arguments.max_frames,
  )
  return found, predictor, options


def _listed(paths: list[str]) -> str:
  import os

  names = [os.path.basename(path) for path in paths]
  more = f' and {len(names) - 4} more' if len(names) > 4 else ''
  return (', '.join(names[:4]) or 'nothing') + more
