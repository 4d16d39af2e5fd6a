"""`posejax data pseudo-label`: a run's confident predictions on unlabelled pictures, to train on."""

import argparse


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = "write a run's confident predictions on unlabelled pictures as annotations to train on"
  command = commands.add_parser('pseudo-label', help=text, description=text.capitalize() + '.')
  command.add_argument('--workdir', required=True, metavar='RUN', help='of the trained run')
  command.add_argument(
    '--checkpoint', default='best', help="'best' (the default), 'latest' or a step"
  )
  command.add_argument('--images', required=True, metavar='DIR', help='folder of the pictures')
  command.add_argument(
    '--boxes',
    metavar='FILE.json',
    help='where the people are: a list of detections, or a COCO-format file; without it each picture '
    'is taken to show one person, who fills it',
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
  from posejax.data import coco_write, pseudo_labels, unlabelled
  from posejax.errors import PosejaxError
  from posejax.train import saved_run

  path = options.file_to_write('--out', arguments.out, ('.json',))
  run = saved_run.read(arguments.workdir, arguments.checkpoint)
  predict = saved_run.SourcePredictor(run)
  K = run.skeleton.num_keypoints
  fewest = -(-K // 2) if arguments.min_keypoints is None else arguments.min_keypoints
  if not 1 <= fewest <= K:
    raise PosejaxError(
      f'--min_keypoints={fewest} must be from 1 to {K}, the keypoints of this run.'
    )
  found = unlabelled.find(arguments.images, arguments.on_error, _bar('pictures'))
  if arguments.boxes:
    people, skipped = unlabelled.from_file(found, run.skeleton, arguments.boxes)
    boxes = people.boxes
  else:
    people, skipped, boxes = unlabelled.whole_pictures(found, run.skeleton), {}, None
  keypoints, scores = predict(people, _bar('predictions'))
  made = pseudo_labels.make(
    people.names,
    keypoints,
    scores,
    found.sizes,
    boxes,
    arguments.min_score,
    fewest,
  )
  _report(made, len(people), {**found.left_out, **skipped}, float(scores.max()))
  if not made.annotations:
    raise PosejaxError(
      f'Nobody is left, so {path} is not written. Lower --min_score or --min_keypoints, or train the '
      'run further.'
    )
  info = {
    'description': 'predictions of a net, not labels of people',
    'run': arguments.workdir,
    'step': run.step,
    'min_score': arguments.min_score,
    'min_keypoints': fewest,
  }
  annotations, *skeleton = coco_write.write(path, run.skeleton, made.images, made.annotations, info)
  own = f' --config.data.skeleton={skeleton[0]}' if skeleton else ''
  print(
    f'Written to {annotations}. Train on it with --config.data.annotations={annotations} '
    f'--config.data.images={arguments.images}{own}'
  )
  return 0


def _bar(what: str):
  from tqdm import tqdm

  return lambda items: tqdm(items, what, leave=False)


def _report(made, predicted: int, left_out: dict[str, int], highest: float) -> None:
  print(
    f'{len(made.annotations):,} of {predicted:,} people kept, on {len(made.images):,} pictures; '
    f'{made.kept_keypoints:,} of {made.all_keypoints:,} predicted keypoints (the highest score is '
    f'{highest:.2f}).'
  )
  for reason, count in sorted({**made.left_out, **left_out}.items()):
    print(f'  left out: {count:,} {reason}')
