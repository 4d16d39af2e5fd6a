import dataclasses
import json
import os

import cv2
import numpy as np
import pytest

from posejax import labels, skeletons
from posejax.data.formats import coco_write, decode, export, own_skeleton, tfrecords
from posejax.data.sources import First, coco_file
from posejax.data.sources.classes import OnlyClasses
from posejax.data.sources.people import People
from posejax.data.synthetic.people import SyntheticPeople
from posejax.data.synthetic.scenes import SyntheticScenes
from posejax.errors import PosejaxError
from posejax.host_tensorflow import tf
from posejax.skeletons import Skeleton
from tests.data import layouts

SIGN = Skeleton(
  name='sign',
  keypoints=('a', 'b', 'c', 'd'),
  flip_pairs=(('a', 'b'), ('c', 'd')),
  limbs=(('a', 'b'), ('b', 'd')),
  sigmas=(0.05, 0.06, 0.07, 0.08),
  upper_body=('a', 'b'),
  torso=(('a', 'd'),),
)


class Listed:
  """A source of given examples."""

  def __init__(self, examples, skeleton=SIGN):
    self.examples, self.label_space = examples, labels.people(skeleton)
    self.name, self.fingerprint = 'listed', 'listed-1'

  def __len__(self):
    return len(self.examples)

  def __getitem__(self, index):
    return self.examples[index]

  def labels(self, index):
    return {key: value for key, value in self.examples[index].items() if key != 'image'}


def person(image, seed=0, hw=layouts.HW, **more):
  rng = np.random.default_rng(seed)
  h, w = hw
  low = rng.uniform(0, (w / 3, h / 3))
  box = np.array([*low, *(low + rng.uniform(4, (w / 2, h / 2)))], np.float32)
  keypoints = rng.uniform(box[:2], box[2:], (4, 2)).astype(np.float32)
  return {
    'image': image,
    'keypoints': keypoints,
    'visibility': np.array([2, 1, 2, 0], np.int32),
    'box': box,
    **more,
  }


def same_people(source, other):
  assert len(source) == len(other) > 0
  for i in range(len(source)):
    one, two = source[i], other[i]
    labelled = one['visibility'] > 0
    np.testing.assert_array_equal(one['visibility'], two['visibility'])
    np.testing.assert_array_equal(one['keypoints'][labelled], two['keypoints'][labelled])
    np.testing.assert_allclose(one['box'], two['box'], rtol=1e-6)
    if 'area' in one:
      assert one['area'] == two['area']
    np.testing.assert_array_equal(
      decode.decode_image(one['image']), decode.decode_image(two['image'])
    )


def test_drawn_people_read_back_from_coco_with_identical_keypoints(tmp_path):
  source = People(SyntheticPeople('eval', 0, 4))
  written = export.to_coco(source, str(tmp_path))
  assert (written['annotations'], written['pictures']) == (4, 4)
  annotations, images = written['files']
  again = People(coco_file.CocoFile(annotations, images))
  assert again.label_space.skeleton is skeletons.COCO
  same_people(source, again)


@pytest.mark.parametrize('names', [None, ('ball', 'cone'), ('cone', 'person')])
def test_pictures_read_back_with_everything_on_them(tmp_path, names):
  source = First(SyntheticScenes('eval', 0), 12)
  source = OnlyClasses(source, names) if names else source
  written = export.to_coco(source, str(tmp_path))
  assert written['pictures'] == 12
  again = coco_file.CocoFile(*written['files'])
  figures = 'person' in source.label_space.class_names
  assert again.label_space.class_names == source.label_space.class_names
  assert again.label_space.skeleton is (skeletons.COCO if figures else None)
  assert again.keypoint_classes == ('person',) * figures
  number, crowds = 0, 0
  for i in range(12):
    one, two = source[i], again[i]
    np.testing.assert_array_equal(one['image'], decode.decode_image(two['image']))
    np.testing.assert_allclose(one['boxes'], two['boxes'], atol=1e-4)
    for key in ('labels', 'crowd'):
      np.testing.assert_array_equal(one[key], two[key])
    number, crowds = number + len(one['boxes']), crowds + one['crowd'].sum()
    if figures:
      seen = one['visibility'] * ~one['crowd'][:, None]  # nobody of a crowd has keypoints in a file
      np.testing.assert_array_equal(seen, two['visibility'])
      np.testing.assert_array_equal(one['keypoints'][seen > 0], two['keypoints'][seen > 0])
  assert written['annotations'] == number > crowds


