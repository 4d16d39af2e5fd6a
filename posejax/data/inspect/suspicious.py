"""Annotations that look wrong: what a person should look at, worst first.

Each check gives `Finding`s. None of them is proof: people do cross their legs. The limits were set by
looking at real annotations (docs/data.md has the figures).
"""

from collections.abc import Callable, Iterable
import dataclasses
from typing import Any

import numpy as np

from posejax.data.formats import coco_read, pictures
from posejax.data.inspect.table import Table
from posejax.skeletons import Skeleton

CROSSED_LIMB = 0.1
"""Least shortening, by swapping the sides at one end of a pair of limbs, in longer sides of the box."""
CROSSED_TRUNK = 0.05
"""The same from shoulders to hips, which a body can't cross as it can cross its legs."""
OUTSIDE_BOX = 0.05
"""Least distance of a keypoint from its box, in longer sides of the box."""
_OUTSIDE_PIXELS = 2.0
TURNED = 0.05
"""Least width of shoulders and hips, in longer sides of the box, to say which way they face."""
SQUARE_FACE = (1.0, 4.0)
"""Distance between the eyes over their height above the nose, of faces seen neither from the side nor
from above or below; 90 of 99 faces of COCO with both eyes and the nose visible."""
SMALL_SIDE, LONG_ASPECT = 8.0, 10.0
"""A box with a shorter side (pixels) or a larger ratio of its sides is degenerate."""
SAME_PERSON = 0.02
"""Mean distance, in longer sides of the box, below which two people's keypoints are the same."""
_SAME_SPOT = 1e-3  # pixels
_LEAST_COMMON = 3
_TRUNK = ('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip')
_FACE = ('nose', 'left_eye', 'right_eye')


@dataclasses.dataclass(frozen=True)
class Finding:
  """One annotation that looks wrong.

  Attributes:
    kind: which check found it.
    strength: the larger, the more suspicious; comparable within a kind.
    detail: what was seen, for a person.
    name: which annotation: `index` in the source, `image_name`, `image_id`, `annotation_id`, as far as
      there are such.
  """

  kind: str
  strength: float
  detail: str
  name: dict[str, Any]


def find(people: Table) -> list[Finding]:
  """Return what looks wrong, by kind, the most suspicious of each kind first."""
  findings = []
  for check in CHECKS:
    findings += sorted(check(people), key=lambda finding: -finding.strength)
  return findings


def crossed_sides(people: Table) -> Iterable[Finding]:
  """Find left and right that change places between the two ends of a pair of limbs.

  Swapping the sides at one end makes the two limbs shorter together only where they cross.
  """
  keypoints, labelled, names = people.keypoints, people.labelled, people.skeleton.keypoints
  for (a, b), (other_a, other_b), limit in _limb_pairs(people.skeleton):

    def distance(i, j):
      return np.linalg.norm(keypoints[:, i] - keypoints[:, j], axis=-1)

    given = distance(a, b) + distance(other_a, other_b)
    swapped = distance(a, other_b) + distance(other_a, b)
    shorter = (given - swapped) / people.sizes
    shorter[~labelled[:, [a, b, other_a, other_b]].all(axis=1)] = 0
    for number in np.flatnonzero(shorter > limit):
      ends = ' and '.join(_without_side(names[k]) for k in (a, b))
      detail = f'left and right change places between {ends}'
      yield Finding('crossed sides', float(shorter[number] / limit), detail, people.names[number])


def _limb_pairs(skeleton: Skeleton) -> list[tuple[tuple[int, int], tuple[int, int], float]]:
  """Return limbs that have a mirror image: `((a, b), (mirrored a, mirrored b), limit)`."""
  mirrored = skeleton.flip_permutation
  # A diagonal of the torso joins a keypoint and the mirror image of its neighbour on its own side.
  trunk = [(a, int(mirrored[b])) for a, b in skeleton.torso_indices]
  limits = {frozenset(limb): CROSSED_LIMB for limb in skeleton.limb_indices}
  limits |= {frozenset(limb): CROSSED_TRUNK for limb in trunk}
  pairs = {}
  for limb, limit in limits.items():
    a, b = sorted(limb)
    other = int(mirrored[a]), int(mirrored[b])
    if {a, b} & set(other):
      continue  # an end without a side, or a limb from side to side
    pairs.setdefault(frozenset([(a, b), tuple(sorted(other))]), ((a, b), other, limit))
  return list(pairs.values())


