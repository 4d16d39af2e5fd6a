"""Annotations in COCO's JSON format, with keypoints or boxes alone: read, checked, grouped by picture."""

from collections import defaultdict
from collections.abc import Sequence
import dataclasses
import json
import os
from typing import Any

import numpy as np

from posejax.data.formats import pictures
from posejax.errors import PosejaxError
from posejax.geometry import boxes

FORM = (
  '{"images": [{"id", "file_name", "height", "width"}], "annotations": [{"id", "image_id", '
  '"category_id", "bbox": [x, y, w, h], "area", "keypoints": [x1, y1, v1, …]}], "categories": '
  '[{"id", "name", "keypoints": [names], "skeleton": [[1, 2], …]}]} (without "keypoints" for boxes alone)'
)


@dataclasses.dataclass(frozen=True)
class Person:
  """One annotation, of whatever class; see the Picture of `posejax.types` for the values.

  A crowd, and who or what has no labelled keypoints, has `visibility` 0 throughout.
  """

  keypoints: np.ndarray
  visibility: np.ndarray
  box: np.ndarray
  annotation_id: Any
  area: float
  label: int = 0
  crowd: bool = False


def read(path: str) -> dict[str, Any]:
  """Return the content of a COCO-format file, without outlines (`segmentation`).

  Raises:
    PosejaxError: the file is missing, no JSON, or lacks a list.
  """
  if not os.path.isfile(path):
    raise PosejaxError(f'No annotations at {path}. Expected a COCO-format file: {FORM}.')
  with open(path, 'rb') as file:
    try:
      dataset = json.load(file, object_hook=_without_outline)
    except ValueError as error:
      raise PosejaxError(f'{path} is not JSON: {error}.') from None
  missing = [
    key
    for key in ('images', 'annotations', 'categories')
    if not isinstance(dataset, dict) or not isinstance(dataset.get(key), list)
  ]
  if missing:
    raise PosejaxError(f'{path} has no list {missing[0]!r}; expected a COCO-format file: {FORM}.')
  for image in dataset['images']:
    if not isinstance(image, dict) or not {'id', 'file_name'} <= image.keys():
      raise PosejaxError(f'{path}: an image is {image!r:.200}; it needs "id" and "file_name".')
  ids = [c.get('id') if isinstance(c, dict) else None for c in dataset['categories']]
  if not ids or None in ids or len(set(ids)) < len(ids):
    raise PosejaxError(
      f'{path}: the categories have the ids {ids!r:.200}; there must be one at least, each with an "id" '
      'of its own.'
    )
  return dataset


def _without_outline(value: dict[str, Any]) -> dict[str, Any]:
  # Nothing here reads them, and they are most of a large file.
  value.pop('segmentation', None)
  return value


def class_names(dataset: dict[str, Any]) -> tuple[str, ...]:
  """Return what the categories are called, in the file's order, unique: with their ids where not."""
  categories = dataset['categories']
  names = [str(c.get('name', c['id'])) for c in categories]
  if len(set(names)) < len(names):
    names = [f'{name} {c["id"]}' for name, c in zip(names, categories, strict=True)]
  return tuple(names)


def keypoint_category(dataset: dict[str, Any], path: str) -> dict[str, Any]:
  """Return the category whose keypoints are annotated.

  Several categories may share one list of keypoints (kinds of animals, say); the first stands for
  them then.

  Raises:
    PosejaxError: no category has keypoints, or two have different ones.
  """
  found = [c for c in dataset['categories'] if c.get('keypoints')]
  if not found:
    names = [c.get('name', c.get('id')) for c in dataset['categories']]
    raise PosejaxError(
      f'{path}: no category names its "keypoints" (categories: {names!r:.200}). Add '
      '"keypoints": [names, in the order of the annotations] to the category.'
    )
  different = [c for c in found if c['keypoints'] != found[0]['keypoints']]
  if different:
    raise PosejaxError(
      f'{path}: categories {found[0].get("name")!r} and {different[0].get("name")!r} have different '
      'keypoints. One net learns one skeleton: write a file for each, and join them by '
      "config.data.name='mixture' where they share keypoints."
    )
  return found[0]


def person_ids(
  entries: Sequence[dict[str, Any]], categories: Sequence[dict[str, Any]], path: str
) -> frozenset | None:
  """Return the category ids of the entries that pose nets are to look at; None where all are.

  Entries of one category, or of none, are all looked at, whatever it is. Of several those called
  'person' are; of a list of results, which names none, those of COCO's 1.

  Args:
    entries: annotations or results.
    categories: of their file; empty where it lists none.
    path: of the file, in messages.

  Raises:
    PosejaxError: there are several categories, none of people.
  """
  ids = {entry['category_id'] for entry in entries if entry.get('category_id') is not None}
  if len(ids) < 2:
    return None
  people = {c.get('id') for c in categories if c.get('name') == 'person'} if categories else {1}
  if not people & ids:
    names = [c.get('name', c.get('id')) for c in categories] or sorted(map(str, ids))
    wanted = "called 'person'" if categories else "1, COCO's people"
    raise PosejaxError(
      f'{path}: its boxes are of several categories, none of which is {wanted} ({names!r:.200}). Leave '
      'in the file those to look at.'
    )
  return frozenset(people)


