"""What the builders of people data sets share: records of pictures, a table of people, one pass.

A prepared data set is a folder of TFDS's: ArrayRecord files with one record per picture (its encoded
bytes and everybody on it, in the order of the authors' files, not shuffled), which
`tfds.builder_from_directory(folder).as_data_source()` reads. Beside them lie, for each split, a table
of people (`people-<split>.npz`) with the number of each one's picture, so that labels are looked up
without reading pictures; and `preparation.json`: the fingerprint, and what was left out.

One record per picture, not per person: COCO's 150,000 people with keypoints share 57,000 pictures, 9 GB
instead of 24. A random read costs the same, and the system's cache holds more of them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import concurrent.futures
import hashlib
import itertools
import json
import os
import shutil
from typing import Any, ClassVar, NamedTuple

from array_record.python import array_record_module
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer
from tensorflow_datasets.core import splits as splits_lib
from tqdm import tqdm

from posejax.data.formats import pictures
from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton

PREPARATION = 'preparation.json'
DOWNLOADED = 'downloaded'
_SHARD_BYTES = 1 << 30
_READERS = 4
_CHUNK = 16


class Picture(NamedTuple):
  """A picture file and who is on it.

  Attributes:
    path: of the file.
    people: size (h, w) of the picture -> one dict per person: `keypoints`, `visibility` (0 throughout
      where nobody labelled them), `box` (see `posejax.types`) and the builder's `EXTRAS`. Called once
      the file was read.
    image_id: number of the picture in the authors' files.
    image_hw: the size that the authors state; the file is broken where it has another.
    optional: whether a picture without people is left out.
  """

  path: str
  people: Callable[[tuple[int, int]], list[dict[str, Any]]]
  image_id: int = -1
  image_hw: tuple[int, int] | None = None
  optional: bool = True


class Split(NamedTuple):
  """The pictures of a split, in order, and how many there are."""

  pictures: Iterable[Picture]
  total: int


def people_file(split: str) -> str:
  """Return the name of a split's table of people."""
  return f'people-{split}.npz'


class PeopleBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """A data set of pictures with annotated people.

  Subclasses say where the authors' files are (`LAYOUT`, `find`) and what they mean (`splits`).

  Attributes:
    SKELETON: of the annotations.
    EXTRAS: names and types of what a person has beside keypoints, visibility and box; nobody is a
      `crowd` where that is not among them.
    LAYOUT: which files go where in the manual folder, for messages.
    HOMEPAGE: where they come from.
    DOWNLOADS: whether they can be downloaded without an agreement.
  """

  SKELETON: ClassVar[Skeleton]
  EXTRAS: ClassVar[Mapping[str, Any]] = {}
  LAYOUT: ClassVar[str]
  HOMEPAGE: ClassVar[str]
  DOWNLOADS: ClassVar[bool] = False

  def __init__(self, *, manual_dir: str = '', on_error: str = 'raise', **kwargs):
    """Make a builder.

    Args:
      manual_dir: folder with the authors' files; not needed to read what is prepared.
      on_error: 'raise' refuses pictures that are missing or broken, 'skip' leaves them out, counted.
      **kwargs: of `tfds.core.DatasetBuilder`, such as `data_dir`.
    """
    self._manual_dir, self._on_error = manual_dir, on_error
    super().__init__(file_format='array_record', **kwargs)

  def annotation_files(self, root: str) -> list[str]:
    """Return the paths of the files that say who is where, and raise PosejaxError if one is missing."""
    raise NotImplementedError

  def splits(self, root: str, faults: Mapping[str, pictures.Faults]) -> dict[str, Split]:
    """Return the pictures of 'train' and 'validation'; `faults` receives what is left out of each."""
    raise NotImplementedError

  def extra_files(self, root: str) -> dict[str, bytes]:
    """Return files to keep beside the records, by name."""
    del root
    return {}

  def download(self, dl_manager: tfds.download.DownloadManager) -> str:
    """Fetch the authors' files, link them below `DOWNLOADED` and return that; where `DOWNLOADS`."""
    raise NotImplementedError

  def _info(self) -> tfds.core.DatasetInfo:
    K = self.SKELETON.num_keypoints
    features = tfds.features
    return tfds.core.DatasetInfo(
      builder=self,
      description=(self.__doc__ or '').strip(),
      homepage=self.HOMEPAGE,
      features=features.FeaturesDict(
        {
          'image': features.Image(),
          'image_name': features.Text(),
          'image_id': features.Scalar(np.int64),
          'keypoints': features.Tensor(shape=(None, K, 2), dtype=np.float32),
          'visibility': features.Tensor(shape=(None, K), dtype=np.int32),
          'box': features.Tensor(shape=(None, 4), dtype=np.float32),
          **{
            name: features.Tensor(shape=(None,), dtype=dtype) for name, dtype in self.EXTRAS.items()
          },
        }
      ),
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    root = self._manual_dir or self.download(dl_manager)
    files = self.annotation_files(root)
    faults = {split: pictures.Faults() for split in ('train', 'validation')}
    self._preparation = {
      'annotations': annotations_digest(root, files),
      'fingerprint': {},
      'left_out': {},
    }
    for name, content in self.extra_files(root).items():
      with open(os.path.join(self.data_dir, name), 'wb') as file:
        file.write(content)
    return {
      name: self._generate_examples(name, split, faults[name])
      for name, split in self.splits(root, faults).items()
    }

  def _generate_examples(self, name, split, faults) -> Iterator[tuple[int, dict[str, Any]]]:
    digest = hashlib.sha256(f'{self.name}-{self.version}-{name}'.encode())
    table, anybody = _Table(self.EXTRAS), False
    bar = tqdm(
      split.pictures,
      f'{self.name}: {name}',
      split.total,
      unit=' pictures',
      leave=False,
      mininterval=1,
    )
    for picture, content in _read_ahead(bar, self._on_error == 'skip'):
      image_name = os.path.basename(picture.path)
      if isinstance(content, Exception):
        kind = 'missing pictures' if isinstance(content, OSError) else 'broken pictures'
        faults.add_broken(kind, str(content))
        continue
      data, image_hw = content
      people = picture.people(image_hw)
      if not people and picture.optional:
        faults.counts['pictures without people'] += 1
        continue
      digest.update(data)
      anybody |= any(np.any(person['visibility']) for person in people)
      record = table.add(image_name, picture.image_id, people, self.SKELETON.num_keypoints)
      yield len(table) - 1, {'image': data, 'image_name': image_name, **record}
    faults.settle(f'{self.name}, {name}', self._on_error, split.total)
    if not anybody:
      raise PosejaxError(
        f'{self.name}: split {name!r} has no picture with labelled people. Does the folder hold all '
        f'of it? {self.LAYOUT}'
      )
    arrays = table.arrays()
    for key in sorted(arrays):
      digest.update(key.encode() + arrays[key].tobytes())
    np.savez(os.path.join(self.data_dir, people_file(name)), **arrays)
    self._preparation['fingerprint'][name] = digest.hexdigest()[:16]
    self._preparation['left_out'][name] = dict(faults.counts)

  def _generate_splits(self, dl_manager, download_config):
    """Write the records in one pass, in order.

    TFDS's own writer keeps a split in memory to sort it, or above 1 GB in buckets, of which an
    ordered split fills only the first; and it compresses, which gains nothing on JPEGs and costs five
    times as much as writing them.
    """
    del download_config
    infos = [
      self._write_split(name, examples)
      for name, examples in self._split_generators(dl_manager).items()
    ]
    shutil.rmtree(os.path.join(self.data_dir, DOWNLOADED), ignore_errors=True)
    with open(os.path.join(self.data_dir, PREPARATION), 'w', encoding='utf-8') as file:
      json.dump(self._preparation, file, indent=1)
    return infos

  def _write_split(self, name: str, examples: Iterable) -> tfds.core.SplitInfo:
    features = self.info.features
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    template = self._get_filename_template(split_name=name)
    shard_lengths, total, size, writer = [], 0, 0, None
    try:
      for _, example in examples:
        record = serializer.serialize_example(features.encode_example(example))
        if writer is None or size + len(record) > _SHARD_BYTES:
          if writer is not None:
            writer.close()
          path = os.path.join(self.data_dir, _unfinished(name, len(shard_lengths)))
          writer = array_record_module.ArrayRecordWriter(path, 'group_size:1,uncompressed')
          shard_lengths.append(0)
          size = 0
        writer.write(record)
        shard_lengths[-1] += 1
        size += len(record)
        total += len(record)
    finally:
      if writer is not None:
        writer.close()
    # Only now is the number of shards known, which is part of their names.
    for shard in range(len(shard_lengths)):
      path = template.sharded_filepath(shard_index=shard, num_shards=len(shard_lengths))
      os.rename(os.path.join(self.data_dir, _unfinished(name, shard)), path)
    return splits_lib.SplitInfo(
      name=name, shard_lengths=shard_lengths, num_bytes=total, filename_template=template
    )


def annotations_digest(root: str, files: Sequence[str]) -> str:
  """Return a hash of annotation files and their places, to notice that they were edited."""
  digest = hashlib.sha256()
  for path in sorted(files):
    with open(path, 'rb') as file:
      content = hashlib.file_digest(file, 'sha256').hexdigest()
    digest.update(f'{os.path.relpath(path, root)}:{content}\n'.encode())
  return digest.hexdigest()[:16]


def _unfinished(split: str, shard: int) -> str:
  return f'{split}-{shard:05d}.unfinished'


def _read_ahead(items: Iterable[Picture], thorough: bool) -> Iterator[tuple[Picture, Any]]:
  """Yield pictures with their bytes and size, or with what is wrong; read on threads, in order."""
  items = iter(items)
  pending = deque()
  with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
    try:
      # Some at a time: handing a picture from thread to thread costs as much as reading it.
      while chunk := list(itertools.islice(items, _CHUNK)):
        pending.append((chunk, pool.submit(_load_all, chunk, thorough)))
        if len(pending) > _READERS:
          chunk, future = pending.popleft()
          yield from zip(chunk, future.result(), strict=True)
      while pending:
        chunk, future = pending.popleft()
        yield from zip(chunk, future.result(), strict=True)
    finally:
      pool.shutdown(wait=False, cancel_futures=True)


def _load_all(chunk: list[Picture], thorough: bool) -> list:
  return [_load(picture, thorough) for picture in chunk]


def _load(picture: Picture, thorough: bool) -> tuple[bytes, tuple[int, int]] | Exception:
  try:
    with open(picture.path, 'rb') as file:
      data = file.read()
    h, w = pictures.check_picture(data, picture.path, thorough)
    if picture.image_hw not in (None, (h, w)):
      stated = f'{picture.image_hw[1]}x{picture.image_hw[0]}'
      raise PosejaxError(f'{picture.path} is {w}x{h}; the annotations were made on {stated}.')
  except (OSError, PosejaxError) as error:
    return error
  return data, (h, w)


class _Table:
  """The people of a split, column by column."""

  def __init__(self, extras: Mapping[str, Any]):
    self._types = {
      'keypoints': np.float32,
      'visibility': np.int32,
      'box': np.float32,
      **extras,
    }
    self._columns = {name: [] for name in self._types}
    self._records, self._image_names, self._image_ids = [], [], []

  def __len__(self) -> int:
    return len(self._image_names)

  def add(
    self, image_name: str, image_id: int, people: list[dict[str, Any]], num_keypoints: int
  ) -> dict[str, Any]:
    """Add a picture's people and return their part of its record."""
    shapes = {
      'keypoints': (-1, num_keypoints, 2),
      'visibility': (-1, num_keypoints),
      'box': (-1, 4),
    }
    self._records += [len(self._image_names)] * len(people)
    self._image_names.append(image_name)
    self._image_ids.append(image_id)
    record = {'image_id': image_id}
    for name, dtype in self._types.items():
      values = [person[name] for person in people]
      self._columns[name] += values
      record[name] = np.array(values, dtype).reshape(shapes.get(name, (-1,)))
    return record

  def arrays(self) -> dict[str, np.ndarray]:
    """Return the columns, with the number of each person's record, and each record's picture."""
    return {
      'record': np.array(self._records, np.int64),
      'image_names': np.array(self._image_names, np.str_),
      'image_ids': np.array(self._image_ids, np.int64),
      **{name: np.array(values, self._types[name]) for name, values in self._columns.items()},
    }
