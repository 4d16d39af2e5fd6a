"""What only worker processes can get wrong: their life, their memory, their pipes."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from posejax.data.executors.processes import Layout, Workers
from posejax.errors import PosejaxError

ROOT = pathlib.Path(__file__).parents[3]


def numbered(step):
  return {
    'step': np.array([step, -step], np.int16),
    'flag': np.array(step % 2 == 0),
    'none': np.zeros((0, 3)),
  }


def tens(step):
  return {'ten': np.full((40, 5), 10.0 * step)}


def of_its_process(step):
  return {'process': np.array(os.getpid()), 'signals': _ignored()}


def _ignored():
  return np.array([signal.getsignal(s) == signal.SIG_IGN for s in (signal.SIGINT, signal.SIGTERM)])


def grows(step):
  return {'values': np.zeros(2 + (step == 2))}


def own_error(step):
  if step:
    raise UnsendableError(1, 2)
  return {'step': np.array(step)}


class UnsendableError(Exception):
  def __init__(self, a, b):
    super().__init__(f'{a} and {b} do not fit')


def dies(step):
  if step == 2:
    os.kill(os.getpid(), signal.SIGKILL)
  return {'step': np.array(step)}


def running(process):
  try:
    state = pathlib.Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
  except FileNotFoundError:
    return False
  return state != 'Z'


def wait_for(condition, seconds=20):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.02)


@pytest.mark.parametrize('size', [1, 63, 64, 65, 1000])
def test_arrays_of_a_slot_do_not_overlap(size):
  batch = {
    'a': np.full(size, 7, np.uint8),
    'b': np.ones((2, 3)),
    'c': np.zeros((0, 2), np.int32),
    'd': np.array(True),
  }
  layout = Layout.of(batch)
  slot = np.full(layout.size, 255, np.uint8)
  layout.write(batch, slot)
  for key, view in layout.views(slot).items():
    assert view.dtype == batch[key].dtype
    np.testing.assert_array_equal(view, batch[key])


def test_a_batch_that_is_held_is_not_written_over():
  held = {}
  for step, batch in enumerate(Workers().iterate(tens, 0, 60, num_workers=2, prefetch=2)):
    if step % 7 == 0:
      held[step] = batch['ten'][3:5]  # a part of an array keeps the slot as well
  assert list(held) == [0, 7, 14, 21, 28, 35, 42, 49, 56]
  for step, part in held.items():
    np.testing.assert_array_equal(part, np.full((2, 5), 10.0 * step))


def test_slots_are_used_again(monkeypatch):
  made = []
  new_slot = Workers._new_slot
  monkeypatch.setattr(Workers, '_new_slot', lambda *args: (made.append(args), new_slot(*args))[1])
  for _ in Workers().iterate(tens, 0, 60, num_workers=2, prefetch=2):
    pass
  assert 4 <= len(made) <= 7


def test_streams_share_workers_and_end_with_the_last():
  workers = Workers()
  outer = workers.iterate(of_its_process, 0, 1000, num_workers=2, prefetch=3)
  next(outer)
  first = [next(outer) for _ in range(4)]
  at_work = {int(batch['process']) for batch in first}
  assert len(at_work) == 2
  assert os.getpid() not in at_work
  assert all(batch['signals'].all() for batch in first)
  for stop in (9, 4, 9):  # one is of a single batch
    inner = list(workers.iterate(tens, 3, stop, num_workers=2, prefetch=2))
    assert [batch['ten'][0, 0] for batch in inner] == [10 * i for i in range(3, stop)]
  abandoned = workers.iterate(numbered, 0, 1000, num_workers=2, prefetch=2)
  next(abandoned)
  abandoned.close()
  assert {int(next(outer)['process']) for _ in range(20)} == at_work
  held = next(outer)
  outer.close()
  assert int(held['process']) in at_work  # what is held outlives the stream
  assert not any(map(running, at_work))
  again = list(workers.iterate(numbered, 5, 8, num_workers=1, prefetch=0))
  assert [batch['step'].tolist() for batch in again] == [[5, -5], [6, -6], [7, -7]]
  assert [bool(batch['flag']) for batch in again] == [False, True, False]
  assert again[2]['none'].shape == (0, 3)
  assert not workers._pipes


def test_a_batch_that_looks_unlike_the_first_is_refused():
  with pytest.raises(ValueError, match=r"'values'.*\(3,\).*'values'.*\(2,\)"):
    list(Workers().iterate(grows, 0, 4, num_workers=1, prefetch=1))


def test_an_error_that_cannot_be_sent_arrives_as_text():
  with pytest.raises(RuntimeError, match=r'UnsendableError: 1 and 2 do not fit'):
    list(Workers().iterate(own_error, 0, 2, num_workers=1, prefetch=1))


def test_what_cannot_be_pickled_is_said():
  with pytest.raises(PosejaxError, match=r"executor='processes'.*lambda.*'threads'"):
    list(Workers().iterate(lambda step: {'a': np.zeros(1)}, 0, 4, num_workers=1, prefetch=1))


def test_a_dead_worker_is_said_and_not_waited_for():
  got = []
  with pytest.raises(PosejaxError, match=r'exit code -9.*batch 2.*num_workers'):
    for batch in Workers().iterate(dies, 0, 8, num_workers=1, prefetch=1):
      got.append(int(batch['step']))
  assert got == [0, 1]


OWNER = """
import sys, time
from posejax.data.executors.processes import Workers
from tests.data.executors import test_processes

if __name__ == '__main__':
  batches = Workers().iterate(test_processes.of_its_process, 0, 10**6, num_workers=2, prefetch=2)
  next(batches)
  print(*{int(next(batches)['process']) for _ in range(4)}, flush=True)
  if sys.argv[1] == 'end':
    sys.exit(3)  # with the generator open
  time.sleep(60)
"""


@pytest.mark.parametrize('how', ['kill', 'term', 'end'])
def test_no_worker_outlives_its_owner(how, tmp_path):
  script = tmp_path / 'owner.py'
  script.write_text(OWNER)
  owner = subprocess.Popen(
    [sys.executable, str(script), how],
    env=dict(os.environ, PYTHONPATH=str(ROOT)),
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  with owner:
    at_work = [int(word) for word in owner.stdout.readline().split()]
    assert len(at_work) == 2
    if how == 'kill':
      owner.kill()
    elif how == 'term':
      os.killpg(owner.pid, signal.SIGTERM)  # as a cluster does, to everybody at once
    owner.wait(30)
  assert owner.returncode == {'kill': -9, 'term': -15, 'end': 3}[how]
  wait_for(lambda: not any(map(running, at_work)))