def test_numbers_of_categories_stay(tmp_path):
  layouts.write(tmp_path / 'things.json', layouts.instances_dataset())
  layouts.write_pictures(tmp_path / 'images', layouts.instances_dataset())
  source = coco_file.CocoFile(str(tmp_path / 'things.json'), str(tmp_path / 'images'))
  (tmp_path / 'out').mkdir()
  again = coco_file.CocoFile(*export.to_coco(source, str(tmp_path / 'out'))['files'])
  assert (again.category_ids, again.image_ids) == ((7, 90, 3), (1, 2, 3, 4, 5))
  for i in range(5):
    one, two = source.labels(i), again.labels(i)
    assert one.keys() == two.keys()
    for key in ('boxes', 'labels', 'crowd', 'areas', 'annotation_ids'):
      np.testing.assert_array_equal(one[key], two[key])


def test_a_file_reads_back_with_its_pictures_bytes_and_numbers(tmp_path):
  dataset = layouts.coco_dataset(3)
  dataset['images'][1]['file_name'] = 'day/two.jpeg'
  layouts.write(tmp_path / 'people.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  source = People(coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images')))
  out = tmp_path / 'out'
  out.mkdir()
  seen = []
  written = export.to_coco(source, str(out), lambda items: [seen.append(i) or i for i in items])
  assert seen == list(range(6))
  assert (written['annotations'], written['pictures']) == (6, 3)
  again = People(coco_file.CocoFile(*written['files']))
  same_people(source, again)
  assert again.image_ids == source.image_ids
  for i in range(6):
    one, two = source[i], again[i]
    for key in ('annotation_id', 'image_id', 'image_name', 'image'):
      assert one[key] == two[key]
  with pytest.raises(PosejaxError, match='annotations.json exists'):
    export.to_coco(source, str(out))


def test_own_skeletons_come_along(tmp_path):
  source = Listed([person(layouts.jpeg(n), n, image_name=f'{n}.jpg') for n in range(3)])
  annotations, skeleton, images = export.to_coco(source, str(tmp_path))['files']
  again = People(coco_file.CocoFile(annotations, images, own_skeleton.read(skeleton)))
  assert dataclasses.asdict(again.label_space.skeleton) == dataclasses.asdict(SIGN)
  same_people(source, again)


def test_names_and_numbers_that_clash_are_made_unique_and_stay_in_the_folder(tmp_path):
  one, two = layouts.jpeg(1), layouts.jpeg(2)
  examples = [
    person(one, 0, image_name='a.jpg', image_id=5, annotation_id=1),
    person(two, 1, image_name='a.jpg', image_id=5, annotation_id=1),  # another part of a mixture
    person(two, 2, image_name='a.jpg', image_id=5, annotation_id=2),
    person(one, 3, image_name='../../outside.jpg', image_id=6, annotation_id=3),
    person(one, 4, image_name='/outside.jpg', image_id=7, annotation_id=4),
    person(two, 5, image_name='drawn.bmp', image_id=8, annotation_id=5),
    person(decode.decode_image(one), 6, annotation_id=6),
  ]
  out = tmp_path / 'deep' / 'out'
  out.mkdir(parents=True)
  annotations, *_, images = export.to_coco(Listed(examples), str(out))['files']
  with open(annotations) as file:
    dataset = json.load(file)
  names = [image['file_name'] for image in dataset['images']]
  assert len(set(names)) == 6
  assert names[0] == 'a.jpg'
  assert names[-2:] == ['drawn.jpg', '00000005.png']
  assert [image['id'] for image in dataset['images']] == [1, 2, 3, 4, 5, 6]
  assert [a['image_id'] for a in dataset['annotations']] == [1, 2, 2, 3, 4, 5, 6]
  assert len({a['id'] for a in dataset['annotations']}) == 7
  outside = [path for path in tmp_path.rglob('*.jpg') if out not in path.parents]
  assert outside == []
  given = own_skeleton.read(os.path.join(out, 'annotations-skeleton.json'))
  same_people(Listed(examples), People(coco_file.CocoFile(annotations, images, given)))


def test_a_broken_picture_stops_the_export(tmp_path):
  source = Listed([person(layouts.jpeg(0)[:-900], image_name='cut.jpg')])
  with pytest.raises(PosejaxError, match='cut.jpg: a JPEG cut short'):
    export.to_coco(source, str(tmp_path))


