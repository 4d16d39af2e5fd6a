import json
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import io
import tensorflow_datasets as tfds

from posejax import skeletons
from posejax.data.builders import base, coco, mpii, panoptic
from posejax.data.formats import decode
from posejax.data.sources import coco_file, prepared
from posejax.data.sources.people import People
from posejax.errors import PosejaxError
from tests.data import layouts


@pytest.fixture
def opened(tmp_path):
  """A function that prepares a data set and opens a split."""

  def open_split(name, split, manual_dir='', on_error='raise'):
    return prepared.Prepared(name, split, str(manual_dir), str(tmp_path / 'prepared'), on_error)

  return open_split


def people(source):
  source = People(source)
  return [source.labels(i) for i in range(len(source))]


class TestCoco:
  def test_pictures_and_people_are_those_of_the_file(self, tmp_path, opened):
    parts = [layouts.coco_dataset(4), layouts.coco_dataset(3, first=100)]
    for dataset in parts:
      first, second, *_ = dataset['annotations']
      first['iscrowd'], second['keypoints'] = 1, [0] * 51
    root = layouts.coco(tmp_path / 'coco', *parts)
    for split, year in (('train', 'train2017'), ('eval', 'val2017')):
      source = opened('coco', split, root)
      direct = coco_file.CocoFile(
        os.path.join(root, 'annotations', f'person_keypoints_{year}.json'),
        os.path.join(root, year),
      )
      assert len(source) == len(direct) > 0
      assert source.label_space == direct.label_space
      assert source.labels(0)['crowd'].tolist() == [True, False]
      assert people(source)[0]['annotation_id'] == parts[split == 'eval']['annotations'][2]['id']
      for mine, other in ((source, direct), (People(source), People(direct))):
        assert len(mine) == len(other)
        for i in range(len(mine)):
          assert mine[i].keys() == other[i].keys()
          for key, value in mine[i].items():
            np.testing.assert_array_equal(value, other[i][key])
            assert type(value) is type(other[i][key])
            if key != 'annotation_ids':  # any kind of object in a file
              assert getattr(value, 'dtype', None) == getattr(other[i][key], 'dtype', None)

  def test_empty_pictures_are_there(self, tmp_path, opened):
    parts = [layouts.coco_dataset(4), layouts.coco_dataset(3, first=100)]
    for dataset in parts:
      dataset['annotations'] = [a for a in dataset['annotations'] if a['image_id'] not in (2, 101)]
      dataset['annotations'][0]['iscrowd'] = 1
    root = layouts.coco(tmp_path / 'coco', *parts)
    train, held_out = opened('coco', 'train', root), opened('coco', 'eval')
    assert train.image_ids == (1, 2, 3, 4)
    assert [len(train.labels(i)['boxes']) for i in range(4)] == [2, 0, 2, 2]
    assert held_out.image_ids == (100, 101, 102)
    assert decode.decode_image(held_out.read_image(101)).shape == (*layouts.HW, 3)
    assert train.left_out == {}
    assert People(train).left_out == {'crowd regions': 1}
    assert train.annotations is None
    with open(held_out.annotations) as file:
      kept = json.load(file)
    assert [a['iscrowd'] for a in kept['annotations']] == [1, 0, 0, 0]
    assert not any('segmentation' in a for a in kept['annotations'])

  def test_a_split_of_nobody_is_refused(self, tmp_path, opened):
    dataset = layouts.coco_dataset(4)
    for annotation in dataset['annotations']:
      annotation['iscrowd'] = 1
    root = layouts.coco(tmp_path / 'coco', dataset)
    with pytest.raises(PosejaxError, match="split 'train' has no picture with labelled people"):
      opened('coco', 'train', root)

  def test_another_skeleton_is_refused(self, tmp_path, opened):
    root = layouts.coco(tmp_path / 'coco', layouts.coco_dataset(2, names=['a', 'b']))
    with pytest.raises(PosejaxError, match=r"keypoints \['a', 'b'\], not those of COCO"):
      opened('coco', 'train', root)

  def test_a_picture_of_another_size_is_refused(self, tmp_path, opened):
    root = layouts.coco(tmp_path / 'coco')
    path = os.path.join(root, 'train2017', f'{1:012d}.jpg')
    layouts.write(path, layouts.jpeg(0, (24, 32)))
    with pytest.raises(PosejaxError, match='is 32x24; the annotations were made on 64x48'):
      opened('coco', 'train', root)

  def test_archives_are_joined_in_one_folder(self, tmp_path):
    root = layouts.coco(tmp_path / 'coco')

    class Downloaded:
      def download_and_extract(self, urls):
        assert all(url.startswith('http://images.cocodataset.org/') for url in urls.values())
        return dict.fromkeys(urls, root)

    builder = coco.PosejaxCoco(data_dir=str(tmp_path / 'prepared'))
    os.makedirs(builder.data_dir)
    joined = builder.download(Downloaded())
    assert len(builder.annotation_files(joined)) == 2


