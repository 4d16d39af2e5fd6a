"""What nets find on real people, on the same pictures and boxes: one table.

    python benchmarks/real_people.py --lspet=DIR --coco=DIR --model=movenet_lightning
    python benchmarks/real_people.py --lspet=DIR --workdir=RUN

Leeds Sports Pose Extended (DIR holds joints.mat and images/): the last tenth of its pictures, as `posejax
data prepare lspet` splits it, at the boxes of its labels; PCK@0.20 by torso and by box over the 12
keypoints that its skeleton shares with COCO's. COCO (DIR holds val2017/ and annotations/): everybody with
labelled keypoints on the pictures that are there, at the annotated boxes; AP. A net whose skeleton is not
COCO's has no AP here. The time is the median of whole calls on one person: crop, net and decoding.

`--detector` (`nanodet`, or the work directory of a detection run) adds AP as it is in use: the detector
looks at each of the pictures, the net into its boxes, and who is there and not found counts as missed.

`--details` adds PCK@0.20/torso on LSPET by keypoint, and by how people are turned: upright where the line
from the middle of the shoulders to that of the hips is within 45 degrees of straight down, upside down
likewise.

Other programs take part by files, from environments of their own:

    python benchmarks/real_people.py --lspet=DIR --coco=DIR --write_people=people.json
    PEER/bin/python benchmarks/blazepose.py people.json blazepose.json
    python benchmarks/real_people.py --lspet=DIR --coco=DIR --points=blazepose.json
"""

import argparse
import dataclasses
import json
import os
import statistics
import time

import cv2
import numpy as np

from posejax import skeletons
from posejax.data.builders import matlab
from posejax.data.formats import coco_read
from posejax.data.sources.coco_file import CocoFile
from posejax.data.sources.people import People
from posejax.geometry import boxes as box_geometry
from posejax.metrics import coco_ap, pck
from posejax.process import startup

LSP, COCO = skeletons.LSP, skeletons.COCO
VAL = 'person_keypoints_val2017.json'
PADDING = 1.25
NOWHERE = -1e4


@dataclasses.dataclass
class Someone:
  """A person to be found: a picture's path, the box, and what is labelled."""

  path: str
  box: np.ndarray
  keypoints: np.ndarray
  visibility: np.ndarray
  image_id: int = 0


def of_lspet(folder: str) -> list[Someone]:
  """Return the people of the last tenth."""
  joints = matlab.load(os.path.join(folder, 'joints.mat'), 'joints').transpose(2, 0, 1)
  found = []
  for number in range(len(joints) - len(joints) // 10, len(joints)):
    path = os.path.join(folder, 'images', f'im{number + 1:05d}.jpg')
    h, w = cv2.imread(path).shape[:2]
    points, labelled = joints[number, :, :2].astype(np.float32), joints[number, :, 2] > 0
    labelled &= ((points >= 0) & (points <= (w - 1, h - 1))).all(-1)
    box = box_geometry.box_from_keypoints(points, labelled)
    if box is not None and (box[2:] - box[:2]).max() > 0:
      found.append(Someone(path, box, points, labelled.astype(int)))
  return found


def of_coco(folder: str) -> list[Someone]:
  """Return the people with labelled keypoints."""
  source = People(CocoFile(_annotations(folder), os.path.join(folder, 'val2017')))
  return [
    Someone(
      os.path.join(folder, 'val2017', one['image_name']),
      one['box'],
      one['keypoints'],
      one['visibility'],
      one['image_id'],
    )
    for one in map(source.labels, range(len(source)))
  ]


def _annotations(folder: str) -> str:
  return os.path.join(folder, 'annotations', VAL)


@dataclasses.dataclass
class Found:
  """What a contender found: its keypoints' names, and arrays `[N, K, 3]` of x, y, score by data set."""

  name: str
  keypoints: tuple[str, ...]
  places: dict[str, np.ndarray]
  milliseconds: float
  megabytes: float
  licence: str
  detected_ap: float | None = None


def by_predictor(
  predictor, licence: str, people: dict[str, list[Someone]], detected_ap: float | None
) -> Found:
  """Let a predictor look for everybody."""
  import jax

  places, taken = {}, []
  for name, everybody in people.items():
    rows = []
    for one in everybody:
      image = cv2.imread(one.path)[..., ::-1].copy()
      began = time.perf_counter()
      found = predictor(image, one.box[None]).instances
      taken.append(time.perf_counter() - began)
      rows.append(_best(found, one.box, len(predictor.labels.keypoints)))
    places[name] = np.stack(rows)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(predictor.pipeline.variables))
  return Found(
    predictor.name,
    predictor.labels.keypoints,
    places,
    1e3 * statistics.median(taken),
    2 * parameters / 1e6,
    licence,
    detected_ap,
  )


