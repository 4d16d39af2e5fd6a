"""A skeleton for a user's own keypoints: from the annotations' category and a small JSON file.

The JSON file says what the category does not; every key may be left out:

    {
      "name": "stop_sign",
      "flip_pairs": [["top_left", "top_right"], ["bottom_left", "bottom_right"]],
      "sigmas": [0.05, 0.05, 0.05, 0.05],
      "limbs": [["top_left", "top_right"]],
      "upper_body": ["top_left", "top_right"],
      "torso": [["top_left", "bottom_right"]]
    }

`flip_indices` may stand for `flip_pairs`: which keypoint (counted from 0) each one becomes in a mirror.
`"sigmas": "estimate"` has them estimated from the annotations.
"""

from collections.abc import Sequence
import json
import logging
import os
import re
from typing import Any

import numpy as np

from posejax.data.formats.coco_read import Person
from posejax.errors import PosejaxError, nearest
from posejax.skeletons import SKELETONS, Skeleton

_LOG = logging.getLogger(__name__)
_KEYS = ('name', 'flip_pairs', 'flip_indices', 'sigmas', 'limbs', 'upper_body', 'torso')
_OTHER_SIDE = {'left': 'right', 'right': 'left', 'l': 'r', 'r': 'l'}
_ESTIMATE = 'estimate'
_ESTIMATED_FROM = 5000

SIGMA_PER_DISTANCE = 0.267
"""COCO's sigmas over the distance to the nearest other keypoint; see `estimate_sigmas`."""
SIGMA_RANGE = (0.025, 0.107)
"""The least and the largest of COCO's sigmas."""


def read(skeleton: str) -> Skeleton | dict[str, Any]:
  """Return the known skeleton of a name, or the content of a user's JSON file.

  Raises:
    PosejaxError: neither a known name nor a file, or a key of the file is unknown.
  """
  if skeleton in SKELETONS:
    return SKELETONS[skeleton]
  if not os.path.isfile(skeleton):
    raise PosejaxError(
      f'config.data.skeleton={skeleton!r} is neither a known skeleton nor a file.'
      + nearest(skeleton, SKELETONS)
    )
  with open(skeleton, 'rb') as file:
    try:
      content = json.load(file)
    except ValueError as error:
      raise PosejaxError(f'{skeleton} is not JSON: {error}.') from None
  if not isinstance(content, dict):
    raise PosejaxError(f'{skeleton} must hold an object with some of the keys {_KEYS}.')
  for key in content:
    if key not in _KEYS:
      raise PosejaxError(f'{skeleton}: {key!r} is not a key of a skeleton.' + nearest(key, _KEYS))
  return {'name': os.path.splitext(os.path.basename(skeleton))[0], **content}


def resolve(
  category: dict[str, Any],
  given: Skeleton | dict[str, Any] | None,
  people: Sequence[Person],
  path: str,
) -> Skeleton:
  """Return the skeleton of an annotation file.

  Where the category's keypoints are a known skeleton's, that one is taken. What nobody says is
  inferred where that is safe, and the log says so: flip pairs from names that differ in their side
  only, sigmas, upper body and torso from known keypoints of the same names.

  Args:
    category: of a COCO-format file: `keypoints` and perhaps `skeleton` (limbs, counted from 1) and
      `sigmas`.
    given: a known skeleton, which must fit, the content of a user's file, or None.
    people: to estimate sigmas from, where asked for.
    path: of the annotations, in messages.

  Raises:
    PosejaxError: something is inconsistent, or missing and not safe to infer; says what to write.
  """
  names = tuple(category['keypoints'])
  if not all(isinstance(name, str) for name in names):
    raise PosejaxError(f'{path}: the names of keypoints must be strings, got {names!r:.200}.')
  if isinstance(given, Skeleton):
    if given.keypoints != names:
      raise PosejaxError(
        f'{path} has the keypoints {list(names)}; skeleton {given.name!r} has '
        f'{list(given.keypoints)}. Name another skeleton, or none.'
      )
    return given
  known = [skeleton for skeleton in SKELETONS.values() if skeleton.keypoints == names]
  if known and not given:
    _LOG.info('%s: its keypoints are those of skeleton %r.', path, known[0].name)
    return known[0]
  given = dict(given or {})
  limbs = given.get('limbs')
  known_names = {name for skeleton in SKELETONS.values() for name in skeleton.keypoints}
  return Skeleton(
    name=given.get('name', category.get('name', 'own')),
    keypoints=names,
    flip_pairs=_flip_pairs(names, given, path),
    limbs=_limbs(category, path) if limbs is None else limbs,
    sigmas=_sigmas(category, given, people, path),
    upper_body=given.get('upper_body', _like_known(names, known_names, 'upper_body')),
    torso=given.get('torso', _like_known(names, known_names, 'torso')),
  )