class TestLeeds:
  def test_extended(self, tmp_path, opened):
    root, joints = layouts.leeds(tmp_path / 'lspet', extended=True)
    train, held_out = opened('lspet', 'train', root), opened('lspet', 'eval')
    assert train.label_space.skeleton is skeletons.LSP
    assert train.image_ids == tuple(range(1, 19))
    assert held_out.image_ids == (19, 20)  # the last tenth by number
    for i, labels in enumerate(people(train) + people(held_out)):
      np.testing.assert_array_equal(labels['keypoints'], joints[i, :, :2])
      np.testing.assert_array_equal(labels['visibility'] > 0, joints[i, :, 2] == 1)
      assert set(labels['visibility']) <= {0, 2}
      seen = joints[i, joints[i, :, 2] == 1, :2]
      np.testing.assert_array_equal(labels['box'], [*seen.min(axis=0), *seen.max(axis=0)])
      assert labels['image_name'] == f'im{i + 1:05d}.jpg'
    assert held_out[1]['image'] == layouts.jpeg(19)

  def test_of_lsp_hidden_joints_are_labelled_and_halves_are_official(self, tmp_path, opened):
    root, joints = layouts.leeds(tmp_path / 'lsp', extended=False)
    train, held_out = opened('lsp', 'train', root), opened('lsp', 'eval')
    assert (len(train), len(held_out)) == (10, 10)
    for i, labels in enumerate(people(train) + people(held_out)):
      np.testing.assert_array_equal(labels['visibility'], np.where(joints[i, :, 2], 1, 2))
      assert labels['image_name'] == f'im{i + 1:04d}.jpg'

  @pytest.mark.parametrize(('name', 'extended'), [('lsp', True), ('lspet', False)])
  def test_one_taken_for_the_other_is_refused(self, tmp_path, opened, name, extended):
    root, _ = layouts.leeds(tmp_path / 'x', extended)
    with pytest.raises(
      PosejaxError, match=r'joints is .*x20, expected .*xN\. Is it the joints.mat'
    ):
      opened(name, 'train', root)

  @pytest.mark.parametrize(
    ('content', 'message'),
    [
      (
        b'MATLAB 7.3 MAT-file, Platform' + b' ' * 95 + b'\x00\x02IM' + b'\0' * 400,
        'MATLAB 7.3 file',
      ),
      (b'<html>not found</html>' * 40, 'is not a MATLAB file'),
      (b'', 'is not a MATLAB file'),
    ],
  )
  def test_another_kind_of_file_is_refused(self, tmp_path, opened, content, message):
    root, _ = layouts.leeds(tmp_path / 'x', True)
    layouts.write(os.path.join(root, 'joints.mat'), content)
    with pytest.raises(PosejaxError, match=message):
      opened('lspet', 'train', root)

  def test_another_variable_is_refused(self, tmp_path, opened):
    root, _ = layouts.leeds(tmp_path / 'x', True)
    io.savemat(os.path.join(root, 'joints.mat'), {'points': np.zeros(3)})
    with pytest.raises(PosejaxError, match=r"no variable 'joints' \(it has \['points'\]\)"):
      opened('lspet', 'train', root)


