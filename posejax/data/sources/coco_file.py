"""Any COCO-format file as a source, read directly: nothing is prepared or copied."""

import concurrent.futures
import hashlib
import itertools
import os
from typing import Any

import numpy as np

from posejax.data.formats import coco_read, own_skeleton, pictures
from posejax.data.sources.instances import Instances
from posejax.data.sources.people import left_out
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.skeletons import Skeleton
from posejax.types import Picture

_HELD_OUT = 0.1
_FINGERPRINTED = 200  # pictures at least, of more


class CocoFile:
  """The pictures of a COCO-format file and its folder, with everything annotated on them.

  Every category is a class, in the file's order. Where one names its keypoints the pictures have those
  too, not labelled on things of the others; a file of boxes alone has no skeleton.

  The order is that of the file's images, and of its annotations within an image. Pictures are read
  when they are asked for.

  What a picture lacks shows at one of two times. Missing files are found here. With
  `on_error='raise'` a broken one raises when it is read, naming it; with 'skip' every picture is read
  and decoded (at an eighth of its size, on threads) once here, and broken ones are left out, so that
  the pictures are the same in every epoch and nothing is substituted later.

  Attributes:
    name: 'coco_file'.
    label_space: the categories, and the skeleton of those with keypoints.
    keypoint_classes: names of the classes with keypoints.
    fingerprint: changes with the annotation file, some of the pictures, the part taken, the skeleton
      and what was left out.
    annotations: path of the file.
    category_ids: by label; need not be contiguous.
    image_ids: of the pictures.
    left_out: reason -> how many.
  """

  name = 'coco_file'

  def __init__(
    self,
    annotations: str,
    images: str,
    skeleton: Skeleton | dict[str, Any] | None = None,
    part: str | None = None,
    on_error: str = 'raise',
  ):
    """Read the annotations.

    Args:
      annotations: path of the file.
      images: folder that its `file_name`s are relative to.
      skeleton: a known skeleton, the content of a user's skeleton file
        (`posejax.data.formats.own_skeleton`), or None for what the file says, if that is anything.
      part: 'train' or 'eval' holds out about a tenth of the pictures, by a hash of their id; all where
        None.
      on_error: 'raise' or 'skip', for pictures that are missing or broken.

    Raises:
      PosejaxError: file or folder is missing or inconsistent.
    """
    faults = pictures.Faults()
    dataset, everybody, skeleton = _read_annotations(annotations, skeleton, faults)
    categories, names = dataset['categories'], coco_read.class_names(dataset)
    self.annotations, self.category_ids = annotations, tuple(c['id'] for c in categories)
    self.label_space = LabelSpace(names, skeleton, self.category_ids)
    self.keypoint_classes = tuple(
      name for name, c in zip(names, categories, strict=True) if c.get('keypoints')
    )
    kept = _part([image['id'] for image in dataset['images']], part, annotations)
    wanted = [image for image in dataset['images'] if image['id'] in kept]
    present = _present(wanted, images, on_error == 'skip', faults)
    faults.settle(annotations, on_error, len(wanted))
    self.left_out = dict(faults.counts)

    self._folder, self._images = images, present
    self.image_ids = tuple(present)
    found = [(number, p) for number, i in enumerate(present) for p in everybody.get(i, ())]
    columns = _columns([person for _, person in found], skeleton and skeleton.num_keypoints)
    self._instances = Instances.of(columns, np.array([n for n, _ in found], int), len(present))
    with open(annotations, 'rb') as file:
      digest = hashlib.file_digest(file, 'sha256')
    digest.update(repr((part, skeleton, sorted(map(str, present)))).encode())
    # Some pictures tell two folders apart; all of a large one would take minutes.
    for image in [*present.values()][:: max(1, len(present) // _FINGERPRINTED)]:
      digest.update(_bytes(image, images))
    self.fingerprint = f'{self.name}-{digest.hexdigest()[:16]}'

  def __len__(self) -> int:
    return len(self.image_ids)

  def __getitem__(self, index: int) -> Picture:
    labels = self.labels(index)
    return {'image': self.read_image(labels['image_id']), **labels}

  def labels(self, index: int) -> Picture:
    """Return picture `index` without its image."""
    if not 0 <= index < len(self):
      raise IndexError(f'{self.annotations} has {len(self)} pictures, asked for {index}.')
    image_id = self.image_ids[index]
    name = self._images[image_id]['file_name']
    return {'image_name': name, 'image_id': image_id, **self._instances.on(index)}

  def people(self) -> tuple[np.ndarray, dict[str, int]]:
    """Return what `posejax.data.sources.people.find` does; things without keypoints are not counted."""
    figures = [self.label_space.class_names.index(name) for name in self.keypoint_classes]
    return self._instances.people(figures)

  def read_image(self, image_id: Any) -> bytes:
    """Return the encoded picture of an id of the file.

    Raises:
      PosejaxError: its size is not what the annotations say.
      OSError: it is gone, or not to be read.
    """
    return _read(self._images[image_id], self._folder)


def has_keypoints(annotations: str) -> bool:
  """Return whether a COCO-format file names keypoints."""
  return _names_keypoints(coco_read.read(annotations))


def read_skeleton(annotations: str, skeleton: Skeleton | dict[str, Any] | None) -> Skeleton | None:
  """Return the skeleton of a `CocoFile` of these annotations, without looking for pictures."""
  return _read_annotations(annotations, skeleton, pictures.Faults())[-1]


def _read_annotations(
  path: str, skeleton: Skeleton | dict[str, Any] | None, faults: pictures.Faults
) -> tuple[dict, dict[Any, list[coco_read.Person]], Skeleton | None]:
  """Return the file's content, what is on its images, and the skeleton of those with keypoints."""
  dataset = coco_read.read(path)
  ids, category = tuple(c['id'] for c in dataset['categories']), None
  if skeleton is not None or _names_keypoints(dataset):
    category = coco_read.keypoint_category(dataset, path)
  K = len(category['keypoints']) if category else 0
  people = coco_read.people_by_image(dataset, ids, K, path, faults)
  if category is None:
    return dataset, people, None
  everybody = [person for group in people.values() for person in group]
  unusable = np.any(list(left_out(_columns(everybody, K)).values()), axis=0)
  examples = [person for person, out in zip(everybody, unusable, strict=True) if not out]
  return dataset, people, own_skeleton.resolve(category, skeleton, examples, path)


def _names_keypoints(dataset: dict[str, Any]) -> bool:
  return any(category.get('keypoints') for category in dataset['categories'])


def _columns(people: list[coco_read.Person], num_keypoints: int | None) -> Picture:
  """Return people as the arrays of one picture, those of keypoints where there are any."""
  ids = np.empty(len(people), object)  # as the file writes them
  for number, person in enumerate(people):
    ids[number] = person.annotation_id
  columns = {
    'boxes': np.array([p.box for p in people], np.float32).reshape(-1, 4),
    'labels': np.array([p.label for p in people], np.int32),
    'crowd': np.array([p.crowd for p in people], bool),
    'areas': np.array([p.area for p in people], np.float64),
    'annotation_ids': ids,
  }
  if num_keypoints:
    shape = (-1, num_keypoints)
    keypoints = np.array([p.keypoints for p in people], np.float32).reshape(*shape, 2)
    visibility = np.array([p.visibility for p in people], np.int32).reshape(shape)
    columns |= {'keypoints': keypoints, 'visibility': visibility}
  return columns


def _part(image_ids: list, part: str | None, path: str) -> set:
  """Return the ids of 'train', 'eval' or both."""
  if part is None:
    return set(image_ids)
  if len(image_ids) < 2:
    raise PosejaxError(
      f'{path} lists {len(image_ids)} pictures, too few to hold some out; set '
      'config.data.eval.annotations.'
    )
  # By each picture's own hash, so that adding pictures moves no other from one part to the other.
  place = {
    i: int.from_bytes(hashlib.sha256(str(i).encode()).digest()[:8], 'big') for i in image_ids
  }
  held_out = {i for i in image_ids if place[i] < _HELD_OUT * 2**64}
  held_out = held_out or {min(place, key=place.get)}
  if len(held_out) == len(place):
    held_out -= {max(place, key=place.get)}
  return held_out if part == 'eval' else set(image_ids) - held_out


def _present(
  images: list[dict[str, Any]], folder: str, check: bool, faults: pictures.Faults
) -> dict[Any, dict[str, Any]]:
  """Return `{id: image}` of the pictures that there are, and that can be decoded where `check`."""
  if not os.path.isdir(folder):
    raise PosejaxError(
      f'config.data.images={folder!r} is not a folder; set it to where the file names of the '
      'annotations start.'
    )
  files = pictures.files_below(folder)
  present = []
  for image in images:
    if os.path.normpath(image['file_name']).replace(os.sep, '/') in files:
      present.append(image)
    else:
      faults.add_broken(
        'missing pictures', f'{os.path.join(folder, image["file_name"])}: no such file'
      )
  if check:
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      messages = list(pool.map(_fault, present, itertools.repeat(folder), chunksize=16))
    for message in filter(None, messages):
      faults.add_broken('broken pictures', message)
    present = [image for image, message in zip(present, messages, strict=True) if message is None]
  return {image['id']: image for image in present}


def _fault(image: dict[str, Any], folder: str) -> str | None:
  try:
    pictures.check_picture(_read(image, folder), image['file_name'], thorough=True)
  except (PosejaxError, OSError) as error:
    return str(error)
  return None


def _bytes(image: dict[str, Any], folder: str) -> bytes:
  with open(os.path.join(folder, image['file_name']), 'rb') as file:
    return file.read()


def _read(image: dict[str, Any], folder: str) -> bytes:
  path, data = os.path.join(folder, image['file_name']), _bytes(image, folder)
  if image.get('height'):
    h, w = pictures.picture_size(data, path)
    if (h, w) != (image['height'], image['width']):
      raise PosejaxError(
        f'{path} is {w}x{h}; the annotations were made on {image["width"]}x{image["height"]}. '
        'Fetch the picture they belong to.'
      )
  return data
