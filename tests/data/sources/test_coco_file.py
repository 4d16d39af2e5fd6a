import os

import cv2
import numpy as np
from pycocotools.coco import COCO
import pytest

from posejax import skeletons
from posejax.data.formats import decode
from posejax.data.sources import coco_file
from posejax.data.sources.classes import OnlyClasses
from posejax.data.sources.people import People
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from tests.data import layouts


@pytest.fixture
def written(tmp_path):
  """A file of six pictures with two people each, and a function that opens it."""
  dataset = layouts.coco_dataset(6)

  def write(dataset=dataset, pictures=True):
    layouts.write(tmp_path / 'people.json', dataset)
    if pictures:
      layouts.write_pictures(tmp_path / 'images', dataset)

  def open_file(**kwargs):
    return coco_file.CocoFile(str(tmp_path / 'people.json'), str(tmp_path / 'images'), **kwargs)

  write()
  return dataset, open_file, write, tmp_path


def test_pictures_hold_everybody_annotated_on_them(written):
  dataset, open_file, write, folder = written
  crowd, unlabelled, empty = (dataset['annotations'][i] for i in (1, 2, 5))
  crowd['iscrowd'] = 1
  unlabelled['keypoints'] = [0] * 51
  empty['bbox'] = [70, 3, 5, 9]  # right of the picture
  dataset['annotations'] = [a for a in dataset['annotations'] if a['image_id'] != 4]
  write(dataset)
  source = open_file()
  assert len(source) == 6
  assert source.label_space == LabelSpace(('person',), skeletons.COCO)
  for i, image_id in enumerate(source.image_ids):
    picture, labels = source[i], source.labels(i)
    those = [a for a in dataset['annotations'] if a['image_id'] == image_id]
    N = len(those)
    assert bool(those) == (image_id != 4)
    name = f'{image_id:012d}.jpg'
    assert (picture['image_id'], picture['image_name']) == (image_id, name)
    assert picture['image'] == (folder / 'images' / name).read_bytes()
    shapes = {
      'boxes': (N, 4), 'labels': (N,), 'crowd': (N,), 'keypoints': (N, 17, 2), 'visibility': (N, 17),
      'areas': (N,), 'annotation_ids': (N,),
    }  # fmt: skip
    assert {key: picture[key].shape for key in shapes} == shapes
    assert picture['annotation_ids'].tolist() == [a['id'] for a in those]
    assert picture['crowd'].tolist() == [a is crowd for a in those]
    np.testing.assert_array_equal(picture['areas'], [a['area'] for a in those])
    for n, annotation in enumerate(those):
      triples = np.reshape(annotation['keypoints'], (17, 3))
      seen = 0 * triples[:, 2] if annotation is crowd else triples[:, 2]
      np.testing.assert_array_equal(picture['visibility'][n], seen)
      labelled = seen > 0
      np.testing.assert_array_equal(picture['keypoints'][n][labelled], triples[labelled, :2])
    assert 'image' not in labels
    assert labels.keys() == picture.keys() - {'image'}
  for outside in (-1, 6):
    with pytest.raises(IndexError):
      source[outside]
  # Of all of them one-person-a-crop learning takes those that it can learn from.
  people = People(source)
  assert [people.labels(i)['annotation_id'] for i in range(len(people))] == [
    10,
    21,
    30,
    50,
    51,
    60,
    61,
  ]
  assert people.left_out == {
    'crowd regions': 1,
    'annotations without labelled keypoints': 1,
    'annotations with an empty box': 1,
  }


def test_kinds_of_figures_are_classes(written):
  dataset, open_file, write, _ = written
  (person,) = dataset['categories']
  dataset['categories'] = [{**person, 'id': 7, 'name': 'dancer'}, {**person, 'id': 3}]
  for annotation in dataset['annotations']:
    annotation['category_id'] = 3 if annotation['id'] % 2 else 7
  write(dataset)
  source = open_file()
  assert source.label_space.class_names == ('dancer', 'person')
  assert source.category_ids == (7, 3)
  assert all(source.labels(i)['labels'].tolist() == [0, 1] for i in range(6))


def test_any_annotation_ids(written):
  dataset, open_file, write, _ = written
  for annotation in dataset['annotations']:
    annotation['id'] = f'a{annotation["id"]}'
  del dataset['annotations'][0]['id']
  write(dataset)
  source = open_file()
  assert source.labels(0)['annotation_ids'].tolist() == [None, 'a11']
  assert People(source).labels(1)['annotation_id'] == 'a11'


def test_what_ap_needs(written):
  _, open_file, _, folder = written
  source = open_file()
  assert source.annotations == str(folder / 'people.json')
  assert source.category_ids == (1,)
  assert source.image_ids == (1, 2, 3, 4, 5, 6)
  assert decode.decode_image(source.read_image(3)).shape == (*layouts.HW, 3)