class TestMpii:
  def test_json(self, tmp_path, opened):
    root = layouts.mpii_json(tmp_path / 'mpii')
    train, held_out = opened('mpii', 'train', root), opened('mpii', 'eval')
    # Pictures in the order in which they are named, with all their people.
    assert [p['image_name'] for p in people(train)] == ['b.jpg', 'b.jpg', 'a.jpg']
    assert [p['annotation_id'] for p in people(train)] == [0, 2, 1]
    assert [p['head_size'] for p in people(train)] == [0, 0, 0]
    np.testing.assert_allclose([p['head_size'] for p in people(held_out)], [3.0, 6.0])
    with open(os.path.join(root, 'annot', 'train.json')) as file:
      entries = json.load(file)
    for labels in people(train):
      entry = entries[labels['annotation_id']]
      np.testing.assert_array_equal(labels['keypoints'], np.array(entry['joints']) - 1)
      np.testing.assert_array_equal(labels['visibility'], 2 * np.array(entry['joints_vis']))

  def test_the_box_leads_to_the_published_crop(self):
    # center [966, 340] and scale 4.718488 of a real person: HRNet's loader crops a square of
    # 1.25 * 200 * scale pixels about (966, 340 + 15 * scale), minus 1.
    box = mpii.person_box([966.0, 340.0], 4.718488)
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, [965.0, 340 + 15 * 4.718488 - 1])
    np.testing.assert_allclose(box[2:] - box[:2], 200 * 4.718488)
    assert mpii.person_box([-1, -1], 2.0) is None
    assert mpii.person_box([5, 5], 0) is None

  def test_the_authors_file(self, tmp_path, opened):
    root = layouts.mpii_mat(tmp_path / 'mpii')
    train, held_out = opened('mpii', 'train', root), opened('mpii', 'eval')
    # Twelve pictures: one is for testing, one is empty, the last tenth of the others is held out.
    assert [p['image_name'] for p in people(train)] == [
      f'{i:03d}.jpg' for i in (0, 1, *range(3, 10))
    ]
    assert [p['image_name'] for p in people(held_out)] == ['010.jpg']
    first, placeless = people(train)[:2]
    np.testing.assert_array_equal(first['keypoints'][:8, 0], np.arange(9, 17))
    np.testing.assert_array_equal(first['keypoints'][:8, 1], np.arange(4, 20, 2))
    np.testing.assert_array_equal(first['visibility'], [1, 2] * 4 + [0, 2] + [0] * 6)
    np.testing.assert_allclose(first['head_size'], 0.6 * 5)
    np.testing.assert_allclose(first['box'], mpii.person_box([30, 20], 0.2), rtol=1e-6)
    np.testing.assert_array_equal(placeless['box'], [9, 4, 19, 29])  # the extent of the keypoints

  def test_head_boxes_of_another_split_are_refused(self, tmp_path, opened):
    root = layouts.mpii_json(tmp_path / 'mpii')
    path = os.path.join(root, 'annot', 'gt_valid.mat')
    io.savemat(path, {'headboxes_src': np.zeros((2, 2, 5))})
    with pytest.raises(PosejaxError, match=r'headboxes_src is 2x2x5, expected 2x2x2'):
      opened('mpii', 'train', root)

  def test_another_form_is_refused(self, tmp_path, opened):
    root = layouts.mpii_json(tmp_path / 'mpii')
    layouts.write(os.path.join(root, 'annot', 'train.json'), [{'image': 'a.jpg', 'joints': [1, 2]}])
    with pytest.raises(PosejaxError, match=r'train.json: entry 0 is .*; expected .*"joints_vis"'):
      opened('mpii', 'train', root)

  def test_real_people_of_the_json_form(self, tmp_path, opened, real_data):
    fixtures = os.path.join(real_data, 'fixtures', 'mpii')
    with open(os.path.join(fixtures, 'test_mpii.json')) as file:
      entries = json.load(file)
    layouts.write(tmp_path / 'mpii' / 'annot' / 'train.json', entries[:3])
    layouts.write(tmp_path / 'mpii' / 'annot' / 'valid.json', entries[3:])
    os.symlink(fixtures, tmp_path / 'mpii' / 'images')
    source = opened('mpii', 'train', tmp_path / 'mpii')
    source = People(source)
    assert len(source) == 3
    for i in range(3):
      example = source[i]
      h, w = decode.decode_image(example['image']).shape[:2]
      labelled = example['keypoints'][example['visibility'] > 0]
      assert ((labelled >= 0) & (labelled < (w, h))).all()