def _without_side(name: str) -> str:
  return name.removeprefix('left_').removeprefix('right_')


def mirrored_face(people: Table) -> Iterable[Finding]:
  """Find eyes on the wrong sides of a nose: all three are seen from the front only."""
  if not set(_FACE) <= set(people.skeleton.keypoints):
    return
  nose, left, right = _points(people, _FACE)
  up, across = (left + right) / 2 - nose, left - right
  turn = _turn(up, across)
  squareness = np.linalg.norm(across, axis=-1) / np.maximum(np.linalg.norm(up, axis=-1), 1e-6)
  square = (squareness > SQUARE_FACE[0]) & (squareness < SQUARE_FACE[1])
  visible = _all_at_least(people, _FACE, 2)
  for number in np.flatnonzero(visible & square & (turn < 0)):
    detail = 'the left eye lies where the right one should'
    yield Finding('mirrored face', float(-turn[number]), detail, people.names[number])


def face_against_trunk(people: Table) -> Iterable[Finding]:
  """Find shoulders and hips labelled as seen from behind below a face seen from the front."""
  if not {*_FACE, *_TRUNK} <= set(people.skeleton.keypoints):
    return
  front, _ = facing(people)
  visible = _all_at_least(people, _FACE, 2)
  for number in np.flatnonzero(visible & (front < 0)):
    detail = 'the face is seen from the front, shoulders and hips are labelled as from behind'
    yield Finding('face against trunk', float(-front[number]), detail, people.names[number])


def facing(people: Table) -> tuple[np.ndarray, np.ndarray]:
  """Tell from the sides of shoulders and hips how trunks are turned, upright or not.

  Returns:
    `(front [N], known [N])`: the lesser width of shoulders and hips in longer sides of the box where
    both are labelled as seen from the front, minus that where as from behind, 0 where they disagree
    or are seen from the side; and whether all four are labelled (a skeleton may lack them).
  """
  if not set(_TRUNK) <= set(people.skeleton.keypoints):
    return np.zeros(len(people)), np.zeros(len(people), bool)
  left_shoulder, right_shoulder, left_hip, right_hip = _points(people, _TRUNK)
  up = (left_shoulder + right_shoulder - left_hip - right_hip) / 2
  widths = [
    _turn(up, across) * np.linalg.norm(across, axis=-1) / people.sizes
    for across in (left_shoulder - right_shoulder, left_hip - right_hip)
  ]
  known = _all_at_least(people, _TRUNK, 1)
  agree = known & (widths[0] * widths[1] > 0) & (np.abs(widths).min(axis=0) > TURNED)
  return np.where(agree, np.sign(widths[0]) * np.abs(widths).min(axis=0), 0), known


def _points(people: Table, names: Iterable[str]) -> list[np.ndarray]:
  return [people.keypoints[:, people.skeleton.index(name)].astype(np.float64) for name in names]


def _all_at_least(people: Table, names: Iterable[str], visibility: int) -> np.ndarray:
  columns = [people.skeleton.index(name) for name in names]
  return (people.visibility[:, columns] >= visibility).all(axis=1)


def _turn(up: np.ndarray, across: np.ndarray) -> np.ndarray:
  """Return the sine between two vectors `[N, 2]`, above 0 where `across` points right of `up`."""
  length = np.linalg.norm(up, axis=-1) * np.linalg.norm(across, axis=-1)
  return (up[:, 0] * across[:, 1] - up[:, 1] * across[:, 0]) / np.maximum(length, 1e-6)


def left_on_right(people: Table) -> Iterable[Finding]:
  """Find a left and a right keypoint on one spot, which were likely one click."""
  names, mirrored = people.skeleton.keypoints, people.skeleton.flip_permutation
  pairs = [(k, int(other)) for k, other in enumerate(mirrored) if k < other]
  spots = {}
  for a, b in pairs:
    gap = np.abs(people.keypoints[:, a] - people.keypoints[:, b]).max(axis=-1)
    same = (gap < _SAME_SPOT) & people.labelled[:, a] & people.labelled[:, b]
    for number in np.flatnonzero(same):
      spots.setdefault(number, []).append(f'{names[a]} and {names[b]}')
  for number, found in spots.items():
    detail = f'on one spot: {", ".join(found)}'
    yield Finding('left on right', float(len(found)), detail, people.names[number])


