"""MPII Human Pose, from its authors' MATLAB file or the JSON files of the HRNet project."""

from collections.abc import Iterable, Sequence
import functools
import json
import os
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from posejax import skeletons
from posejax.data.builders import base, matlab
from posejax.data.formats import coco_read
from posejax.errors import PosejaxError
from posejax.geometry import boxes

_K = skeletons.MPII.num_keypoints
_MAT = 'mpii_human_pose_v1_u12_1.mat'
_JSON = {'train': 'annot/train.json', 'validation': 'annot/valid.json'}
_HEADS = 'annot/gt_valid.mat'
_VALIDATION_SHARE = 10
# A person of scale 1 is 200 pixels high, and its place is 15 pixels (of scale 1) above the middle.
# Source: `_get_db` of microsoft/human-pose-estimation.pytorch lib/dataset/mpii.py.
_PIXELS_PER_SCALE = 200
_DOWN_PER_SCALE = 15


class PosejaxMpii(base.PeopleBuilder):
  """MPII Human Pose: people at 410 activities, with their place, scale and (in part) head box.

  The box is the square that the published crops start from: `200 * scale` pixels wide, its centre
  `15 * scale` below the annotated place; without a place, the extent of the labelled keypoints.
  Pixels count from 0 here, from 1 in the files. `head_size` is 0.6 of the head box's diagonal, 0
  where there is no head box; `annotation_id` the person's number in the file.

  From `annot/train.json` and `annot/valid.json` come the splits of published results (2,958 people to
  validate on), which do not say whether a labelled keypoint is hidden; head boxes of 'validation'
  come from `annot/gt_valid.mat`. From the authors' MATLAB file come the labels of its training
  pictures with hidden keypoints and head boxes marked; its 'validation' is the last tenth of those
  pictures, which is **not** the split of published results.

  Source: Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR
  2014; human-pose.mpi-inf.mpg.de. Tompson et al. (CVPR 2015) chose the validation pictures.
  """

  VERSION = tfds.core.Version('1.0.0')
  SKELETON = skeletons.MPII
  EXTRAS: ClassVar = {'annotation_id': np.int64, 'head_size': np.float32}
  LAYOUT = (
    f'images/*.jpg, and either {_MAT} (of the authors) or annot/train.json and annot/valid.json (of '
    'the HRNet project; with annot/gt_valid.mat for PCKh)'
  )
  HOMEPAGE = 'http://human-pose.mpi-inf.mpg.de/#download'

  def annotation_files(self, root):
    """Return the JSON files where there are any, else the MATLAB file."""
    if not os.path.isdir(os.path.join(root, 'images')):
      raise PosejaxError(
        f'{os.path.join(root, "images")} is missing. {root} must hold {self.LAYOUT}.'
      )
    files = [os.path.join(root, name) for name in _JSON.values()]
    if any(map(os.path.isfile, files)):
      missing = [path for path in files if not os.path.isfile(path)]
      if missing:
        raise PosejaxError(f'{missing[0]} is missing. {root} must hold {self.LAYOUT}.')
      heads = os.path.join(root, _HEADS)
      return files + [heads] * os.path.isfile(heads)
    mat = os.path.join(root, _MAT)
    if not os.path.isfile(mat):
      raise PosejaxError(f'{root} must hold {self.LAYOUT}.')
    return [mat]

  def splits(self, root, faults):
    """Return the pictures in the order in which the files name them first."""
    files = self.annotation_files(root)
    if files[0].endswith('.mat'):
      entries = list(_mat_people(files[0]))
      names = sorted({name for name, _ in entries})
      cut = len(names) - max(1, len(names) // _VALIDATION_SHARE)
      held_out = set(names[cut:])
      parts = {
        'train': [entry for entry in entries if entry[0] not in held_out],
        'validation': [entry for entry in entries if entry[0] in held_out],
      }
    else:
      parts = {split: list(_json_people(os.path.join(root, name))) for split, name in _JSON.items()}
      if len(files) > 2:
        _add_head_sizes(parts['validation'], files[2])
    return {split: _split(root, entries, faults[split]) for split, entries in parts.items()}


def _split(root: str, entries: Sequence[tuple[str, dict]], faults) -> base.Split:
  by_name = {}
  for name, person in entries:
    by_name.setdefault(name, []).append(person)

  def within(people, image_hw):
    placed = []
    for person in people:
      visibility = coco_read.drop_outside(
        person['keypoints'], person['visibility'], image_hw, faults
      )
      box = person['box']
      if box is None:
        box = boxes.box_from_keypoints(person['keypoints'], visibility)
      if not visibility.any() or not (box[2:] - box[:2]).max() > 0:
        faults.counts['people without labelled keypoints'] += 1
        continue
      placed.append({**person, 'visibility': visibility, 'box': box})
    return placed

  return base.Split(
    [
      base.Picture(os.path.join(root, 'images', name), functools.partial(within, people), number)
      for number, (name, people) in enumerate(by_name.items())
    ],
    len(by_name),
  )


def person_box(place: Sequence[float], scale: float) -> np.ndarray | None:
  """Return the box xyxy of an annotated place (x, y) and scale, counted from 0; None without them."""
  if not scale > 0 or place[0] == -1:
    return None
  center = np.array([place[0], place[1] + _DOWN_PER_SCALE * scale]) - 1
  half = _PIXELS_PER_SCALE * scale / 2
  return np.concatenate([center - half, center + half])


def _json_people(path: str) -> Iterable[tuple[str, dict[str, Any]]]:
  """Yield (picture's name, person)."""
  with open(path, 'rb') as file:
    try:
      entries = json.load(file)
    except ValueError as error:
      raise PosejaxError(f'{path} is not JSON: {error}.') from None
  form = '{"image", "joints": 16 [x, y], "joints_vis": 16 of 0 or 1, "center": [x, y], "scale"}'
  if not isinstance(entries, list):
    raise PosejaxError(f'{path} must hold a list of {form}.')
  for number, entry in enumerate(entries):
    try:
      joints = np.array(entry['joints'], np.float64).reshape(_K, 2)
      labelled = np.array(entry['joints_vis'], np.float64).reshape(_K) > 0
      box = person_box([float(v) for v in entry['center']], float(entry['scale']))
      name = str(entry['image'])
    except (KeyError, TypeError, ValueError):
      raise PosejaxError(f'{path}: entry {number} is {entry!r:.200}; expected {form}.') from None
    yield (
      name,
      {
        'keypoints': (joints - 1).astype(np.float32),
        'visibility': np.where(labelled, 2, 0).astype(np.int32),
        'box': box,
        'annotation_id': number,
        'head_size': 0.0,
      },
    )


def _add_head_sizes(entries: Sequence[tuple[str, dict]], path: str) -> None:
  heads = matlab.load(path, 'headboxes_src')
  if heads.shape != (2, 2, len(entries)):
    raise PosejaxError(
      f'{path}: headboxes_src is {"x".join(map(str, heads.shape))}, expected 2x2x{len(entries)}, one '
      'per person of annot/valid.json. Do the two files belong together?'
    )
  sizes = boxes.head_size(np.concatenate([heads[0], heads[1]]).T)
  for (_, person), size in zip(entries, sizes, strict=True):
    person['head_size'] = size


def _mat_people(path: str) -> Iterable[tuple[str, dict[str, Any]]]:
  """Yield (picture's name, person) of the training pictures of the authors' file."""
  release = matlab.load(path, 'RELEASE', struct_as_record=False, squeeze_me=True)
  if not hasattr(release, 'annolist') or not hasattr(release, 'img_train'):
    raise PosejaxError(f'{path}: RELEASE has no annolist and img_train. Is it {_MAT}?')
  number = 0
  pictures = np.atleast_1d(release.annolist)
  for picture, is_train in zip(pictures, np.atleast_1d(release.img_train), strict=True):
    if not is_train:
      continue  # nobody is labelled on test pictures
    for rect in np.atleast_1d(picture.annorect):
      points = np.atleast_1d(getattr(getattr(rect, 'annopoints', None), 'point', []))
      if len(points):
        yield picture.image.name, _mat_person(rect, points, number, path)
        number += 1


def _mat_person(rect: Any, points: np.ndarray, number: int, path: str) -> dict[str, Any]:
  keypoints = np.zeros((_K, 2), np.float32)
  visibility = np.zeros(_K, np.int32)
  for point in points:
    k = int(point.id)
    if not 0 <= k < _K:
      raise PosejaxError(f'{path}: a joint has id {k}, expected 0 … {_K - 1}.')
    keypoints[k] = point.x - 1, point.y - 1
    # Neck and head top come without the flag: they are corners of the head's box.
    visibility[k] = 1 if str(getattr(point, 'is_visible', '1')) == '0' else 2
  place, scale = getattr(rect, 'objpos', None), getattr(rect, 'scale', None)
  box = None
  if hasattr(place, 'x') and np.size(scale) == 1:
    box = person_box((place.x, place.y), float(scale))
  head_size = 0.0
  corners = [getattr(rect, name, None) for name in ('x1', 'y1', 'x2', 'y2')]
  if all(np.size(c) == 1 and c is not None for c in corners):
    head_size = float(boxes.head_size([float(c) for c in corners]))
  return {
    'keypoints': keypoints,
    'visibility': visibility,
    'box': box,
    'annotation_id': number,
    'head_size': head_size,
  }