class TestPanoptic:
  def test_everybody_in_every_camera(self, tmp_path, opened):
    root = layouts.panoptic(tmp_path / 'panoptic')
    train, held_out = opened('panoptic', 'train', root), opened('panoptic', 'eval')
    names = ['00_00_00000007.jpg', '00_00_00000008.jpg', '00_01_00000008.jpg']
    for source in (train, held_out):
      assert [p['image_name'] for p in people(source)] == [n for n in names for _ in range(2)]
      assert source.left_out == {'frames without a picture': 1}
    # Two bodies, the first one at x = 7 cm in frame 7, seen from 3 m: 60 pixels per radian.
    first = people(train)[0]
    neck = first['keypoints'][skeletons.PANOPTIC.index('neck')]
    np.testing.assert_allclose(neck, [32 + 60 * 7 / 300, 24 - 60 * 50 / 300], atol=0.1)
    assert first['visibility'].max() == 2

  def test_the_figures_left_is_right_of_who_faces_it(self):
    camera = _camera(np.pi * 0)
    keypoints, visibility = panoptic.project_bodies(camera, _bodies(0))
    left, right = (skeletons.PANOPTIC.index(f'{s}_shoulder') for s in ('left', 'right'))
    assert keypoints[0, left, 0] > keypoints[0, right, 0]
    assert (visibility[0] > 0).all()

  def test_what_a_body_covers_is_hidden(self):
    index = skeletons.PANOPTIC.index
    # From the front everything is seen but the ears' far sides; from behind the face is hidden.
    _, front = panoptic.project_bodies(_camera(0), _bodies(0))
    _, back = panoptic.project_bodies(_camera(np.pi), _bodies(0))
    for name in ('nose', 'left_eye', 'right_eye'):
      assert front[0, index(name)] == 2
      assert back[0, index(name)] == 1
    # From the side the near arm and leg are seen; the far arm is behind the trunk.
    _, side = panoptic.project_bodies(_camera(np.pi / 2), _bodies(0))
    near, far = ('left', 'right') if side[0, index('left_shoulder')] == 2 else ('right', 'left')
    assert side[0, index(f'{near}_shoulder')] == 2
    assert side[0, index(f'{far}_shoulder')] == side[0, index(f'{far}_ear')] == 1
    # Somebody in front hides somebody behind.
    bodies = _bodies(0, 0)
    bodies[1, :, 2] += 60
    _, both = panoptic.project_bodies(_camera(0), bodies)
    assert both[0, index('pelvis')] == 2
    assert both[1, index('pelvis')] == 1

  def test_what_is_outside_or_not_sure_is_not_labelled(self):
    bodies = _bodies(0, 400)
    bodies[0, 3, 3] = 0.1
    bodies[0, 4] = 0, 0, 0, -1
    _, visibility = panoptic.project_bodies(_camera(0), bodies)
    np.testing.assert_array_equal(np.flatnonzero(visibility[0] == 0), [3, 4])
    assert not visibility[1].any()

  @pytest.mark.parametrize(
    ('frames', 'train', 'held_out'),
    [
      ({'x': [1, 2], '160906_ian5': [3]}, {'x': [1, 2]}, {'160906_ian5': [3]}),
      ({'x': [1], 'y': [2]}, {'x': [1]}, {'y': [2]}),
      ({'x': list(range(30))}, {'x': list(range(27))}, {'x': [27, 28, 29]}),
    ],
  )
  def test_recordings_are_parted(self, frames, train, held_out):
    assert panoptic._parts(frames) == {'train': train, 'validation': held_out}

  def test_a_camera_without_calibration_is_refused(self, tmp_path, opened):
    root = layouts.panoptic(tmp_path / 'panoptic')
    layouts.write(
      os.path.join(root, '160906_band1', 'hdImgs', '00_09', '00_09_00000007.jpg'), layouts.jpeg(0)
    )
    with pytest.raises(
      PosejaxError, match=r"calibration_160906_band1.json has no HD camera '00_09'"
    ):
      opened('panoptic', 'train', root)

  @pytest.mark.parametrize('content', [b'{}', b'[', b'{"cameras": [{"name": "a", "type": "hd"}]}'])
  def test_another_calibration_is_refused(self, tmp_path, opened, content):
    root = layouts.panoptic(tmp_path / 'panoptic')
    layouts.write(os.path.join(root, '160906_band1', 'calibration_160906_band1.json'), content)
    with pytest.raises(PosejaxError, match='is not a calibration of the panoptic-toolbox'):
      opened('panoptic', 'train', root)

  def test_a_missing_calibration_is_refused(self, tmp_path, opened):
    root = layouts.panoptic(tmp_path / 'panoptic')
    os.remove(os.path.join(root, '160906_band1', 'calibration_160906_band1.json'))
    with pytest.raises(PosejaxError, match='calibration_160906_band1.json is missing'):
      opened('panoptic', 'train', root)

  def test_real_poses_and_cameras(self, tmp_path, opened, real_data):
    fixtures = os.path.join(real_data, 'fixtures', 'panoptic_body3d')
    for recording in os.listdir(fixtures):
      for name in os.listdir(os.path.join(fixtures, recording)):
        os.makedirs(tmp_path / 'panoptic' / recording, exist_ok=True)
        os.symlink(
          os.path.join(fixtures, recording, name), tmp_path / 'panoptic' / recording / name
        )
      poses = os.path.join(fixtures, recording, 'hdPose3d_stage1_coco19')
      for frame in (name[-13:-5] for name in os.listdir(poses)):
        picture = tmp_path / 'panoptic' / recording / 'hdImgs' / '00_12' / f'00_12_{frame}.jpg'
        layouts.write(picture, layouts.jpeg(0, (1080, 1920)))
    source = opened('panoptic', 'train', tmp_path / 'panoptic')
    assert len(people(source)) >= 4
    for labels in people(source):
      labelled = labels['keypoints'][labels['visibility'] > 0]
      assert ((labelled >= 0) & (labelled <= (1919, 1079))).all()
      head, ankle = (
        labels['keypoints'][skeletons.PANOPTIC.index(n)][1] for n in ('nose', 'left_hip')
      )
      assert head < ankle  # upright