def ap_with_detector(predictor, detector, folder: str) -> float | None:
  """Return AP at a detector's boxes on all pictures that are there; None where there is no detector.

  It is None too for a net of another skeleton than COCO's, and one that finds its people itself.
  """
  if detector is None or predictor.labels.keypoints != COCO.keypoints or predictor.task.finds_all:
    return None
  dataset = coco_read.read(_annotations(folder))
  paths = {
    one['id']: os.path.join(folder, 'val2017', one['file_name']) for one in dataset['images']
  }
  paths = {image_id: path for image_id, path in paths.items() if os.path.exists(path)}
  records, places = [], []
  for image_id, path in paths.items():
    image = cv2.imread(path)[..., ::-1].copy()
    boxes, scores = detector(image)
    results = predictor([image] * len(boxes), [box[None] for box in boxes])
    for result, box, score in zip(results, boxes, scores, strict=True):
      (one,) = result.instances
      records.append(coco_ap.Record(len(records), one.keypoints, one.keypoint_scores, box))
      places.append((image_id, float(score)))
  truth = coco_ap.ground_truth(dataset, COCO.num_keypoints, set(paths))
  rows = coco_ap.result_rows(records, places.__getitem__, COCO.sigmas, 1.0, PADDING)
  return coco_ap.evaluate(truth, rows, COCO.sigmas)['AP']


def _best(found, box: np.ndarray, num_keypoints: int) -> np.ndarray:
  """Return who is found in a box, or overlaps it most, `[K, 3]`; nowhere where nobody does."""
  overlaps = [box_geometry.iou(one.box[None], box[None])[0, 0] for one in found]
  if not any(overlaps):
    return np.tile([NOWHERE, NOWHERE, 0.0], (num_keypoints, 1))
  one = found[int(np.argmax(overlaps))]
  return np.column_stack([one.keypoints, one.keypoint_scores])


def by_file(path: str) -> Found:
  """Return what another program wrote."""
  with open(path, encoding='utf-8') as file:
    values = json.load(file)
  values['places'] = {name: np.array(rows) for name, rows in values['places'].items()}
  return Found(**values)


def lspet_figures(found: Found, people: list[Someone], which=slice(None)) -> dict[str, float]:
  """Return PCK over the keypoints that COCO's skeleton has too, of all people or some."""
  shared = [
    (i, found.keypoints.index(name))
    for i, name in enumerate(LSP.keypoints)
    if name in COCO.keypoints and name in found.keypoints
  ]
  here, there = (list(column) for column in zip(*shared, strict=True))
  points, labelled, boxes = (
    np.stack([getattr(one, name) for one in people]) for name in ('keypoints', 'visibility', 'box')
  )
  counted = np.zeros_like(labelled)
  counted[:, here] = labelled[:, here]
  predicted = np.zeros_like(points)
  predicted[:, here] = found.places['lspet'][:, there, :2]
  mask = np.zeros(len(people))
  mask[which] = 1
  return pck.summarize_pck(pck.pck_sums(predicted, points, counted, boxes, mask, LSP), LSP)


def turned(people: list[Someone]) -> dict[str, np.ndarray]:
  """Return the numbers of people by how they are turned; of whom a shoulder or hip lacks, nobody."""
  places = {'upright': [], 'across': [], 'upside down': []}
  ends = [
    [LSP.index(f'{side}_{part}') for side in ('left', 'right')] for part in ('shoulder', 'hip')
  ]
  for number, one in enumerate(people):
    if one.visibility[ends[0] + ends[1]].all():
      x, y = one.keypoints[ends[1]].mean(0) - one.keypoints[ends[0]].mean(0)
      name = 'across' if abs(y) < abs(x) else 'upright' if y > 0 else 'upside down'
      places[name].append(number)
  return {name: np.array(numbers) for name, numbers in places.items()}


def details(found: Found, people: list[Someone]) -> str:
  """Return figures by keypoint and by how people are turned, as lines."""
  figures = lspet_figures(found, people)
  rows = {
    name: figures[f'PCK@0.20/torso/{name}'] for name in LSP.keypoints if name in COCO.keypoints
  }
  for name, numbers in turned(people).items():
    rows[f'{name}, {len(numbers)} people'] = lspet_figures(found, people, numbers)['PCK@0.20/torso']
  return '\n'.join(f'  {name}: {value:.3f}' for name, value in rows.items())