def _flip_pairs(names: tuple[str, ...], given: dict[str, Any], path: str):
  if 'flip_pairs' in given and 'flip_indices' in given:
    raise PosejaxError('The skeleton file has flip_pairs and flip_indices; write one of them.')
  if 'flip_pairs' in given:
    return given['flip_pairs']
  if 'flip_indices' in given:
    return _pairs_of(names, given['flip_indices'])
  pairs, sided = set(), {name: _mirrored_names(name) for name in names}
  for name, mirrored in sided.items():
    partners = [other for other in mirrored if other in names]
    if mirrored and len(partners) != 1:
      raise PosejaxError(
        f'{path}: keypoint {name!r} names a side, and {" or ".join(map(repr, sorted(mirrored)))} '
        f'{"both exist" if partners else "does not exist"}, so what it becomes in a mirror cannot be '
        'told. Write "flip_pairs": [[name, name], …] in a JSON file and set config.data.skeleton to it.'
      )
    pairs.update(tuple(sorted((name, partner))) for partner in partners)
  if not pairs and len(names) > 1:
    raise PosejaxError(
      f'{path}: no keypoint of {list(names)} names a side, so which change places in a mirror cannot '
      'be told. Write "flip_pairs": [[name, name], …] ([] for none) in a JSON file and set '
      'config.data.skeleton to it.'
    )
  pairs = sorted(pairs, key=lambda pair: names.index(pair[0]))
  _LOG.warning('%s: flip pairs were inferred from the names: %s.', path, pairs)
  return pairs


def _mirrored_names(name: str) -> set[str]:
  """Return what a name becomes when one of its words changes sides; empty where none is a side."""
  words = re.split(r'([_\-. ]|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]))', name)
  mirrored = set()
  for place, word in enumerate(words):
    other = _OTHER_SIDE.get((word or '').lower())
    if other is not None:
      other = other.upper() if word.isupper() else other.title() if word.istitle() else other
      mirrored.add(''.join(filter(None, [*words[:place], other, *words[place + 1 :]])))
  return mirrored


def _pairs_of(names: tuple[str, ...], indices: Any) -> list[tuple[str, str]]:
  """Return flip pairs of a permutation that is its own inverse."""
  K = len(names)
  if not isinstance(indices, list) or sorted(map(str, indices)) != sorted(map(str, range(K))):
    raise PosejaxError(
      f'flip_indices={indices} must hold each of 0 … {K - 1} once: which keypoint each one becomes.'
    )
  wrong = [k for k in range(K) if indices[indices[k]] != k]
  if wrong:
    k = wrong[0]
    raise PosejaxError(
      f'flip_indices={indices} is not an involution: {names[k]!r} becomes {names[indices[k]]!r}, which '
      f'becomes {names[indices[indices[k]]]!r}. Mirroring twice must give every keypoint back.'
    )
  return [(names[k], names[indices[k]]) for k in range(K) if k < indices[k]]


