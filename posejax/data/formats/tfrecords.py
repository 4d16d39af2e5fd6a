"""TFRecords of people, for input pipelines that are not this project's.

One `tf.train.Example` per person. `parse` reads one back with the features below; `description` is the
same as text, written beside the records.
"""

from collections.abc import Iterable
import json
import os
from typing import Any

from posejax.errors import PosejaxError
from posejax.host_tensorflow import tf
from posejax.skeletons import Skeleton

FEATURES = {
  'image/encoded': (bytes, 1, "the picture's file: JPEG or PNG"),
  'image/format': (bytes, 1, "'jpeg' or 'png'"),
  'image/height': (int, 1, 'pixels'),
  'image/width': (int, 1, 'pixels'),
  'image/name': (bytes, 1, 'file name in the data set, or empty'),
  'image/id': (bytes, 1, "the picture's number in the data set as text, or empty"),
  'person/id': (bytes, 1, "the annotation's number as text"),
  'person/keypoints': (float, '2 K', 'x1, y1, x2, y2, …: pixels, centres at whole numbers'),
  'person/visibility': (int, 'K', '0 not labelled, 1 labelled and hidden, 2 labelled and visible'),
  'person/box': (float, 4, 'x1, y1, x2, y2: pixels, the outermost ones of the person'),
  'person/area': (float, 1, 'square pixels, what the object keypoint similarity divides by'),
  'person/head_size': (float, 1, 'pixels, what PCKh divides by; 0 where unknown'),
}
"""Name -> type, how many values (K keypoints), meaning."""
_TYPES = {bytes: 'bytes', int: 'int64', float: 'float32'}
SHARD_BYTES = 128 << 20


def write(
  folder: str, split: str, skeleton: Skeleton, records: Iterable[dict[str, Any]]
) -> tuple[list[str], int]:
  """Write records into files of about 128 MB, and `<split>.json`, which says what they hold.

  Args:
    folder: exists; must not hold records of that split yet.
    split: the files are `<split>-00000-of-00003.tfrecord` and so on.
    skeleton: of the keypoints.
    records: feature -> value; see `FEATURES`.

  Returns:
    `(paths, number of records)`.

  Raises:
    PosejaxError: the folder holds records of the split.
  """
  old = [name for name in os.listdir(folder) if name.startswith(f'{split}-')]
  if old:
    raise PosejaxError(
      f'{os.path.join(folder, old[0])} exists. Remove it, or choose another --out.'
    )
  unfinished, number, size, writer = [], 0, 0, None
  try:
    for record in records:
      data = serialize(record)
      if writer is None or size + len(data) > SHARD_BYTES:
        if writer is not None:
          writer.close()
        unfinished.append(os.path.join(folder, f'{split}-{len(unfinished):05d}.unfinished'))
        writer, size = tf.io.TFRecordWriter(unfinished[-1]), 0
      writer.write(data)
      number += 1
      size += len(data)
  except BaseException:
    for path in unfinished:
      os.remove(path)
    raise
  finally:
    if writer is not None:
      writer.close()
  paths = []
  for shard, path in enumerate(unfinished):
    name = f'{split}-{shard:05d}-of-{len(unfinished):05d}.tfrecord'
    paths.append(os.path.join(folder, name))
    os.rename(path, paths[-1])
  with open(os.path.join(folder, f'{split}.json'), 'w', encoding='utf-8') as file:
    json.dump(description(skeleton, number), file, indent=1)
  return [*paths, file.name], number


def serialize(record: dict[str, Any]) -> bytes:
  """Return a record as the bytes of a `tf.train.Example`."""
  features = {}
  for name, (kind, length, _) in FEATURES.items():
    values = [record[name]] if length == 1 else record[name].tolist()
    if kind is bytes:
      values = [v.encode() if isinstance(v, str) else v for v in values]
      features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    elif kind is int:
      features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    else:
      features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
  example = tf.train.Example(features=tf.train.Features(feature=features))
  return example.SerializeToString()


def parse(data: tf.Tensor, num_keypoints: int) -> dict[str, tf.Tensor]:
  """Return the features of one serialized record, in a tf.data `map`."""
  types = {bytes: tf.string, int: tf.int64, float: tf.float32}
  lengths = {'K': [num_keypoints], '2 K': [num_keypoints, 2], 1: [], 4: [4]}
  features = {
    name: tf.io.FixedLenFeature(lengths[length], types[kind])
    for name, (kind, length, _) in FEATURES.items()
  }
  return tf.io.parse_single_example(data, features)


def description(skeleton: Skeleton, number: int) -> dict[str, Any]:
  """Return what the records hold: how many there are, the keypoints, and each feature."""
  return {
    'records': number,
    'skeleton': skeleton.name,
    'keypoints': list(skeleton.keypoints),
    'flip_pairs': [list(pair) for pair in skeleton.flip_pairs],
    'features': {
      name: {'type': _TYPES[kind], 'values': length, 'meaning': meaning}
      for name, (kind, length, meaning) in FEATURES.items()
    },
  }
