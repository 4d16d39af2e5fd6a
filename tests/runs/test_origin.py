"""Where a run begins, on one process and on two that do not see the same."""

import json

from posejax.runs import checkpoint, origin, workdirs
from tests import processes, tiny

TWO = """
import json
import jax
from posejax import devices
from posejax.process import distributed
from posejax.errors import PosejaxError
from posejax.runs import origin
from tests import tiny

distributed.initialize_from_environment()
first = jax.process_index() == 0

def told(call, *arguments):
  try:
    return call(*arguments)
  except PosejaxError as error:
    return str(error)

def read():
  assert first  # nobody else looks
  return [3, 7]

def damaged():
  assert first
  raise PosejaxError('damaged')

answers = [
  devices.from_first(read),
  told(devices.from_first, damaged),
  told(origin.check_same, tiny.config()),
  told(origin.check_same, tiny.config(seed=0 if first else 5)),
]
print(json.dumps(answers))
"""


def test_processes_act_on_what_the_first_sees_and_refuse_to_differ():
  ours, theirs = map(json.loads, processes.last_lines(TWO))
  assert ours == theirs
  read, damaged, same, differ = ours
  assert (read, damaged, same) == ([3, 7], 'damaged', None)
  assert 'The processes of this run differ: config.seed is 0 on process 0 and 5 on 1.' in differ


def test_a_run_goes_on_from_its_newest_checkpoint(tiny_run):
  config = tiny.config(num_steps=4)
  found = origin.find(config, tiny_run, 1)
  assert found.meta == checkpoint.read_meta(tiny_run)
  assert found.config.optimizer.schedule_steps == 2
  assert found.finished is None
  assert origin.find(tiny.config(num_steps=2), tiny_run, 1).finished == 2


def test_a_new_run_begins(tmp_path):
  config, meta, finished = origin.find(tiny.config(batch_size=32), str(tmp_path), 16)
  assert (meta, finished) == (None, None)
  assert config.optimizer.schedule_steps == 4
  assert config.model['bn_group_size'] == 16  # of 8 of 16 devices
  workdirs.write_config(str(tmp_path), config)
  assert origin.find(tiny.config(batch_size=32), str(tmp_path), 16).meta is None
