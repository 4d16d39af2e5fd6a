import os

import cv2
import numpy as np
import pytest

from posejax import skeletons
from posejax.data.formats import decode
from posejax.data.sources import coco_file
from posejax.errors import PosejaxError
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


def test_examples_are_the_annotated_people(written):
  dataset, open_file, _, folder = written
  source = open_file()
  assert len(source) == 12
  assert source.skeleton is skeletons.COCO
  for i, annotation in enumerate(dataset['annotations']):
    example = source[i]
    triples = np.reshape(annotation['keypoints'], (17, 3))
    np.testing.assert_array_equal(example['keypoints'], triples[:, :2])
    np.testing.assert_array_equal(example['visibility'], triples[:, 2])
    assert example['annotation_id'] == annotation['id']
    assert example['image_id'] == annotation['image_id']
    assert example['area'] == annotation['area']
    name = f'{annotation["image_id"]:012d}.jpg'
    assert example['image_name'] == name
    assert example['image'] == (folder / 'images' / name).read_bytes()
    labels = source.labels(i)
    assert 'image' not in labels
    assert labels.keys() == example.keys() - {'image'}
  for outside in (-1, 12):
    with pytest.raises(IndexError):
      source[outside]


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
  assert len(train) + len(held_out) == len(both) == 80
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
  with pytest.raises(PosejaxError, match='lists 1 pictures.*config.data.eval_annotations'):
    open_file(part='train')


def test_an_edit_changes_the_fingerprint(written):
  dataset, open_file, write, _ = written
  before = open_file().fingerprint
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
    assert [source.labels(i)['image_id'] for i in range(len(source))] == [1, 1, 3, 3, 4, 4]
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
    open_file()


def test_own_keypoints(written):
  _, open_file, write, _ = written
  corners = ['top_left', 'top_right', 'bottom_right', 'bottom_left']
  write(layouts.coco_dataset(6, names=corners))
  with pytest.raises(PosejaxError, match='"sigmas": "estimate"'):
    open_file()
  source = open_file(skeleton={'name': 'sign', 'sigmas': 'estimate'})
  assert (source.skeleton.name, source.skeleton.num_keypoints) == ('sign', 4)
  assert source[0]['keypoints'].shape == (4, 2)


def test_real_coco(real_data):
  folder = os.path.join(real_data, 'coco')
  path = os.path.join(folder, 'annotations', 'person_keypoints_val2017.json')
  source = coco_file.CocoFile(path, os.path.join(folder, 'val2017'), on_error='skip')
  assert len(source) == 82
  assert len(source.image_ids) == 125  # the pictures without people count for AP
  h, w = decode.decode_image(source[5]['image']).shape[:2]
  assert (source[5]['box'] <= (w - 1, h - 1, w - 1, h - 1)).all()