def test_a_tenth_is_held_out_by_pictures(written):
  _, open_file, write, _ = written
  write(layouts.coco_dataset(40))
  train, held_out, both = open_file(part='train'), open_file(part='eval'), open_file()
  assert 1 <= len(held_out.image_ids) <= 8
  assert not set(train.image_ids) & set(held_out.image_ids)
  assert set(train.image_ids) | set(held_out.image_ids) == set(both.image_ids)
  assert len(train) + len(held_out) == len(both) == 40
  assert len({train.fingerprint, held_out.fingerprint, both.fingerprint}) == 3
  # Ten more pictures move none of the others from one part to the other.
  write(layouts.coco_dataset(50))
  assert set(held_out.image_ids) <= set(open_file(part='eval').image_ids)
  assert set(train.image_ids) <= set(open_file(part='train').image_ids)


@pytest.mark.parametrize('first', range(1, 40, 6))
def test_both_parts_have_pictures_however_few(written, first):
  _, open_file, write, _ = written
  write(layouts.coco_dataset(2, first))
  assert len(open_file(part='train').image_ids) == len(open_file(part='eval').image_ids) == 1


def test_one_picture_cannot_be_parted(written):
  _, open_file, write, _ = written
  write(layouts.coco_dataset(1))
  with pytest.raises(PosejaxError, match='lists 1 pictures.*config.data.eval.annotations'):
    open_file(part='train')


def test_an_edit_changes_the_fingerprint(written):
  dataset, open_file, write, folder = written
  before = open_file().fingerprint
  assert open_file().fingerprint == before
  picture = folder / 'images' / f'{2:012d}.jpg'
  content = picture.read_bytes()
  layouts.write(picture, (folder / 'images' / f'{3:012d}.jpg').read_bytes() + b'other')
  assert open_file().fingerprint != before
  layouts.write(picture, content)
  assert open_file().fingerprint == before
  dataset['annotations'][3]['keypoints'][0] += 1
  write(dataset)
  assert open_file().fingerprint != before


class TestPictures:
  def test_missing_ones_are_refused_and_named(self, written):
    _, open_file, _, folder = written
    os.remove(folder / 'images' / f'{2:012d}.jpg')
    with pytest.raises(
      PosejaxError, match='1 of 6 pictures are missing or broken:\n.*02.jpg: no such'
    ):
      open_file()

  def test_missing_and_broken_ones_are_skipped_and_counted(self, written, caplog):
    _, open_file, _, folder = written
    os.remove(folder / 'images' / f'{2:012d}.jpg')
    layouts.cut_short(folder / 'images' / f'{5:012d}.jpg')
    layouts.write(folder / 'images' / f'{6:012d}.jpg', b'<html>404</html>')
    source = open_file(on_error='skip')
    assert source.image_ids == (1, 3, 4)
    assert [source.labels(i)['image_id'] for i in range(len(source))] == [1, 3, 4]
    assert source.left_out == {'missing pictures': 1, 'broken pictures': 2}
    assert 'left out 2 broken pictures, 1 missing pictures.' in caplog.text
    assert f'{5:012d}.jpg: a JPEG cut short' in caplog.text
    # What was left out belongs to the data.
    assert (
      source.fingerprint != coco_file.CocoFile(source.annotations, _repaired(folder)).fingerprint
    )

  def test_one_of_another_size_is_refused(self, written):
    _, open_file, _, folder = written
    layouts.write(folder / 'images' / f'{1:012d}.jpg', layouts.jpeg(0, (24, 32)))
    with pytest.raises(PosejaxError, match='01.jpg is 32x24; the annotations were made on 64x48'):
      open_file()[0]
    assert open_file(on_error='skip').left_out == {'broken pictures': 1}

  def test_subfolders_other_formats_and_unknown_sizes(self, written):
    dataset, open_file, write, folder = written
    image = dataset['images'][0]
    image['file_name'] = 'day/one.png'
    del image['height'], image['width']
    write(dataset, pictures=False)
    png = cv2.imencode('.png', np.zeros((7, 9, 3), np.uint8))[1].tobytes()
    layouts.write(folder / 'images' / 'day' / 'one.png', png)
    assert open_file(on_error='skip')[0]['image'] == png

  def test_a_missing_folder(self, written):
    _, open_file, _, folder = written
    os.rename(folder / 'images', folder / 'pictures')
    with pytest.raises(PosejaxError, match='config.data.images=.*images.* is not a folder'):
      open_file()


def _repaired(folder):
  layouts.write_pictures(folder / 'images', layouts.coco_dataset(6))
  return str(folder / 'images')


def test_nobody_is_left(written):
  dataset, open_file, write, _ = written
  for annotation in dataset['annotations']:
    annotation['iscrowd'] = 1
  write(dataset)
  with pytest.raises(PosejaxError, match="nobody with labelled keypoints.*'crowd regions': 12"):
    People(open_file())