def outside_box(people: Table) -> Iterable[Finding]:
  """Find labelled keypoints that lie clearly outside the person's box."""
  low, high = people.boxes[:, None, :2], people.boxes[:, None, 2:]
  beyond = np.maximum(low - people.keypoints, people.keypoints - high).max(axis=-1)
  beyond[~people.labelled] = 0
  share = beyond / people.sizes[:, None]
  outside = (share > OUTSIDE_BOX) & (beyond > _OUTSIDE_PIXELS)
  for number in np.flatnonzero(outside.any(axis=1)):
    which = [people.skeleton.keypoints[k] for k in np.flatnonzero(outside[number])]
    worst = float(beyond[number].max())
    detail = f'{", ".join(which)}: up to {worst:.0f} pixels outside the box'
    yield Finding('outside the box', float(share[number].max()), detail, people.names[number])


def degenerate_boxes(people: Table) -> Iterable[Finding]:
  """Find boxes too thin to crop a person from."""
  sides = people.boxes[:, 2:] - people.boxes[:, :2]
  short, long = sides.min(axis=1), sides.max(axis=1)
  for number in np.flatnonzero((short < SMALL_SIDE) | (long > LONG_ASPECT * short)):
    w, h = sides[number]
    strength = float(long[number] / max(short[number], 1.0))
    yield Finding('degenerate box', strength, f'{w:.1f} x {h:.1f} pixels', people.names[number])


def duplicates(people: Table) -> Iterable[Finding]:
  """Find people on one picture whose keypoints are the same."""
  least = min(_LEAST_COMMON, people.skeleton.num_keypoints)
  for numbers in people.by_picture():
    for place, first in enumerate(numbers):
      for second in numbers[place + 1 :]:
        common = people.labelled[first] & people.labelled[second]
        if common.sum() < least:
          continue
        gaps = people.keypoints[first, common] - people.keypoints[second, common]
        distance = np.linalg.norm(gaps, axis=-1).mean() / people.sizes[[first, second]].max()
        if distance < SAME_PERSON:
          detail = f'the same person as {people.names[first]}'
          yield Finding('duplicate person', 1 - float(distance), detail, people.names[second])


CHECKS: tuple[Callable[[Table], Iterable[Finding]], ...] = (
  crossed_sides,
  mirrored_face,
  face_against_trunk,
  left_on_right,
  outside_box,
  degenerate_boxes,
  duplicates,
)


def in_file(source) -> list[Finding]:
  """Return what a source's COCO-format file holds that never becomes a label; none without one.

  Keypoints outside their picture count as not labelled, and people with an empty box are left out, so
  `find` can't see them.
  """
  path = getattr(source, 'annotations', None)
  if path is None:
    return []
  dataset, taken = coco_read.read(path), set(source.image_ids)
  images = {image['id']: image for image in dataset['images'] if image['id'] in taken}
  findings = []
  for annotation in dataset['annotations']:
    image = images.get(annotation.get('image_id'))
    triples = np.reshape(annotation.get('keypoints') or [], (-1, 3)).astype(float)
    counts = annotation.get('category_id') in source.category_ids and not annotation.get('iscrowd')
    if image is None or not counts or not triples[:, 2].any():
      continue
    name = {
      'image_name': image['file_name'],
      'image_id': image['id'],
      'annotation_id': annotation.get('id'),
    }
    box = annotation.get('bbox')
    if box and min(box[2:]) <= 1:
      detail = f'bbox {box}: left out, or all but empty'
      findings.append(Finding('empty box in the file', 1.0, detail, name))
    if image.get('height'):
      faults = pictures.Faults()
      hw = image['height'], image['width']
      kept = coco_read.drop_outside(triples[:, :2], triples[:, 2], hw, faults)
      outside = np.flatnonzero((triples[:, 2] > 0) & (kept == 0))
      if len(outside):
        which = ', '.join(_keypoint(source.label_space.skeleton, k, triples[k]) for k in outside)
        detail = f'{which} on {hw[1]} x {hw[0]} pixels'
        findings.append(Finding('outside the picture', float(len(outside)), detail, name))
  return sorted(findings, key=lambda finding: (finding.kind, -finding.strength))


def _keypoint(skeleton: Skeleton, number: int, triple: np.ndarray) -> str:
  return f'{skeleton.keypoints[number]} at ({triple[0]:g}, {triple[1]:g})'