def people_by_image(
  dataset: dict[str, Any],
  category_ids: Sequence[Any],
  num_keypoints: int,
  path: str,
  faults: pictures.Faults,
) -> dict[Any, list[Person]]:
  """Return `{image id: people}`, or things, in the order of the file's images and of its annotations.

  Everybody who has a place is there: crowds, and people without labelled keypoints, too. A missing box
  is the extent of the labelled keypoints, a missing area that of the box; an annotation with neither
  box nor keypoints, or of a category that the file does not list, is left out and counted. Keypoints
  that lie outside the picture count as not labelled, and those of a category that names none are not
  looked at.

  Args:
    dataset: as `read` gives it.
    category_ids: of the annotations to take, in the order of the labels; the file's others are passed
      over.
    num_keypoints: K; 0 where no category has any.
    path: of the file, in messages.
    faults: receives the counts.

  Raises:
    PosejaxError: an annotation belongs to no image, or its keypoints are not K triples x, y, v.
  """
  sizes = {
    image['id']: (image['height'], image['width']) if image.get('height') else None
    for image in dataset['images']
  }
  names_keypoints = {c['id']: bool(c.get('keypoints')) for c in dataset['categories']}
  people = defaultdict(list)
  for annotation in dataset['annotations']:
    category = annotation.get('category_id')
    if category not in category_ids:
      if category not in names_keypoints:
        faults.counts['annotations of a category that the file does not list'] += 1
      continue
    image_id = annotation.get('image_id')
    if image_id not in sizes:
      raise PosejaxError(
        f'{path}: annotation {annotation.get("id")} belongs to image {image_id!r}, which the file '
        'does not list.'
      )
    if not names_keypoints.get(category, True):
      annotation = {**annotation, 'keypoints': None}
    label = category_ids.index(category)
    person = _person(annotation, label, sizes[image_id], num_keypoints, path, faults)
    if person is not None:
      people[image_id].append(person)
  return {image_id: people[image_id] for image_id in sizes if image_id in people}


def _person(
  annotation: dict[str, Any],
  label: int,
  image_hw: tuple[int, int] | None,
  num_keypoints: int,
  path: str,
  faults: pictures.Faults,
) -> Person | None:
  who = f'{path}: annotation {annotation.get("id")}'
  crowd, flat = bool(annotation.get('iscrowd')), annotation.get('keypoints') or []
  keypoints, visibility = np.zeros((num_keypoints, 2)), np.zeros(num_keypoints, np.int32)
  if not crowd and any(flat[2::3]):
    triples = _triples(flat, num_keypoints, who)
    keypoints, visibility = triples[:, :2], triples[:, 2].astype(np.int32)
    if image_hw is not None:
      visibility = drop_outside(keypoints, visibility, image_hw, faults)
  given, area = annotation.get('bbox'), annotation.get('area')
  if given:
    box = _clean_box(given, image_hw, who)
    area = given[2] * given[3] if area is None else area
  elif visibility.any():
    box = boxes.box_from_keypoints(keypoints, visibility)
    area = boxes.area(box) if area is None else area
  else:
    faults.counts['annotations with neither box nor keypoints'] += 1
    return None
  return Person(
    keypoints.astype(np.float32),
    visibility,
    box.astype(np.float32),
    annotation.get('id'),
    float(area),
    label,
    crowd,
  )


def _triples(flat: list, num_keypoints: int, who: str) -> np.ndarray:
  if len(flat) != 3 * num_keypoints:
    raise PosejaxError(
      f'{who} has {len(flat)} keypoint numbers; {num_keypoints} keypoints of its category need '
      f'{3 * num_keypoints} (x, y, v each).'
    )
  try:
    triples = np.array(flat, np.float64).reshape(-1, 3)
  except (TypeError, ValueError):
    raise PosejaxError(f'{who}: keypoints must be numbers, got {flat!r:.100}.') from None
  if not np.isfinite(triples).all():
    raise PosejaxError(f'{who}: keypoints must be finite, got {flat!r:.100}.')
  strange = sorted(set(triples[:, 2]) - {0.0, 1.0, 2.0})
  if strange:
    raise PosejaxError(
      f"{who}: a keypoint's third number is {strange[0]}; it must be 0 (not labelled), 1 (labelled, "
      'hidden) or 2 (labelled, visible). Scores of a net are not visibilities.'
    )
  return triples


def _clean_box(given: list[float], image_hw: tuple[int, int] | None, who: str) -> np.ndarray:
  """Return xyxy of an annotated box x, y, w, h: outermost pixels, within the picture.

  Source: `_load_coco_keypoint_annotation_kernal` of microsoft/human-pose-estimation.pytorch
  lib/dataset/coco.py ("sanitize bboxes").
  """
  try:
    x, y, w, h = (float(value) for value in given)
  except (TypeError, ValueError):
    raise PosejaxError(f'{who}: bbox {given!r} must be four numbers x, y, w, h.') from None
  if not np.isfinite([x, y, w, h]).all():
    raise PosejaxError(f'{who}: bbox {given!r} must be finite.')
  low = np.maximum([x, y], 0)
  high = low + np.maximum([w - 1, h - 1], 0)
  if image_hw is not None:
    high = np.minimum(high, [image_hw[1] - 1, image_hw[0] - 1])
  return np.concatenate([low, high])


def drop_outside(
  keypoints: np.ndarray, visibility: np.ndarray, image_hw: tuple[int, int], faults: pictures.Faults
) -> np.ndarray:
  """Return `visibility` with 0 for labelled keypoints outside the picture, which are counted.

  A pixel beyond the edge is allowed: labels of some sets count pixels from 1, or are rounded.
  """
  h, w = image_hw
  inside = ((keypoints >= -1) & (keypoints <= (w, h))).all(axis=-1)
  outside = (visibility > 0) & ~inside
  if outside.any():
    faults.counts['keypoints outside their picture'] += int(outside.sum())
  return np.where(outside, 0, visibility).astype(np.int32)
