"""Files in a bucket, by the real clients and a server on this machine."""

import os

import numpy as np
import pytest

from posejax import buckets, draw, files
from posejax.errors import PosejaxError
from tests import bucket


@pytest.fixture(scope='module')
def place():
  return bucket.create()


def test_what_is_written_is_read_and_listed(place):
  assert buckets.names(f'{place}/run') == []
  assert not files.is_folder(f'{place}/run')
  files.replace(f'{place}/run/config.json', b'{}')
  files.replace(f'{place}/run/inner/a.bin', b'older')
  files.replace(f'{place}/run/inner/a.bin', bytes(range(256)))
  assert buckets.names(f'{place}/run') == ['config.json', 'inner']
  assert files.read(f'{place}/run/inner/a.bin') == bytes(range(256))
  assert files.is_folder(f'{place}/run')
  with pytest.raises(FileNotFoundError):
    files.read(f'{place}/run/absent')


def test_a_picture_is_put_there_and_nothing_left_here(place, monkeypatch, tmp_path):
  monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
  draw.save(f'{place}/picture.png', np.zeros((4, 6, 3), np.uint8))
  assert files.read(f'{place}/picture.png').startswith(b'\x89PNG')
  assert os.listdir(tmp_path) == []


def test_a_mirror_puts_what_changed(place):
  files.replace(f'{place}/mirrored/rows', b'1\n')
  files.replace(f'{place}/mirrored/events/a', b'a')
  mirror = buckets.Mirror(f'{place}/mirrored')
  mirror.fetch('rows', 'absent', 'events/')
  with open(os.path.join(mirror.folder, 'rows'), 'ab') as file:
    assert file.tell() == 2
    file.write(b'2\n')
  with open(os.path.join(mirror.folder, 'events', 'b'), 'wb') as file:
    file.write(b'b')
  # What did not change here is not put: else another's newer object would be overwritten.
  files.replace(f'{place}/mirrored/events/a', b'newer')
  mirror.push()
  assert files.read(f'{place}/mirrored/rows') == b'1\n2\n'
  assert buckets.names(f'{place}/mirrored') == ['events', 'rows']
  assert files.read(f'{place}/mirrored/events/a') == b'newer'
  assert files.read(f'{place}/mirrored/events/b') == b'b'
  mirror.close()
  assert not os.path.exists(mirror.folder)


def test_what_cannot_be_reached_is_said(place, monkeypatch):
  with pytest.raises(PosejaxError, match=r'gs://no-such-bucket/x/a could not be reached .*exist'):
    files.replace('gs://no-such-bucket/x/a', b'')
  with pytest.raises(PosejaxError, match=r'gs://no-such-bucket could not be reached'):
    buckets.check('gs://no-such-bucket/x')
  buckets.check(place)
  buckets.check(bucket.create() + '/x/y')
  for path in ('s3://bucket/run', 'gs://', 'https://example.org/run'):
    with pytest.raises(PosejaxError, match='name a folder of a file system, or one in a bucket'):
      buckets.names(path)
  monkeypatch.setattr(buckets, '_NEEDED', ('no_such.client',))
  with pytest.raises(PosejaxError, match=r"needs no_such.client: pip install 'posejax\[gcs\]'"):
    buckets.names(f'{place}/run')