def _camera(turn):
  entry = layouts.panoptic_camera('00_00', turn)
  return panoptic.Camera(
    *(np.array(entry[key], float) for key in ('K', 'distCoef', 'R')),
    np.array(entry['t'], float)[:, 0],
    layouts.HW,
  )


def _bodies(*places):
  return np.reshape([layouts.panoptic_body(at) for at in places], (-1, 19, 4))


def test_tfds_reads_what_was_prepared(tmp_path, opened):
  root, joints = layouts.leeds(tmp_path / 'lspet', extended=True)
  opened('lspet', 'train', root)
  builder = tfds.builder_from_directory(tmp_path / 'prepared' / 'posejax_lspet' / '1.0.0')
  source = builder.as_data_source('train')
  assert len(source) == 18
  record = source[4]
  np.testing.assert_array_equal(record['image'], decode.decode_image(layouts.jpeg(4)))
  np.testing.assert_array_equal(record['keypoints'], joints[4:5, :, :2])
  assert record['image_name'] == b'im00005.jpg'


def test_shards_keep_the_order(tmp_path, opened, monkeypatch):
  root, _ = layouts.leeds(tmp_path / 'lspet', extended=True)
  monkeypatch.setattr(base, '_SHARD_BYTES', 8000)
  source = opened('lspet', 'train', root)
  shards = [n for n in os.listdir(tmp_path / 'prepared' / 'posejax_lspet' / '1.0.0') if '-of-' in n]
  assert len(shards) > 4
  assert [source[i]['image'] for i in range(18)] == [layouts.jpeg(i) for i in range(18)]


def test_the_same_files_give_the_same_bytes(tmp_path):
  root, _ = layouts.leeds(tmp_path / 'lspet', extended=True)
  first, second = (
    prepared.Prepared('lspet', 'train', root, str(tmp_path / name)) for name in ('a', 'b')
  )
  assert first.fingerprint == second.fingerprint
  contents = [
    {
      file.name: file.read_bytes()
      for file in (tmp_path / name / 'posejax_lspet' / '1.0.0').iterdir()
      if file.suffix != '.json'
    }
    for name in ('a', 'b')
  ]
  assert contents[0] == contents[1]
  layouts.write(os.path.join(root, 'images', 'im00003.jpg'), layouts.jpeg(77))
  third = prepared.Prepared('lspet', 'train', root, str(tmp_path / 'c'))
  assert third.fingerprint != first.fingerprint


def test_neither_preparing_nor_reading_imports_tensorflow(tmp_path):
  root, _ = layouts.leeds(tmp_path / 'lspet', extended=True)
  code = (
    'import sys\n'
    'from posejax.data import sources\n'
    'assert "tensorflow_datasets" not in sys.modules  # a second of every start\n'
    'from posejax.data.sources import prepared\n'
    f'source = prepared.Prepared("lspet", "train", {root!r}, {str(tmp_path / "p")!r})\n'
    'source[3]\n'
    'assert "tensorflow" not in sys.modules'
  )
  subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)


def test_real_lspet(tmp_path, opened, real_data):
  root = os.path.join(real_data, 'lspet')
  train, held_out = opened('lspet', 'train', root), opened('lspet', 'eval')
  assert (len(train), len(held_out)) == (5400, 600)
  joints = io.loadmat(os.path.join(root, 'joints.mat'))['joints']
  for source, start in ((train, 0), (held_out, 5400)):
    for i in (0, 17, 599):
      (keypoints,) = source.labels(i)['keypoints']
      np.testing.assert_allclose(keypoints, joints[:, :2, start + i], rtol=1e-6)
      with open(os.path.join(root, 'images', f'im{start + i + 1:05d}.jpg'), 'rb') as file:
        assert source[i]['image'] == file.read()
