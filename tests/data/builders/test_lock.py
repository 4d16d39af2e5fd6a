import fcntl
import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from posejax.data.builders import lock
from posejax.errors import PosejaxError

HOLD = """
import sys, time
from posejax.data.builders import lock

with lock.held(sys.argv[1], 'at work'):
  print('held', flush=True)
  time.sleep(60)
"""


def test_who_waits_says_for_whom_and_goes_on_when_that_one_is_killed(tmp_path, caplog):
  holder = subprocess.Popen([sys.executable, '-c', HOLD, str(tmp_path)], stdout=subprocess.PIPE)
  assert holder.stdout.readline() == b'held\n'
  threading.Timer(0.7, holder.kill).start()
  with caplog.at_level(logging.WARNING), lock.held(str(tmp_path), 'waiting'):
    assert holder.wait() != 0
  assert f'Waiting for process {holder.pid} on ' in caplog.text
  assert 'at work' in caplog.text
  assert f'process {os.getpid()}' in (tmp_path / '.lock').read_text()


def test_a_holder_without_a_sign_of_life_is_named(tmp_path):
  (tmp_path / '.lock').write_text('process 7 on node3, preparing')
  with open(tmp_path / '.lock', 'a') as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    long_ago = time.time() - 1200
    os.utime(tmp_path / '.lock', (long_ago, long_ago))
    message = 'held by process 7 on node3, preparing, without a sign of life for 20 minutes'
    with pytest.raises(PosejaxError, match=message), lock.held(str(tmp_path), 'waiting'):
      pass


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch):
  monkeypatch.setattr(lock, '_SIGN_SECONDS', 0.01)
  with lock.held(str(tmp_path), 'at work'):
    os.utime(tmp_path / '.lock', (0, 0))
    limit = time.monotonic() + 10
    while os.stat(tmp_path / '.lock').st_mtime == 0:
      assert time.monotonic() < limit
      time.sleep(0.01)
