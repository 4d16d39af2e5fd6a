import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from posejax.data.builders import BUILDERS, base, prepare
from posejax.data.sources import prepared
from posejax.errors import PosejaxError
from tests.data import layouts


@pytest.fixture
def lspet(tmp_path):
  """A tiny LSP-Extended and where to prepare it."""
  root, _ = layouts.leeds(tmp_path / 'lspet', extended=True)
  return root, tmp_path / 'prepared'


def tree(folder):
  return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


@pytest.mark.parametrize('name', BUILDERS)
def test_what_is_not_prepared_is_explained(tmp_path, name):
  with pytest.raises(PosejaxError) as error:
    prepare.prepare(name, data_dir=str(tmp_path))
  message = str(error.value)
  assert BUILDERS[name].LAYOUT in message
  assert BUILDERS[name].HOMEPAGE in message
  assert f'posejax data prepare {name} --manual_dir=DIR' in message
  assert '--config.data.name=synthetic_people' in message
  assert ('--download' in message) == (name == 'coco')


def test_an_older_version_is_told(tmp_path):
  (tmp_path / 'posejax_coco' / '1.0.0').mkdir(parents=True)
  with pytest.raises(
    PosejaxError, match=r'needs version 2\.0\.0; 1\.0\.0 in .*posejax_coco can be'
  ):
    prepare.prepare('coco', data_dir=str(tmp_path))


@pytest.mark.parametrize('name', BUILDERS)
def test_a_folder_without_the_files_is_explained(tmp_path, name):
  (tmp_path / 'empty').mkdir()
  with pytest.raises(PosejaxError) as error:
    prepare.prepare(name, str(tmp_path / 'empty'), str(tmp_path / 'prepared'))
  assert BUILDERS[name].LAYOUT in str(error.value)
  assert not (tmp_path / 'prepared').exists()


def test_prepared_once_and_used_without_the_files(lspet):
  root, folder = lspet
  source = prepared.Prepared('lspet', 'train', root, str(folder))
  before = tree(folder)
  again = prepared.Prepared('lspet', 'train', data_dir=str(folder))
  assert again.fingerprint == source.fingerprint
  assert tree(folder) == before


def test_other_annotations_than_were_prepared_are_noticed(lspet, tmp_path):
  root, folder = lspet
  prepared.Prepared('lspet', 'train', root, str(folder))
  other, _ = layouts.leeds(tmp_path / 'other', extended=True, number=30)
  with pytest.raises(
    PosejaxError, match='was prepared from other annotations than those in .*other'
  ):
    prepared.Prepared('lspet', 'train', other, str(folder))


class TestBrokenPictures:
  def test_refused_and_nothing_is_left(self, lspet):
    root, folder = lspet
    layouts.cut_short(os.path.join(root, 'images', 'im00007.jpg'))
    os.remove(os.path.join(root, 'images', 'im00009.jpg'))
    message = r'posejax_lspet, train: 2 of 18 pictures(.|\n)*im00007.jpg: a JPEG(.|\n)*im00009.jpg'
    with pytest.raises(PosejaxError, match=message):
      prepared.Prepared('lspet', 'train', root, str(folder))
    assert tree(folder) == ['posejax_lspet/.lock']

  def test_skipped_and_counted(self, lspet, caplog):
    root, folder = lspet
    layouts.cut_short(os.path.join(root, 'images', 'im00007.jpg'))
    os.remove(os.path.join(root, 'images', 'im00009.jpg'))
    source = prepared.Prepared('lspet', 'train', root, str(folder), on_error='skip')
    assert source.left_out == {'broken pictures': 1, 'missing pictures': 1}
    assert source.image_ids == tuple(n for n in range(1, 19) if n not in (7, 9))
    assert source[6]['image'] == layouts.jpeg(7)
    assert 'left out 1 broken pictures, 1 missing pictures' in caplog.text

  def test_a_split_of_nothing_is_refused(self, lspet):
    root, folder = lspet
    for number in (19, 20):
      os.remove(os.path.join(root, 'images', f'im{number:05d}.jpg'))
    with pytest.raises(PosejaxError, match=r"split 'validation' has no picture"):
      prepared.Prepared('lspet', 'train', root, str(folder), on_error='skip')
    assert tree(folder) == ['posejax_lspet/.lock']


def test_what_a_killed_preparation_left_is_swept(lspet):
  root, folder = lspet
  # Killed by itself in the middle of its records, as a kill from outside would.
  code = (
    'import os, signal\n'
    'from posejax.data.builders import base, prepare\n'
    'count = []\n'
    'def load(picture, thorough, load=base._load):\n'
    '  count.append(picture)\n'
    '  if len(count) == 18: os.kill(os.getpid(), signal.SIGKILL)\n'
    '  return load(picture, thorough)\n'
    'base._load = load\n'
    f'prepare.prepare("lspet", {root!r}, {str(folder)!r})\n'
  )
  run = subprocess.run([sys.executable, '-c', code], capture_output=True, check=False)
  assert run.returncode == -9
  (stale,) = (folder / 'posejax_lspet').glob('incomplete.*')
  with pytest.raises(PosejaxError, match='is not prepared'):
    prepare.prepare('lspet', data_dir=str(folder))
  assert len(prepared.Prepared('lspet', 'train', root, str(folder))) == 18
  assert not stale.exists()


def test_a_second_preparation_waits_for_the_first(lspet, monkeypatch):
  root, folder = lspet
  begun, running, most = [], [], []
  load = base._load

  def slow(picture, thorough):
    time.sleep(0.01)
    return load(picture, thorough)

  download = BUILDERS['lspet'].download_and_prepare

  def counted(self, **kwargs):
    begun.append(self)
    running.append(self)
    most.append(len(running))
    download(self, **kwargs)
    running.remove(self)

  monkeypatch.setattr(base, '_load', slow)
  monkeypatch.setattr(BUILDERS['lspet'], 'download_and_prepare', counted)
  threads = [
    threading.Thread(target=prepare.prepare, args=('lspet', root, str(folder))) for _ in range(3)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(begun) == 1
  assert most == [1]


@pytest.mark.parametrize(
  'error',
  [
    OSError(errno.ENOSPC, 'No space left on device'),
    # Of array_record, whose writer is in C++.
    RuntimeError('write() failed: No space left on device at byte 0; writing /dev/full'),
  ],
)
def test_a_full_disk_is_named(lspet, monkeypatch, error):
  root, folder = lspet

  def full(self, name, examples):
    raise error

  monkeypatch.setattr(base.PeopleBuilder, '_write_split', full)
  with pytest.raises(PosejaxError, match='The disk of .*prepared.* is full; nothing half-prepared'):
    prepare.prepare('lspet', root, str(folder))
  assert tree(folder) == ['posejax_lspet/.lock']


def test_a_folder_in_the_way_is_named(lspet):
  root, folder = lspet
  (folder / 'posejax_lspet' / '1.0.0').mkdir(parents=True)
  with pytest.raises(PosejaxError, match=r'1\.0\.0 is no prepared data set'):
    prepare.prepare('lspet', root, str(folder))
