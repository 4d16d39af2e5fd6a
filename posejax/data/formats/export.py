"""A data set written in other forms: COCO's JSON with a folder of pictures, or TFRecords."""

from collections.abc import Callable, Iterable, Iterator
import hashlib
import os
import posixpath
from typing import Any, NamedTuple

import cv2
import numpy as np

from posejax import labels as label_spaces
from posejax.data.formats import coco_write, decode, pictures
from posejax.errors import PosejaxError
from posejax.types import Example

_ENDINGS = {'jpeg': '.jpg', 'png': '.png'}
Progress = Callable[[Iterable[int]], Iterable[int]]


class Encoded(NamedTuple):
  """A picture's bytes, what they are ('jpeg' or 'png'), and its (h, w)."""

  data: bytes
  kind: str
  hw: tuple[int, int]


def encoded(example: Example) -> Encoded:
  """Return an example's picture as a file holds it.

  JPEGs and PNGs stay the bytes they are; others, and pictures that are drawn, become PNGs, so that no
  pixel changes.
  """
  image, name = example['image'], example.get('image_name', 'image')
  if isinstance(image, bytes):
    if image[:2] == b'\xff\xd8':
      return Encoded(image, 'jpeg', pictures.check_picture(image, name))
    if image[:4] == b'\x89PNG':
      return Encoded(image, 'png', pictures.picture_size(image, name))
  pixels = decode.decode_image(image, source=name)
  data = cv2.imencode('.png', pixels[..., ::-1])[1].tobytes()
  return Encoded(data, 'png', pixels.shape[:2])


def to_coco(source, folder: str, progress: Progress = iter) -> dict[str, Any]:
  """Write a source as `annotations.json` and `images/` in a folder.

  `CocoFile` reads it back with the same keypoints, visibility and boxes. Of people one at a time only
  those that the source has are written: neither crowds nor pictures without anybody. Of a source of
  pictures everything is, each class a category. Identifiers of pictures and annotations stay where they
  are unique, else all are numbered anew.

  Args:
    source: see `posejax.data.sources`; of pictures with boxes, or of their people.
    folder: exists; must not hold such a file yet.
    progress: wraps the range of entries.

  Returns:
    `{'annotations', 'pictures', 'files'}`: two numbers and paths.

  Raises:
    PosejaxError: there is an export already, or a picture is broken.
  """
  path, image_folder = os.path.join(folder, 'annotations.json'), os.path.join(folder, 'images')
  if os.path.exists(path):
    raise PosejaxError(f'{path} exists. Remove it, or choose another --out.')
  skeleton = source.label_space.skeleton
  of_pictures = 'boxes' in source.labels(0)
  categories = _categories(source) if of_pictures else [coco_write.category(skeleton)]
  images, found, used = {}, [], set()
  for index in progress(range(len(source))):
    example = source[index]
    picture = encoded(example)
    # The bytes too: parts of a mixture may give one name or number to two pictures.
    digest = hashlib.sha256(picture.data).hexdigest()
    key = (example.get('image_id', index), example.get('image_name'), digest)
    if key not in images:
      name = _file_name(example.get('image_name'), picture.kind, len(images), used)
      target = os.path.join(image_folder, *name.split('/'))
      os.makedirs(os.path.dirname(target), exist_ok=True)
      with open(target, 'wb') as file:
        file.write(picture.data)
      h, w = picture.hw
      images[key] = {
        'id': example.get('image_id', index), 'file_name': name, 'height': h, 'width': w
      }  # fmt: skip
    ones = coco_write.everybody(example) if of_pictures else [example]
    found += [(key, {k: v for k, v in one.items() if k != 'image'}) for one in ones]
  _number(list(images.values()), 'id')
  annotations = []
  for index, (key, one) in enumerate(found):
    category = categories[int(one['label'])] if of_pictures else categories[0]
    if 'keypoints' not in category:
      one = {k: v for k, v in one.items() if k != 'keypoints'}
    number = one.get('annotation_id', index)
    annotations.append(coco_write.annotation(number, images[key]['id'], one, category['id']))
  _number(annotations, 'id')
  info = {'description': f'{source.name}, exported by posejax', 'fingerprint': source.fingerprint}
  files = coco_write.write(path, categories, skeleton, list(images.values()), annotations, info)
  numbers = {'annotations': len(annotations), 'pictures': len(images)}
  return {**numbers, 'files': [*files, image_folder]}


def _categories(source) -> list[dict[str, Any]]:
  """Return a category for each class of a source of pictures, with the numbers of its own file."""
  names, skeleton = source.label_space.class_names, source.label_space.skeleton
  ids = range(1, len(names) + 1)
  if getattr(source, 'annotations', None) is not None:
    ids = source.category_ids
  figure = coco_write.category(skeleton) if skeleton else {}
  figures = label_spaces.keypoint_classes(source)
  return [
    {**(figure if name in figures else {}), 'id': number, 'name': name}
    for number, name in zip(ids, names, strict=True)
  ]


def _file_name(name: str | None, kind: str, number: int, used: set[str]) -> str:
  """Return a file name that is not in `used`, and add it there."""
  name = posixpath.normpath((name or '').replace(os.sep, '/'))
  if name == '.' or name.startswith(('/', '..')):
    # Nothing is written outside the folder, whatever the annotations say.
    name = posixpath.basename(name.strip('./')) or f'{number:08d}'
  stem, ending = posixpath.splitext(name)
  same_kind = {'jpeg': ('.jpg', '.jpeg'), 'png': ('.png',)}[kind]
  ending = ending if ending.lower() in same_kind else _ENDINGS[kind]
  name = f'{stem}{ending}'
  if name in used:
    name = f'{stem}-{number:08d}{ending}'
  used.add(name)
  return name


def _number(entries: list[dict[str, Any]], key: str) -> None:
  """Number entries from 1 where two have the same id."""
  if len({str(entry[key]) for entry in entries}) < len(entries):
    for number, entry in enumerate(entries, 1):
      entry[key] = number


def records(source, progress: Progress = iter) -> Iterator[dict[str, Any]]:
  """Yield each person of a source as the features of a record (`tfrecords.FEATURES`)."""
  for index in progress(range(len(source))):
    example = source[index]
    picture = encoded(example)
    box = np.asarray(example['box'], np.float32)
    yield {
      'image/encoded': picture.data,
      'image/format': picture.kind,
      'image/height': picture.hw[0],
      'image/width': picture.hw[1],
      'image/name': str(example.get('image_name', '')),
      'image/id': str(example.get('image_id', '')),
      'person/id': str(example.get('annotation_id', index)),
      'person/keypoints': np.asarray(example['keypoints'], np.float32).ravel(),
      'person/visibility': np.asarray(example['visibility'], np.int64),
      'person/box': box,
      'person/area': float(example.get('area', (box[2] - box[0] + 1) * (box[3] - box[1] + 1))),
      'person/head_size': float(example.get('head_size', 0.0)),
    }
