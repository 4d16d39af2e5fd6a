"""Pictures without labels, and whom to look for on them, as a source to predict on."""

from collections.abc import Callable
import dataclasses
import json
import os
from typing import Any

import numpy as np

from posejax.data.formats import coco_read, pictures
from posejax.data.sources import detections
from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton
from posejax.types import Example

ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')


@dataclasses.dataclass(frozen=True)
class Pictures:
  """The pictures of a folder and of the folders in it.

  Attributes:
    folder: where they lie.
    sizes: file name relative to `folder` -> (h, w) in pixels as they lie, EXIF orientation left aside.
    left_out: reason -> how many.
  """

  folder: str
  sizes: dict[str, tuple[int, int]]
  left_out: dict[str, int]

  def read(self, name: str) -> bytes:
    """Return the encoded picture of a name."""
    return _content(os.path.join(self.folder, name))


def find(folder: str, on_error: str, progress: Callable = iter) -> Pictures:
  """Look at the pictures of a folder.

  Args:
    folder: searched with its subfolders for `ENDINGS`.
    on_error: a broken picture: 'raise' names it, 'skip' leaves it out, counted.
    progress: wraps the list of file names.

  Raises:
    PosejaxError: no such folder, no picture in it, or a broken one.
  """
  if not os.path.isdir(folder):
    raise PosejaxError(f'--images={folder} is not a folder.')
  names = sorted(name for name in pictures.files_below(folder) if name.lower().endswith(ENDINGS))
  sizes, faults = {}, pictures.Faults()
  for name in progress(names):
    path = os.path.join(folder, name)
    try:
      sizes[name] = pictures.check_picture(_content(path), path, thorough=on_error == 'skip')
    except (PosejaxError, OSError) as error:
      faults.add_broken('broken pictures', str(error))
  faults.settle(folder, on_error, len(names))
  if not sizes:
    raise PosejaxError(f'--images={folder} has no picture that can be read ({", ".join(ENDINGS)}).')
  return Pictures(folder, sizes, dict(faults.counts))


def _content(path: str) -> bytes:
  with open(path, 'rb') as file:
    return file.read()


@dataclasses.dataclass(frozen=True)
class UnlabelledPeople:
  """A source of boxes to look for people in: `visibility` is 0 and `keypoints` mean nothing.

  Attributes:
    pictures: what the boxes lie on.
    skeleton: of the predictions.
    names: N, each one's picture.
    boxes: float32 `[N, 4]` xyxy, image frame; not clipped to the picture.
  """

  pictures: Pictures
  skeleton: Skeleton
  names: tuple[str, ...]
  boxes: np.ndarray

  def __len__(self) -> int:
    return len(self.names)

  def __getitem__(self, index: int) -> Example:
    labels = self.labels(index)
    return {'image': self.pictures.read(labels['image_name']), **labels}

  def labels(self, index: int) -> Example:
    """Return example `index` without its picture."""
    if not 0 <= index < len(self):
      raise IndexError(f'example {index} of {len(self)}')
    return detections.unlabelled_person(self.skeleton, self.boxes[index], self.names[index])


def whole_pictures(found: Pictures, skeleton: Skeleton) -> UnlabelledPeople:
  """Return one person per picture, its box the whole of it."""
  boxes = np.array([[0, 0, w - 1, h - 1] for h, w in found.sizes.values()], np.float32)
  return UnlabelledPeople(found, skeleton, tuple(found.sizes), boxes)


def from_file(
  found: Pictures, skeleton: Skeleton, path: str
) -> tuple[UnlabelledPeople, dict[str, int]]:
  """Return the people whose boxes a file has, and what was left out, reason -> how many.

  Args:
    found: the pictures.
    skeleton: of the predictions.
    path: a COCO-format file (its people's boxes are taken, keypoints or not), or a list of detections
      (`sources.detections`), whose `image_id` is a file's name, with or without its ending, or
      the number that the name is.

  Raises:
    PosejaxError: the file is missing, of neither form, or has no box on these pictures.
  """
  if not os.path.isfile(path):
    raise PosejaxError(
      f'No file at --boxes={path}. Expected a COCO-format file, or a list of detections; without '
      '--boxes the whole picture is taken for one person.'
    )
  with open(path, 'rb') as file:
    try:
      content = json.load(file)
    except ValueError as error:
      raise PosejaxError(f'--boxes={path} is not JSON: {error}.') from None
  if isinstance(content, dict):
    people, left_out = _annotated(content, found, skeleton, path)
  else:
    names = _names_by_id(found)
    read = detections.read(path, names)
    ids = tuple(names[image_id] for image_id in read.image_ids)
    people = UnlabelledPeople(found, skeleton, ids, read.boxes)
    left_out = {reason: n for reason, n in read.left_out.items() if n}
  return people, left_out


def _names_by_id(found: Pictures) -> dict[Any, str]:
  """Return what an `image_id` may be -> file name; what two pictures share stands for neither."""
  claims = {}
  for name in found.sizes:
    stem = os.path.splitext(os.path.basename(name))[0]
    for key in {name, os.path.basename(name), stem, *([int(stem)] if stem.isdecimal() else [])}:
      claims.setdefault(key, []).append(name)
  return {key: names[0] for key, names in claims.items() if len(names) == 1}


def _annotated(
  content: dict[str, Any], found: Pictures, skeleton: Skeleton, path: str
) -> tuple[UnlabelledPeople, dict[str, int]]:
  """Return people with the boxes of a COCO-format file's annotations."""
  try:
    names = {image['id']: os.path.normpath(image['file_name']) for image in content['images']}
    annotations = content['annotations']
    taken = coco_read.person_ids(annotations, content.get('categories') or [], f'--boxes={path}')
    boxes = [
      (names[annotation['image_id']], [float(value) for value in annotation['bbox']])
      for annotation in annotations
      if annotation.get('bbox')
      and not annotation.get('iscrowd')
      and (taken is None or annotation.get('category_id') in taken)
    ]
  except (KeyError, TypeError, ValueError) as error:
    raise PosejaxError(
      f'--boxes={path} is neither a list of detections nor a COCO-format file with images (id, '
      f'file_name) and annotations (image_id, bbox): {error!r}.'
    ) from None
  strange = [box for _, box in boxes if len(box) != 4]
  if strange:
    raise PosejaxError(f'--boxes={path}: bbox {strange[0]} must be four numbers x, y, w, h.')
  kept = [(name, box) for name, box in boxes if name in found.sizes and min(box[2:]) > 1]
  if not kept:
    raise PosejaxError(
      f'--boxes={path}: none of its {len(boxes)} boxes is on a picture below {found.folder}. Do the '
      'file and the folder belong together?'
    )
  corners = np.array([[x, y, x + w - 1, y + h - 1] for _, (x, y, w, h) in kept], np.float32)
  people = UnlabelledPeople(found, skeleton, tuple(name for name, _ in kept), corners)
  skipped = len(boxes) - len(kept)
  return people, {'boxes on other pictures, or empty': skipped} if skipped else {}