def _limbs(category: dict[str, Any], path: str) -> list[tuple[str, str]]:
  names = category['keypoints']
  limbs = []
  for limb in category.get('skeleton') or []:
    if len(limb) != 2 or not all(isinstance(n, int) and 1 <= n <= len(names) for n in limb):
      raise PosejaxError(
        f'{path}: "skeleton" of the category holds {limb}; limbs are pairs of keypoint numbers from 1 '
        f'to {len(names)} (COCO counts from 1).'
      )
    limbs.append((names[limb[0] - 1], names[limb[1] - 1]))
  return limbs


def _sigmas(category, given, people: Sequence[Person], path: str) -> list[float]:
  names = category['keypoints']
  sigmas = given.get('sigmas', category.get('sigmas'))
  if sigmas is None:
    table = {
      name: sigma
      for known in SKELETONS.values()
      for name, sigma in zip(known.keypoints, known.sigmas, strict=True)
    }
    unknown = [name for name in names if name not in table]
    if unknown:
      raise PosejaxError(
        f'{path}: nobody says the sigmas of its keypoints ({unknown[0]!r} is not one of a known '
        'skeleton), which OKS and AP divide by. Write "sigmas": [one per keypoint] in a JSON file, or '
        '"sigmas": "estimate", and set config.data.skeleton to it.'
      )
    _LOG.warning('%s: sigmas were taken from known keypoints of the same names.', path)
    return [table[name] for name in names]
  if sigmas == _ESTIMATE:
    estimated = estimate_sigmas(people, len(names))
    _LOG.warning(
      '%s: sigmas were estimated from the distances between keypoints: %s. AP with them compares '
      'runs on this data set, not with published figures.',
      path,
      {name: round(sigma, 3) for name, sigma in zip(names, estimated, strict=True)},
    )
    return estimated
  if not isinstance(sigmas, list) or not all(isinstance(s, int | float) for s in sigmas):
    raise PosejaxError(f'sigmas={sigmas!r} must be a list of numbers, or "estimate".')
  return sigmas


def _like_known(names: tuple[str, ...], known_names: set[str], field: str):
  """Return the upper body or the torso where all keypoints bear names of known ones."""
  if not set(names) <= known_names:
    return ()
  found = []
  for skeleton in SKELETONS.values():
    for item in getattr(skeleton, field):
      members = (item,) if isinstance(item, str) else item
      if set(members) <= set(names) and item not in found:
        found.append(item)
  return tuple(found)


def estimate_sigmas(people: Sequence[Person], num_keypoints: int) -> list[float]:
  """Return sigmas for keypoints whose annotators' spread nobody measured.

  A keypoint can be told from others the more exactly the closer they are: COCO's sigmas are 0.267
  times the distance to the nearest other keypoint over the square root of the area (median over
  people, then the least over keypoints), within a factor of 1.41 for all 17 on 278 persons; one
  constant for all would be off by a factor of 2.4. Estimates are kept in the range of COCO's.

  Args:
    people: annotated figures, of which the first 5,000 count.
    num_keypoints: K.

  Returns:
    K positive sigmas; a keypoint that is never labelled beside another gets the largest.
  """
  people = people[:_ESTIMATED_FROM]
  distances = np.full((len(people), num_keypoints, num_keypoints), np.nan)
  for i, person in enumerate(people):
    gaps = np.linalg.norm(person.keypoints[:, None] - person.keypoints[None], axis=-1)
    labelled = person.visibility > 0
    both = labelled[:, None] & labelled[None] & ~np.eye(num_keypoints, dtype=bool)
    distances[i] = np.where(both, gaps / np.sqrt(person.area), np.nan)
  typical = np.full((num_keypoints, num_keypoints), np.inf)
  seen = np.isfinite(distances).any(axis=0)
  typical[seen] = np.nanmedian(distances[:, seen], axis=0)
  return np.clip(SIGMA_PER_DISTANCE * typical.min(axis=1), *SIGMA_RANGE).tolist()
