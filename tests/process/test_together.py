"""Two processes that begin alike and end together."""

import json
import signal

import pytest

from posejax.errors import PosejaxError
from posejax.process import together
from tests import processes

DIFFER = """
import json
from posejax.process import distributed, together
from posejax.errors import PosejaxError
from jax._src import distributed as jax_distributed

distributed.initialize_from_environment()
number = jax_distributed.global_state.process_id

def told(mine):
  try:
    return together.check_same(mine)
  except PosejaxError as error:
    return str(error)

print(json.dumps([
  told({'a': [1, 2], 'b': None}),
  told({'a': [1, number], 'jaxlib': '0.10.2', **({'only here': True} if number else {})}),
]))
"""
ONE_FAILS = """
import os, signal
import jax
from posejax import devices
from posejax.process import distributed, together
from posejax.errors import PosejaxError

distributed.initialize_from_environment()
with together.ending():
  failing, how = {which}, {how!r}
  if jax.process_index() == failing:
    if how == 'killed':
      os.kill(os.getpid(), signal.SIGKILL)
    raise PosejaxError('the disk is full') if how == 'mendable' else ZeroDivisionError('a defect')
  devices.gather([1])
print('went on')
"""


def test_what_differs_is_said_on_all_processes():
  ours, theirs = map(json.loads, processes.last_lines(DIFFER))
  assert ours == theirs
  same, different = ours
  assert same is None
  assert 'a is [1, 0] on process 0 and [1, 1] on 1' in different
  assert "only here is 'not set' on process 0 and True on 1" in different
  assert 'jaxlib' not in different


def test_a_process_that_fails_says_why_on_all_and_ends_them():
  for code, out, err in processes.run(ONE_FAILS.format(which=0, how='mendable')):
    assert code == 1
    assert 'Process 0 of 2: Error: the disk is full' in err
    assert 'went on' not in out
    assert 'Traceback' not in err


def test_a_defect_shows_where_it_is_on_all():
  for code, _, err in processes.run(ONE_FAILS.format(which=1, how='defect')):
    assert code == 1
    assert 'Process 1 of 2: Traceback' in err
    assert 'ZeroDivisionError: a defect' in err


def test_a_process_that_is_killed_is_missed():
  program = ONE_FAILS.format(which=1, how='killed')
  left, killed = processes.run(program, POSEJAX_HEARTBEAT_SECONDS='5')
  assert killed.code == -signal.SIGKILL
  assert left.code not in (0, -signal.SIGKILL)
  assert 'went on' not in left.out


def test_one_process_fails_as_python_does():
  with pytest.raises(PosejaxError, match='the disk is full'), together.ending():
    raise PosejaxError('the disk is full')
  together.check_same({'a': 1})
