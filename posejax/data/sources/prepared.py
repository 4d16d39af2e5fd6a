"""A prepared data set as a source: random access to its pictures."""

import functools
import json
import logging
import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from posejax import labels as label_spaces
from posejax.data.builders import base, prepare
from posejax.data.formats import pictures
from posejax.data.sources.instances import Instances
from posejax.errors import PosejaxError
from posejax.types import Picture

_LOG = logging.getLogger(__name__)
SPLITS = {'train': 'train', 'eval': 'validation'}
_OF_PICTURES = ('record', 'image_names', 'image_ids')
# A table's columns are named as a person's values are.
_KEYS = {
  'box': 'boxes',
  'area': 'areas',
  'head_size': 'head_sizes',
  'annotation_id': 'annotation_ids',
}


class Prepared:
  """The pictures of one split of a prepared data set, in the order of its builder.

  Attributes:
    name: of the data set.
    label_space: people, with the skeleton of its annotations.
    fingerprint: of pictures and labels as they were prepared.
    annotations: path of a COCO-format file with everybody on the split's pictures, or None.
    category_ids: of the annotations that count in it.
    image_ids: the pictures' numbers in the authors' files.
    left_out: reason -> how many, when it was prepared.
  """

  category_ids = (1,)

  def __init__(
    self,
    name: str,
    split: str,
    manual_dir: str = '',
    data_dir: str = '',
    on_error: str = 'raise',
  ):
    """Open a split; see `prepare.prepare` for the arguments and errors, and for when it prepares."""
    if split not in SPLITS:
      raise PosejaxError(f"split must be 'train' or 'eval', got {split!r}.")
    part = SPLITS[split]
    builder = prepare.prepare(name, manual_dir, data_dir, on_error)
    folder = str(builder.data_path)
    with open(os.path.join(folder, base.PREPARATION), encoding='utf-8') as file:
      preparation = json.load(file)
    if manual_dir:
      _check_same(builder, manual_dir, preparation, folder)
    with np.load(os.path.join(folder, base.people_file(part))) as table:
      arrays = dict(table)
    self.name, self.label_space = name, label_spaces.people(builder.SKELETON)
    self.fingerprint = f'{name}-{builder.version}-{part}-{preparation["fingerprint"][part]}'
    self.left_out = preparation['left_out'][part]
    faults = sum(self.left_out.get(kind, 0) for kind in pictures.BROKEN)
    if faults:
      _LOG.warning('%s was prepared without %d missing or broken pictures.', folder, faults)
    annotations = os.path.join(folder, f'annotations-{part}.json')
    self.annotations = annotations if os.path.isfile(annotations) else None
    self.image_ids = tuple(arrays['image_ids'].tolist())
    self._image_names = arrays['image_names'].tolist()
    number = len(arrays['record'])
    columns = {'labels': np.zeros(number, np.int32), 'crowd': np.zeros(number, bool)}
    columns |= {_KEYS.get(k, k): v for k, v in arrays.items() if k not in _OF_PICTURES}
    self._instances = Instances.of(columns, arrays['record'], len(self.image_ids))
    self._pictures = builder.as_data_source(
      part, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
    )

  def __len__(self) -> int:
    return len(self.image_ids)

  def __getitem__(self, index: int) -> Picture:
    labels = self.labels(index)
    return {'image': _image(self._pictures[index]), **labels}

  def labels(self, index: int) -> Picture:
    """Return picture `index` without its image."""
    if not 0 <= index < len(self):
      raise IndexError(f'{self.fingerprint} has {len(self)} pictures, asked for {index}.')
    return {
      'image_name': self._image_names[index],
      'image_id': self.image_ids[index],
      **self._instances.on(index),
    }

  def people(self) -> tuple[np.ndarray, dict[str, int]]:
    """Return what `posejax.data.sources.people.find` does."""
    return self._instances.people()

  @functools.cached_property
  def _record_of(self) -> dict[int, int]:
    return {image_id: record for record, image_id in enumerate(self.image_ids)}

  def read_image(self, image_id: int) -> bytes:
    """Return the encoded picture of one of `image_ids`."""
    return _image(self._pictures[self._record_of[image_id]])


@functools.cache
def _picture_feature() -> tfds.features.FeaturesDict:
  return tfds.features.FeaturesDict({'image': tfds.features.Image()})


def _image(record: bytes) -> bytes:
  """Return the encoded picture of a record, the rest of which is not parsed: half the time."""
  undecoded = {'image': tfds.decode.SkipDecoding()}
  return _picture_feature().deserialize_example_np(record, decoders=undecoded)['image']


def _check_same(builder, manual_dir: str, preparation: dict[str, Any], folder: str) -> None:
  digest = base.annotations_digest(manual_dir, builder.annotation_files(manual_dir))
  if digest != preparation['annotations']:
    raise PosejaxError(
      f'{folder} was prepared from other annotations than those in {manual_dir}. Remove that folder to '
      'prepare again, set another config.data.data_dir to keep both, or leave config.data.manual_dir '
      'empty to use what is prepared.'
    )
