"""`posejax data pseudo-label`: a net's confident predictions on unlabelled pictures, to train on."""

import argparse

from posejax.commands import net_options


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = "write a net's confident predictions on unlabelled pictures as annotations to train on"
  command = commands.add_parser('pseudo-label', help=text, description=text.capitalize() + '.')
  net_options.add_net(command)
  net_options.add_runtime(command)
  command.add_argument(
    '--flip',
    action='store_true',
    help='average with the mirrored crop, at twice the time',
  )
  command.add_argument('--images', required=True, metavar='DIR', help='folder of the pictures')
  command.add_argument(
    '--boxes',
    metavar='FILE.json',
    help='where the people are: a list of detections, or a COCO-format file; without it and --detector '
    'each picture is taken to show one person, who fills it',
  )
  command.add_argument(
    '--passes',
    type=int,
    default=3,
    help='without them: how often to predict, each time in a box around what the last found (3)',
  )
  command.add_argument(
    '--min_score', type=float, default=0.5, help='the lowest score of a keypoint to keep (0.5)'
  )
  command.add_argument(
    '--min_keypoints', type=int, help='the fewest such keypoints of a person to keep (half of them)'
  )
  command.add_argument(
    '--on_error',
    choices=('raise', 'skip'),
    default='raise',
    help='broken pictures: refuse them (the default), or leave them out, counted',
  )
  command.add_argument('--out', required=True, metavar='FILE.json', help='annotations to write')
  command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  del rest  # the run has its config
  from posejax.commands.data import options
  from posejax.data.formats import coco_write, picture_folder, pseudo_labels
  from posejax.errors import PosejaxError
  from posejax.infer import box_files, unlabelled

  path = options.file_to_write('--out', arguments.out, ('.json',))
  passes = options.positive('--passes', arguments.passes)
  if arguments.boxes and arguments.detector:
    raise PosejaxError('--boxes and --detector both say where people are; give either.')
  boxes = box_files.read(arguments.boxes) if arguments.boxes else None
  predictor = net_options.predictor(arguments)
  figure = predictor.labels.skeleton
  if figure is None:
    raise PosejaxError(f'{predictor.name} finds no keypoints, which are to be labelled.')
  K = figure.num_keypoints
  fewest = -(-K // 2) if arguments.min_keypoints is None else arguments.min_keypoints
  if not 1 <= fewest <= K:
    raise PosejaxError(
      f'--min_keypoints={fewest} must be from 1 to {K}, the keypoints of this net.'
    )
  pictures = picture_folder.find(arguments.images, arguments.on_error, _bar('pictures'))
  people = unlabelled.find(predictor, pictures, boxes, passes, _bar('predictions'))
  made = pseudo_labels.make(
    people.names,
    people.keypoints,
    people.scores,
    pictures.sizes,
    people.boxes,
    arguments.min_score,
    fewest,
  )
  _report(made, people.scores, {**pictures.left_out, **people.left_out})
  if not made.annotations:
    raise PosejaxError(
      f'Nobody is left, so {path} is not written. Lower --min_score or --min_keypoints, or train the '
      'run further.'
    )
  info = {
    'description': 'predictions of a net, not labels of people',
    'net': predictor.name,
    'min_score': arguments.min_score,
    'min_keypoints': fewest,
  }
  annotations, *skeleton = coco_write.write(
    path, [coco_write.category(figure)], figure, made.images, made.annotations, info
  )
  own = f' --config.data.skeleton={skeleton[0]}' if skeleton else ''
  print(
    f'Written to {annotations}. Train on it with --config.data.annotations={annotations} '
    f'--config.data.images={arguments.images}{own}'
  )
  return 0


def _bar(what: str):
  from tqdm import tqdm

  return lambda items: tqdm(items, what, leave=False)


def _report(made, scores, left_out: dict[str, int]) -> None:
  import numpy as np

  print(
    f'{len(made.annotations):,} of {len(scores):,} people kept, on {len(made.images):,} pictures; '
    f'{made.kept_keypoints:,} of {scores.size:,} predicted keypoints.'
  )
  for reason, count in sorted({**made.left_out, **left_out}.items()):
    print(f'  left out: {count:,} {reason}')
  shares = (0.75, 0.5, 0.25, 0.1)
  levels = np.quantile(scores, [1 - share for share in shares])
  print(
    'Scores of all keypoints: '
    + ', '.join(f'{share:.0%} reach {v:.2f}' for share, v in zip(shares, levels, strict=True))
    + '.'
  )
