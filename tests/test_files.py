"""Files that are whole or not there."""

import os

import numpy as np
import pytest

from posejax import draw, files
from posejax.errors import PosejaxError
from posejax.runs import workdirs
from tests import tiny


def test_a_config_reaches_the_disk_before_it_takes_the_olds_place(tmp_path, monkeypatch):
  order, fsync, replace = [], os.fsync, os.replace
  monkeypatch.setattr(os, 'fsync', lambda handle: (order.append('fsync'), fsync(handle)))
  monkeypatch.setattr(os, 'replace', lambda *names: (order.append('replace'), replace(*names)))
  workdirs.write_config(str(tmp_path), tiny.config())
  assert order == ['fsync', 'replace']
  assert workdirs.read_config(str(tmp_path)) == tiny.config()


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
  path = str(tmp_path / 'file')
  files.replace(path, b'old')

  def full(handle):
    raise OSError('No space left on device')

  monkeypatch.setattr(os, 'fsync', full)
  with pytest.raises(OSError, match='No space'):
    files.replace(path, b'new')
  assert (tmp_path / 'file').read_bytes() == b'old'
  assert os.listdir(tmp_path) == ['file']


def test_a_picture_is_whole_or_not_there(tmp_path):
  path = tmp_path / 'a.b.png'
  draw.save(str(path), np.zeros((5, 7, 3), np.uint8))
  before = path.read_bytes()
  unfinished = tmp_path / f'.a.b.{os.getpid()}.png'
  unfinished.symlink_to('/dev/full')
  # Larger than what is kept back before the system is asked.
  noise = np.random.default_rng(0).integers(0, 256, (90, 170, 3), dtype=np.uint8)
  with pytest.raises(OSError, match='No space'):
    draw.save(str(path), noise)
  assert os.listdir(tmp_path) == [path.name]
  assert path.read_bytes() == before


def test_where_no_file_can_be_is_said(tmp_path):
  for path, problem in (
    (tmp_path, 'this is a folder'),
    (tmp_path / 'no' / 'x', 'there is no folder'),
  ):
    with pytest.raises(PosejaxError, match=problem), files.replacing(str(path)):
      raise AssertionError('nothing is to be written')
  full = files.explain('x.json', OSError(28, 'No space left on device'))
  assert 'x.json: the disk or its quota is full' in str(full)
