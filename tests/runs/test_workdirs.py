import fcntl
import os
import threading
import time

import pytest

from posejax.errors import PosejaxError
from posejax.runs import workdirs


def test_a_claim_is_seen_by_others_as_long_as_it_lasts(tmp_path):
  folder = str(tmp_path / 'run')
  assert not workdirs.is_claimed(folder)
  with workdirs.claim(folder, True):
    assert workdirs.is_claimed(folder)
    again = workdirs.claim(folder, True, option='--out')
    with pytest.raises(PosejaxError, match='at work in .*run.*another --out'), again:
      pass
  assert not workdirs.is_claimed(folder)
  with workdirs.claim(folder, True):
    pass


def test_a_claim_outlasts_somebody_who_only_looks(tmp_path):
  folder = str(tmp_path)
  with workdirs.claim(folder, True):
    pass
  with open(tmp_path / '.lock') as looking:  # as `is_claimed` does, but slower
    fcntl.flock(looking, fcntl.LOCK_EX)
    release = threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN))
    release.start()
    with workdirs.claim(folder, True):
      release.join()


def test_another_ones_bucket_is_refused_at_once():
  claim = workdirs.claim('s3://bucket/run', True)
  with (
    pytest.raises(PosejaxError, match='s3://bucket/run cannot be written to: .* gs://BUCKET'),
    claim,
  ):
    pass


def test_the_newest_run_is_one_with_a_whole_checkpoint(tmp_path):
  assert workdirs.newest(str(tmp_path)) is None
  for age, checkpoint in (
    (300, 'done/checkpoints/4'),
    (200, 'next/checkpoints/5.orbax-checkpoint-tmp'),
  ):
    (tmp_path / checkpoint).mkdir(parents=True)
    os.utime(tmp_path / checkpoint, (time.time() - age,) * 2)
  assert workdirs.newest(str(tmp_path)) == str(tmp_path / 'done')
  (tmp_path / 'next/checkpoints/5').mkdir()
  assert workdirs.newest(str(tmp_path)) == str(tmp_path / 'next')
