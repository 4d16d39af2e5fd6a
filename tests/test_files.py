"""Files that are whole or not there."""

import os

import pytest

from posejax import files
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
