"""What a data set holds, counted: people, pictures, keypoints, boxes, and what looks wrong."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
import hashlib
from typing import Any

import numpy as np

from posejax.data.formats import decode
from posejax.data.inspect import suspicious
from posejax.data.inspect.suspicious import Finding
from posejax.data.inspect.table import Table
from posejax.errors import PosejaxError

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
_VISIBILITIES = ('unlabelled', 'hidden', 'visible')
_LISTED = 5


def statistics(source, people: Table, findings: Sequence[Finding]) -> dict[str, Any]:
  """Return counts and distributions, ready for JSON.

  Args:
    source: where `people` come from.
    people: `table.read(source)`.
    findings: what looks wrong with them.
  """
  sides = people.boxes[:, 2:] - people.boxes[:, :2]
  front, known = suspicious.facing(people)
  per_picture = [len(numbers) for numbers in people.by_picture()]
  kinds = dict.fromkeys(finding.kind for finding in findings)
  return {
    'name': source.name,
    'fingerprint': source.fingerprint,
    'skeleton': people.skeleton.name,
    'people': len(people),
    'pictures_with_people': len(per_picture),
    # Where a config takes the first of a data set only, what was left out is said of all of it.
    'left_out': dict(getattr(source, 'left_out', {})),
    'people_per_picture': _percentiles(per_picture),
    'keypoints': {
      name: {
        meaning: int((people.visibility[:, k] == v).sum())
        for v, meaning in enumerate(_VISIBILITIES)
      }
      for k, name in enumerate(people.skeleton.keypoints)
    },
    'labelled_per_person': _percentiles(people.labelled.sum(axis=1)),
    'boxes': {
      'width': _percentiles(sides[:, 0]),
      'height': _percentiles(sides[:, 1]),
      'longer_side': _percentiles(people.sizes),
      'width_by_height': _percentiles(sides[:, 0] / np.maximum(sides[:, 1], 1)),
    },
    'facing': {
      'front': int((front > 0).sum()),
      'behind': int((front < 0).sum()),
      'known': int(known.sum()),
    },
    'suspicious': {
      kind: [
        {**finding.name, 'strength': round(finding.strength, 4), 'detail': finding.detail}
        for finding in findings
        if finding.kind == kind
      ]
      for kind in kinds
    },
  }


def _percentiles(values: Iterable[float]) -> dict[str, float]:
  values = np.percentile(np.asarray(values, np.float64), PERCENTILES)
  return {f'p{p}': round(float(value), 3) for p, value in zip(PERCENTILES, values, strict=True)}


def read_pictures(
  source, people: Table, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[dict[str, Any], list[Finding]]:
  """Read and decode every picture: their sizes, and those that are broken or there twice.

  Returns:
    `({'pictures_read', 'width', 'height'}, findings)`.
  """
  seen, sizes, findings = {}, [], []
  for numbers in progress(people.by_picture()):
    name = people.names[numbers[0]]
    try:
      image = source[name['index']]['image']
      decoded = decode.decode_image(image, source=str(name.get('image_name', 'image')))
    except (PosejaxError, OSError) as error:
      findings.append(Finding('broken picture', 1.0, str(error), name))
      continue
    sizes.append(decoded.shape[:2])
    content = image.tobytes() if isinstance(image, np.ndarray) else image
    digest = hashlib.sha256(content).digest()
    if digest in seen:
      findings.append(Finding('picture twice', 1.0, f'the same bytes as {seen[digest]}', name))
    seen.setdefault(digest, name)
    findings += _outside(people, numbers, decoded.shape[:2])
  heights, widths = np.reshape(sizes, (-1, 2)).T if sizes else ([0], [0])
  counts = {
    'pictures_read': len(sizes),
    'width': _percentiles(widths),
    'height': _percentiles(heights),
  }
  return counts, findings


def _outside(people: Table, numbers: list[int], image_hw: tuple[int, int]) -> Iterable[Finding]:
  h, w = image_hw
  for number in numbers:
    x1, y1, x2, y2 = people.boxes[number]
    if x1 < -1 or y1 < -1 or x2 > w or y2 > h:
      detail = f'box {people.boxes[number].round(1).tolist()} on {w} x {h} pixels'
      yield Finding('box outside the picture', 1.0, detail, people.names[number])


def text(counts: dict[str, Any]) -> str:
  """Return what `statistics` (and `read_pictures`) counted as lines for a person."""
  lines = [
    f'{counts["name"]} ({counts["fingerprint"]}), skeleton {counts["skeleton"]}: '
    f'{counts["people"]:,} people on {counts["pictures_with_people"]:,} pictures',
    *(f'  left out: {n:,} {reason}' for reason, n in sorted(counts['left_out'].items())),
    '',
    f'{"keypoint":18s} {"visible":>9s} {"hidden":>9s} {"unlabelled":>11s} {"labelled":>9s}',
  ]
  for name, n in counts['keypoints'].items():
    share = 1 - n['unlabelled'] / counts['people']
    lines.append(
      f'{name:18s} {n["visible"]:9,} {n["hidden"]:9,} {n["unlabelled"]:11,} {share:9.1%}'
    )
  header = ''.join(
    f'{label:>9s}' for label in ('min', '5 %', '25 %', '50 %', '75 %', '95 %', 'max')
  )
  rows = {
    'people per picture': counts['people_per_picture'],
    'labelled keypoints': counts['labelled_per_person'],
    **{f'box: {name.replace("_", " ")}': row for name, row in counts['boxes'].items()},
  }
  if 'pictures' in counts:
    rows |= {f'picture: {side}': counts['pictures'][side] for side in ('width', 'height')}
  lines += ['', f'{"":22s}{header}']
  lines += [
    f'{name:22s}' + ''.join(f'{value:9.4g}' for value in row.values()) for name, row in rows.items()
  ]
  lines += ['', *_facing_lines(counts['facing'])]
  total = sum(map(len, counts['suspicious'].values()))
  lines.append(f'Suspicious annotations: {total:,}' + (':' if total else '.'))
  for kind, findings in counts['suspicious'].items():
    lines.append(f'  {kind}: {len(findings):,}')
    lines += [f'    {_which(finding)}: {finding["detail"]}' for finding in findings[:_LISTED]]
    if len(findings) > _LISTED:
      lines.append(f'    … and {len(findings) - _LISTED:,} more (--out=FILE.json lists all)')
  return '\n'.join(lines)


def _facing_lines(facing: dict[str, int]) -> list[str]:
  if not facing['known']:
    return []
  front, behind = facing['front'], facing['behind']
  lines = [
    f'Of {facing["known"]:,} trunks {front:,} are labelled as seen from the front, {behind:,} from '
    'behind, the others sideways.'
  ]
  if behind > 2 * front:
    lines.append(
      'MOST ARE LABELLED AS SEEN FROM BEHIND: are left and right swapped in the whole set? "left" is '
      "the person's own left."
    )
  return lines


def _which(finding: dict[str, Any]) -> str:
  parts = [f'example {finding["index"]}'] if 'index' in finding else []
  if finding.get('annotation_id') is not None:
    parts.append(f'annotation {finding["annotation_id"]}')
  if finding.get('image_name'):
    parts.append(finding['image_name'])
  return ', '.join(parts)


def worst(findings: Sequence[Finding], number: int) -> list[tuple[int, str]]:
  """Return `(example, what is wrong)` of up to `number` people, as many of each kind as there are.

  The kinds take turns, the most suspicious of each first; findings that are no example are left out.
  """
  turns, reasons = Counter(), {}
  ranked = []
  for finding in findings:
    if 'index' in finding.name:
      ranked.append((turns[finding.kind], len(ranked), finding))
      turns[finding.kind] += 1
  for _, _, finding in sorted(ranked, key=lambda entry: entry[:2]):
    index = finding.name['index']
    if index in reasons:
      continue
    if len(reasons) == number:
      break
    reasons[index] = finding.kind
  return list(reasons.items())
