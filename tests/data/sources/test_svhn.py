"""SVHN from the authors' files and from TFDS's builder, and what bad files get."""

import os

import numpy as np
import pytest
import scipy.io

from posejax.config import DataConfig
from posejax.data import sources
from posejax.data.sources import svhn
from posejax.errors import PosejaxError


def write(folder, part, labels, **replaced):
  rng = np.random.default_rng(len(labels))
  content = {
    'X': rng.integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8),
    'y': np.array(labels, np.uint8)[:, None],
  }
  content |= replaced
  scipy.io.savemat(os.path.join(folder, svhn.FILES[part]), content)
  return content


def test_pictures_stand_upright_and_ten_is_zero(tmp_path):
  content = write(tmp_path, 'train', [10, 1, 9])
  write(tmp_path, 'test', [5])
  config = DataConfig(name='svhn', manual_dir=str(tmp_path))
  source = sources.create(config, 'train')
  assert [source.labels(i)['label'] for i in range(3)] == [0, 1, 9]
  example = source[2]
  for y, x in ((0, 5), (31, 2)):
    np.testing.assert_array_equal(example['image'][y, x], content['X'][y, x, :, 2])
  assert source.label_space.class_names[example['label']] == '9'
  assert len(sources.create(config, 'eval')) == 1
  with pytest.raises(IndexError, match='asked for 3'):
    source[3]


def test_extra_digits_follow_those_to_train_on(tmp_path):
  write(tmp_path, 'train', [1, 2])
  extra = write(tmp_path, 'extra', [3, 10, 5])
  source = sources.create(DataConfig(name='svhn_extra', manual_dir=str(tmp_path)), 'train')
  assert [source.labels(i)['label'] for i in range(len(source))] == [1, 2, 3, 0, 5]
  np.testing.assert_array_equal(source[3]['image'], extra['X'][..., 1])
  alone = sources.create(DataConfig(name='svhn', manual_dir=str(tmp_path)), 'train')
  assert alone.fingerprint != source.fingerprint


@pytest.mark.parametrize(
  ('labels', 'replaced', 'message'),
  [
    ([1, 11, 12], {}, r'label 1 is 11; 2 of 3 are out of range'),
    ([0, 1], {}, r'label 0 is 0; 1 of 2'),
    (
      [1],
      {'X': np.zeros((28, 32, 3, 1), np.uint8)},
      r'X must be uint8 .* got uint8 \(28, 32, 3, 1\)',
    ),
    ([1], {'X': np.zeros((32, 32, 3, 1))}, 'got float64'),
    ([1, 2], {'y': np.ones((3, 1), np.uint8)}, '3 labels for 2 pictures'),
    ([1], {'y': None}, "must hold X and y, found .*'X'"),
  ],
)
def test_files_of_another_kind_are_refused(tmp_path, labels, replaced, message):
  replaced = dict(replaced)
  if replaced.get('y', 0) is None:
    scipy.io.savemat(tmp_path / svhn.FILES['train'], {'X': np.zeros((32, 32, 3, 1), np.uint8)})
  else:
    write(tmp_path, 'train', labels, **replaced)
  with pytest.raises(PosejaxError, match=message):
    svhn.MatFiles(str(tmp_path), ['train'])


def test_missing_and_broken_files_are_named(tmp_path):
  with pytest.raises(PosejaxError, match=r'train_32x32\.mat is missing.*extra_32x32\.mat'):
    svhn.MatFiles(str(tmp_path), ['train'])
  (tmp_path / 'train_32x32.mat').write_bytes(b'<html>not found</html>' * 20)
  with pytest.raises(PosejaxError, match=r'train_32x32\.mat is no \.mat file'):
    svhn.MatFiles(str(tmp_path), ['train'])


@pytest.fixture
def tfds_files(tmp_path, monkeypatch):
  """Let TFDS find small files where it would download large ones; all else of it is real."""
  import tensorflow_datasets as tfds

  folder = tmp_path / 'files'
  folder.mkdir()
  written = {p: write(folder, p, y) for p, y in [('train', [10, 3]), ('test', [7]), ('extra', [4])]}
  found = {part: str(folder / name) for part, name in svhn.FILES.items()}
  monkeypatch.setattr(tfds.download.DownloadManager, 'download', lambda self, urls: found)
  monkeypatch.setattr(svhn, '_check_reachable', lambda: None)
  return written


def test_tfds_prepares_once_and_is_read_at_random(tmp_path, tfds_files, monkeypatch):
  config = DataConfig(name='svhn_extra', data_dir=str(tmp_path / 'tfds'))
  source = sources.create(config, 'train')
  assert len(source) == 3
  assert source.labels(2)['label'] == 4
  pictures = [*np.moveaxis(tfds_files['train']['X'], 3, 0)]
  # TFDS shuffles by a hash of its keys, so the order is its own.
  for i in range(2):
    example = source[i]
    matches = [np.array_equal(example['image'], picture) for picture in pictures]
    assert example['label'] == [0, 3][matches.index(True)]
  monkeypatch.undo()
  assert sources.create(config, 'eval')[0]['label'] == 7


def test_without_files_and_network_drawn_digits_are_offered(tmp_path, monkeypatch):
  monkeypatch.setattr(svhn, 'HOMEPAGE', 'http://127.0.0.1:9/')  # nobody listens there
  with pytest.raises(PosejaxError, match='(?s)could not be downloaded: .*svhn_cnn.py:synthetic'):
    sources.create(DataConfig(name='svhn', data_dir=str(tmp_path)), 'train')


@pytest.mark.skipif('POSEJAX_REAL_DATA' not in os.environ, reason='needs POSEJAX_REAL_DATA')
def test_real_digits():
  folder = os.path.join(os.environ['POSEJAX_REAL_DATA'], 'svhn')
  config = DataConfig(name='svhn', manual_dir=folder)
  train, test = (sources.create(config, split) for split in ('train', 'eval'))
  assert (len(train), len(test)) == (550, 150)
  counts = np.bincount([train.labels(i)['label'] for i in range(len(train))], minlength=10)
  assert counts.argmax() == 1
  assert counts.min() > 20
