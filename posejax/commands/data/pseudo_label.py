"""`posejax data pseudo-label`: a net's confident predictions on unlabelled pictures, to train on."""

import argparse

from posejax.commands import net_options


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = "write a net's confident predictions on unlabelled pictures as annotations to train on"
  command = commands.add_parser('pseudo-label', help=text, description=text.capitalize() + '.')
  which = command.add_mutually_exclusive_group(required=True)
  which.add_argument('--workdir', metavar='RUN', help='of the trained run')
  which.add_argument('--model', choices=net_options.MODELS, help='a published net instead of a run')
  command.add_argument(
    '--checkpoint', default='best', help="of the run: 'best' (the default), 'latest' or a step"
  )
  command.add_argument(
    '--flip',
    action='store_true',
    help='with --model: average with the mirrored crop, at twice the time',
  )
  command.add_argument('--images', required=True, metavar='DIR', help='folder of the pictures')
  command.add_argument(
    '--boxes',
    metavar='FILE.json',
    help='where the people are: a list of detections, or a COCO-format file; without it each picture '
    'is taken to show one person, who fills it',
  )
  command.add_argument(
    '--passes',
    type=int,
    default=3,
    help='without --boxes: how often to predict, each time in a box around what the last found (3)',
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
  import dataclasses

  from posejax.commands.data import options
  from posejax.data.formats import coco_write, pseudo_labels
  from posejax.data.sources import unlabelled
  from posejax.errors import PosejaxError
  from posejax.infer import source_people

  path = options.file_to_write('--out', arguments.out, ('.json',))
  passes = options.positive('--passes', arguments.passes)
  net = _net(arguments)
  predict = source_people.SourcePredictor(net)
  K = net.labels.skeleton.num_keypoints
  fewest = -(-K // 2) if arguments.min_keypoints is None else arguments.min_keypoints
  if not 1 <= fewest <= K:
    raise PosejaxError(
      f'--min_keypoints={fewest} must be from 1 to {K}, the keypoints of this net.'
    )
  found = unlabelled.find(arguments.images, arguments.on_error, _bar('pictures'))
  if arguments.boxes:
    people, skipped = unlabelled.from_file(found, net.labels.skeleton, arguments.boxes)
  else:
    people, skipped = unlabelled.whole_pictures(found, net.labels.skeleton), {}
  keypoints, scores = predict(people, _bar('predictions'))
  for number in range(2, 1 if arguments.boxes else passes + 1):
    boxes = pseudo_labels.tightened(people.names, keypoints, scores, found.sizes, people.boxes)
    people = dataclasses.replace(people, boxes=boxes)
    keypoints, scores = predict(people, _bar(f'predictions, pass {number}'))
  made = pseudo_labels.make(
    people.names,
    keypoints,
    scores,
    found.sizes,
    people.boxes if arguments.boxes else None,
    arguments.min_score,
    fewest,
  )
  _report(made, scores, {**found.left_out, **skipped})
  if not made.annotations:
    raise PosejaxError(
      f'Nobody is left, so {path} is not written. Lower --min_score or --min_keypoints, or train the '
      'run further.'
    )
  info = {
    'description': 'predictions of a net, not labels of people',
    'net': net.name,
    'min_score': arguments.min_score,
    'min_keypoints': fewest,
  }
  figure = net.labels.skeleton
  annotations, *skeleton = coco_write.write(
    path, [coco_write.category(figure)], figure, made.images, made.annotations, info
  )
  own = f' --config.data.skeleton={skeleton[0]}' if skeleton else ''
  print(
    f'Written to {annotations}. Train on it with --config.data.annotations={annotations} '
    f'--config.data.images={arguments.images}{own}'
  )
  return 0


def _net(arguments: argparse.Namespace):
  """Return the net that the options name, as `posejax.runs.net_file.SavedNet`."""
  from posejax.errors import PosejaxError
  from posejax.runs import net_file, published_nets, saved_run

  if arguments.workdir:
    if arguments.flip:
      raise PosejaxError("--flip goes with --model; a run's config says whether it averages.")
    run = saved_run.read(arguments.workdir, arguments.checkpoint)
    name = f'{arguments.workdir}, step {run.step}'
    return net_file.SavedNet(name, run.config, run.variables, run.labels)
  net = published_nets.read(arguments.model)
  return net.with_flip(True) if arguments.flip else net


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