def coco_figure(found: Found, people: list[Someone], folder: str) -> float | None:
  """Return AP at annotated boxes, or None for another skeleton."""
  if tuple(found.keypoints) != COCO.keypoints:
    return None
  path = _annotations(folder)
  truth = coco_ap.ground_truth(
    coco_read.read(path), COCO.num_keypoints, {one.image_id for one in people}
  )
  records = [
    coco_ap.Record(i, row[:, :2], row[:, 2], one.box)
    for i, (row, one) in enumerate(zip(found.places['coco'], people, strict=True))
  ]
  rows = coco_ap.result_rows(
    records, lambda i: (people[i].image_id, 1.0), COCO.sigmas, 1.0, PADDING
  )
  return coco_ap.evaluate(truth, rows, COCO.sigmas)['AP']


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--lspet', metavar='DIR')
  parser.add_argument('--coco', metavar='DIR')
  parser.add_argument('--model', action='append', default=[], help='published net; may be repeated')
  parser.add_argument('--workdir', action='append', default=[], help='a run; may be repeated')
  parser.add_argument('--points', action='append', default=[], help="another program's file")
  parser.add_argument('--detector', help="for AP at its boxes: 'nanodet' or a detection run")
  parser.add_argument(
    '--threshold',
    type=float,
    default=0.05,
    help="score from which on a detector's box is looked into",
  )
  parser.add_argument('--write_people', metavar='FILE', help='say who is looked for, and stop')
  parser.add_argument('--flip', action='store_true', help='published nets look at the mirror too')
  parser.add_argument('--reach', type=float, help='of published nets, in cells; 1.8 as published')
  parser.add_argument('--padding', type=float, help='of the boxes, for published nets')
  parser.add_argument('--runtime', default='xla')
  parser.add_argument('--details', action='store_true', help='of LSPET by keypoint and posture')
  args = parser.parse_args()
  if args.detector and not args.coco:
    parser.error('--detector is for AP on the pictures of --coco=DIR; name that too')
  people = {}
  if args.lspet:
    people['lspet'] = of_lspet(args.lspet)
  if args.coco:
    people['coco'] = of_coco(args.coco)
  if args.write_people:
    listed = {
      name: [{'path': os.path.abspath(one.path), 'box': one.box.tolist()} for one in everybody]
      for name, everybody in people.items()
    }
    with open(args.write_people, 'w', encoding='utf-8') as file:
      json.dump(listed, file)
    return

  print(', '.join(f'{len(everybody)} people of {name}' for name, everybody in people.items()))
  print('| net | torso | box | AP | AP, detector | ms | MB | licence |')
  print('|---|---|---|---|---|---|---|---|')
  for found in contenders(args, people):
    torso = box = None
    if args.lspet:
      values = lspet_figures(found, people['lspet'])
      torso, box = values['PCK@0.20/torso'], values['PCK@0.20/box']
    ap = coco_figure(found, people['coco'], args.coco) if args.coco else None
    figures = ' | '.join(
      '-' if value is None else f'{value:.3f}' for value in (torso, box, ap, found.detected_ap)
    )
    print(
      f'| {found.name} | {figures} | {found.milliseconds:.1f} | {found.megabytes:.1f} | '
      f'{found.licence} |',
      flush=True,
    )
    if args.details:
      print(details(found, people['lspet']), flush=True)


def contenders(args: argparse.Namespace, people: dict[str, list[Someone]]):
  """Yield what each found, one after the other."""
  if args.model or args.workdir:
    from posejax.infer import detectors
    from posejax.infer.predictor import Predictor
    from posejax.runs import nets
    from posejax.weights.published import PUBLISHED

    startup.begin(startup.DEFAULT_CACHE)
    otherwise = {'flip': True} if args.flip else {}
    otherwise |= {'box_padding': args.padding} if args.padding else {}
    detector = detectors.create(args.detector, args.threshold) if args.detector else None
    for name in args.model:
      net = nets.read(name).changed('task', **otherwise)
      if args.reach:
        net = net.changed('codec', reach=args.reach)
      net = Predictor.of(net, runtime=args.runtime)
      ap = ap_with_detector(net, detector, args.coco)
      yield by_predictor(net, PUBLISHED[name].licence, people, ap)
    for run in args.workdir:
      net = Predictor.load(run, runtime=args.runtime)
      yield by_predictor(net, '', people, ap_with_detector(net, detector, args.coco))
  for path in args.points:
    yield by_file(path)


if __name__ == '__main__':
  main()