def test_other_formats_become_png():
  pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
  bmp = cv2.imencode('.bmp', pixels)[1].tobytes()
  for image in (bmp, pixels[..., ::-1]):
    picture = export.encoded({'image': image})
    assert (picture.kind, picture.hw) == ('png', (5, 7))
    np.testing.assert_array_equal(decode.decode_image(picture.data), pixels[..., ::-1])


def test_coco_annotations_are_written_as_coco_writes_them():
  keypoints = np.array([[1.5, 2], [3, 4], [5, 6]], np.float32)
  one = {'keypoints': keypoints, 'visibility': np.array([2, 0, 1]), 'box': np.array([1, 2, 10, 20])}
  entry = coco_write.annotation(7, 3, one)
  assert entry['keypoints'] == [1.5, 2, 2, 0, 0, 0, 5, 6, 1]
  assert entry['num_keypoints'] == 2
  assert entry['bbox'] == [1, 2, 10, 19]  # the pixels 1 … 10 are ten
  assert entry['area'] == 190
  category = coco_write.category(SIGN)
  assert category['skeleton'] == [[1, 2], [2, 4]]


class TestRecords:
  def write(self, folder, source, split='train'):
    return tfrecords.write(str(folder), split, source.label_space.skeleton, export.records(source))

  def test_tf_data_reads_them_back(self, tmp_path):
    image = layouts.jpeg(3)
    source = Listed(
      [
        person(image, 0, image_name='a.jpg', image_id=12, annotation_id=34, area=99.5),
        person(decode.decode_image(image), 1, head_size=7.5),
      ]
    )
    paths, number = self.write(tmp_path, source)
    assert number == 2
    assert [os.path.basename(path) for path in paths] == [
      'train-00000-of-00001.tfrecord', 'train.json',
    ]  # fmt: skip
    dataset = tf.data.TFRecordDataset(paths[:-1]).map(lambda data: tfrecords.parse(data, 4))
    rows = list(dataset.as_numpy_iterator())
    for row, example in zip(rows, source.examples, strict=True):
      assert row.keys() == tfrecords.FEATURES.keys()
      np.testing.assert_array_equal(row['person/keypoints'], example['keypoints'])
      np.testing.assert_array_equal(row['person/visibility'], example['visibility'])
      np.testing.assert_array_equal(row['person/box'], example['box'])
      assert (row['image/height'], row['image/width']) == layouts.HW
      pixels = tf.io.decode_image(row['image/encoded']).numpy()
      assert pixels.shape == (*layouts.HW, 3)
    assert rows[0]['image/encoded'] == image
    texts = ('image/format', 'image/name', 'image/id', 'person/id')
    assert [rows[0][key] for key in texts] == [b'jpeg', b'a.jpg', b'12', b'34']
    assert [rows[1][key] for key in texts] == [b'png', b'', b'', b'1']
    assert rows[0]['person/area'] == 99.5
    assert [row['person/head_size'] for row in rows] == [0.0, 7.5]

  def test_what_they_hold_is_said_beside_them(self, tmp_path):
    paths, _ = self.write(tmp_path, Listed([person(layouts.jpeg(0))]), 'eval')
    with open(paths[-1]) as file:
      description = json.load(file)
    assert description['keypoints'] == list(SIGN.keypoints)
    assert description['records'] == 1
    assert description['features'].keys() == tfrecords.FEATURES.keys()

  def test_large_sets_are_sharded(self, tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecords, 'SHARD_BYTES', 3 * len(layouts.jpeg(0)))
    source = Listed([person(layouts.jpeg(0), n) for n in range(5)])
    paths, number = self.write(tmp_path, source)
    assert number == 5
    assert len(paths) - 1 == 3
    assert paths[0].endswith('train-00000-of-00003.tfrecord')
    points = [
      tfrecords.parse(data, 4)['person/keypoints'].numpy()
      for data in tf.data.TFRecordDataset(paths[:-1])
    ]
    np.testing.assert_array_equal(points, [example['keypoints'] for example in source.examples])

  def test_nothing_is_overwritten(self, tmp_path):
    source = Listed([person(layouts.jpeg(0))])
    self.write(tmp_path, source)
    self.write(tmp_path, source, 'eval')
    with pytest.raises(PosejaxError, match='train-00000-of-00001.tfrecord exists'):
      self.write(tmp_path, source)

  def test_nothing_is_left_of_an_export_that_fails(self, tmp_path):
    source = Listed([person(layouts.jpeg(0)), person(layouts.jpeg(0)[:-900])])
    with pytest.raises(PosejaxError, match='cut short'):
      self.write(tmp_path, source)
    assert os.listdir(tmp_path) == []
