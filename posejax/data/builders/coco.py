"""COCO 2017 person keypoints."""

import json
import os
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from posejax import skeletons
from posejax.data.builders import base
from posejax.data.formats import coco_read
from posejax.errors import PosejaxError

_YEAR = '2017'
_FOLDERS = {'train': 'train', 'validation': 'val'}
_URLS = {
  'train': 'http://images.cocodataset.org/zips/train2017.zip',
  'val': 'http://images.cocodataset.org/zips/val2017.zip',
  'annotations': 'http://images.cocodataset.org/annotations/annotations_trainval2017.zip',
}
_PERSON = 1


class PosejaxCoco(base.PeopleBuilder):
  """COCO 2017 keypoints: the pictures of train2017 and val2017 and the people on them.

  Crowd regions, people without labelled keypoints and pictures without people are there too. The
  annotations of the validation pictures are kept beside the records as `annotations-validation.json`
  (without outlines), for pycocotools.

  Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; cocodataset.org.
  """

  VERSION = tfds.core.Version('2.0.0')
  RELEASE_NOTES: ClassVar = {
    '2.0.0': 'With crowds, people without labelled keypoints, and pictures without people.'
  }
  SKELETON = skeletons.COCO
  EXTRAS: ClassVar = {'annotation_id': np.int64, 'area': np.float64, 'crowd': np.bool_}
  LAYOUT = (
    'annotations/person_keypoints_train2017.json, annotations/person_keypoints_val2017.json, '
    'train2017/*.jpg and val2017/*.jpg'
  )
  HOMEPAGE = 'https://cocodataset.org/#download'
  DOWNLOADS = True

  def annotation_files(self, root):
    """Return the two keypoint files."""
    files = [_annotations(root, split) for split in _FOLDERS]
    for path in (*files, *(_pictures(root, split) for split in _FOLDERS)):
      if not os.path.exists(path):
        raise PosejaxError(f'{path} is missing. {root} must hold {self.LAYOUT}.')
    return files

  def splits(self, root, faults):
    """Return the pictures in the order of the files' images."""
    return {split: _split(root, split, faults[split]) for split in _FOLDERS}

  def extra_files(self, root):
    """Keep everybody annotated on validation pictures, for pycocotools."""
    dataset = coco_read.read(_annotations(root, 'validation'))
    for annotation in dataset['annotations']:
      annotation.pop('segmentation', None)
    kept = {key: dataset[key] for key in ('images', 'annotations', 'categories')}
    return {'annotations-validation.json': json.dumps(kept).encode()}

  def download(self, dl_manager):
    """Fetch 19 GB, and join the three archives in one folder by links."""
    folders = dl_manager.download_and_extract(_URLS)
    root = os.path.join(self.data_dir, base.DOWNLOADED)
    os.makedirs(root)
    for archive, inside in (
      ('train', f'train{_YEAR}'),
      ('val', f'val{_YEAR}'),
      ('annotations', 'annotations'),
    ):
      os.symlink(os.path.join(folders[archive], inside), os.path.join(root, inside))
    return root


def _annotations(root: str, split: str) -> str:
  return os.path.join(root, 'annotations', f'person_keypoints_{_FOLDERS[split]}{_YEAR}.json')


def _pictures(root: str, split: str) -> str:
  return os.path.join(root, f'{_FOLDERS[split]}{_YEAR}')


def _split(root: str, split: str, faults) -> base.Split:
  path = _annotations(root, split)
  dataset = coco_read.read(path)
  category = coco_read.keypoint_category(dataset, path)
  if tuple(category['keypoints']) != skeletons.COCO.keypoints:
    raise PosejaxError(
      f'{path} has the keypoints {category["keypoints"]}, not those of COCO. Read such a file with '
      'config.data.annotations and config.data.images.'
    )
  people = coco_read.people_by_image(
    dataset, (_PERSON,), skeletons.COCO.num_keypoints, path, faults
  )
  return base.Split(
    [
      base.Picture(
        os.path.join(_pictures(root, split), image['file_name']),
        _constant([vars(person) for person in people.get(image['id'], ())]),
        image['id'],
        (image['height'], image['width']),
        optional=False,
      )
      for image in dataset['images']
    ],
    len(dataset['images']),
  )


def _constant(people: list[dict]):
  return lambda image_hw: people