@pytest.fixture
def things(tmp_path):
  """A file of boxes alone, of three classes."""
  dataset = layouts.instances_dataset()
  layouts.write(tmp_path / 'things.json', dataset)
  layouts.write_pictures(tmp_path / 'images', dataset)
  return dataset, coco_file.CocoFile(str(tmp_path / 'things.json'), str(tmp_path / 'images'))


def test_boxes_of_every_category(things):
  dataset, source = things
  assert source.label_space == LabelSpace(('cat', 'toothbrush', 'dog'))
  assert source.category_ids == (7, 90, 3)
  assert source.keypoint_classes == ()
  reference = COCO()
  reference.dataset = dataset
  reference.createIndex()
  assert [len(source.labels(i)['boxes']) for i in range(5)] == [2, 2, 0, 2, 2]
  for i, image_id in enumerate(source.image_ids):
    picture, those = source[i], reference.loadAnns(reference.getAnnIds(imgIds=[image_id]))
    assert 'keypoints' not in picture
    assert picture['boxes'].shape == (len(those), 4)
    labels = [['cat', 'toothbrush', 'dog'][n] for n in picture['labels']]
    assert labels == [reference.loadCats(a['category_id'])[0]['name'] for a in those]
    assert picture['crowd'].tolist() == [bool(a['iscrowd']) for a in those]
    assert picture['areas'].tolist() == [a['area'] for a in those]
    corners = [[x, y, x + max(w, 1) - 1, y + h - 1] for x, y, w, h in (a['bbox'] for a in those)]
    np.testing.assert_allclose(picture['boxes'], np.reshape(corners, (-1, 4)))
  some = OnlyClasses(source, ('dog', 'cat'))
  assert some.category_ids == (3, 7)
  assert [some.labels(i)['labels'].tolist() for i in range(5)] == [[1], [0, 1], [], [0, 0], [1]]


def test_boxes_alone_are_nothing_for_pose_nets(things):
  _, source = things
  with pytest.raises(PosejaxError, match=r"things\.json has no keypoints.*task.name='detection'"):
    People(source)
  with pytest.raises(PosejaxError, match='no category names its "keypoints".*toothbrush'):
    coco_file.CocoFile(source.annotations, 'images', skeletons.COCO)


def test_things_beside_figures_are_for_detectors_alone(written):
  dataset, open_file, write, _ = written
  dataset['annotations'][1]['keypoints'] = [0] * 51
  write(dataset)
  before = People(open_file())
  ball = {'id': 900, 'image_id': 2, 'category_id': 30, 'bbox': [1, 2, 3, 4], 'area': 12}
  mixed = {
    **dataset,
    'annotations': [ball, *dataset['annotations']],
    'categories': [{'id': 30, 'name': 'ball'}, *dataset['categories']],
  }
  write(mixed)
  source = open_file()
  assert source.label_space == LabelSpace(('ball', 'person'), skeletons.COCO)
  assert source.category_ids == (30, 1)
  assert source.labels(1)['labels'].tolist() == [0, 1, 1]
  assert not source.labels(1)['visibility'][0].any()
  after = People(source)
  assert after.category_ids == before.category_ids == (1,)
  assert after.left_out == before.left_out == {'annotations without labelled keypoints': 1}
  assert len(after) == len(before) == 11
  for i in range(11):
    one, two = before.labels(i), after.labels(i)
    assert one.keys() == two.keys()
    np.testing.assert_equal(one, two)


def test_own_keypoints(written):
  _, open_file, write, _ = written
  corners = ['top_left', 'top_right', 'bottom_right', 'bottom_left']
  write(layouts.coco_dataset(6, names=corners))
  with pytest.raises(PosejaxError, match='"sigmas": "estimate"'):
    open_file()
  source = open_file(skeleton={'name': 'sign', 'sigmas': 'estimate'})
  skeleton = source.label_space.skeleton
  assert (skeleton.name, skeleton.num_keypoints) == ('sign', 4)
  assert source[0]['keypoints'].shape == (2, 4, 2)


def test_real_coco(real_data):
  folder = os.path.join(real_data, 'coco')
  path = os.path.join(folder, 'annotations', 'person_keypoints_val2017.json')
  source = coco_file.CocoFile(path, os.path.join(folder, 'val2017'), on_error='skip')
  assert len(source) == len(source.image_ids) == 125  # the pictures without people count for AP
  assert len(People(source)) == 82
  assert sum(len(source.labels(i)['boxes']) for i in range(125)) == 146
  for i in range(0, 125, 9):
    picture = source[i]
    h, w = decode.decode_image(picture['image']).shape[:2]
    assert (picture['boxes'] <= (w - 1, h - 1, w - 1, h - 1)).all()
