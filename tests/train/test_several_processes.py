"""A run on two processes of one machine: asked to stop by one of them, and where a loss is not finite."""

import json

from posejax.runs import checkpoint
from tests import processes

TRAIN = """
import json, os, signal, sys
import jax
from posejax.process import distributed
from posejax.errors import PosejaxError
from posejax.train import loop
from tests import tiny

distributed.initialize_from_environment()
workdir, changes, ctrl_c = {arguments!r}
step = loop._Run._take

def taken(self, number, *rest):
  step(self, number, *rest)
  if ctrl_c and number == 3 and jax.process_index() == 1:
    os.kill(os.getpid(), signal.SIGINT)

loop._Run._take = taken
try:
  loop.train(tiny.config(**changes), workdir)
except PosejaxError as error:
  print(error)
"""


def last_lines(workdir, ctrl_c=False, **changes):
  return processes.last_lines(TRAIN.format(arguments=(str(workdir), changes, ctrl_c)))


def test_ctrl_c_on_one_process_stops_both_with_a_checkpoint(tmp_path):
  never = {'eval_every_steps': 1000, 'checkpoint_every_steps': 1000, 'log_every_steps': 1000}
  line, _ = last_lines(tmp_path, ctrl_c=True, num_steps=300, **never)
  (stopped,) = checkpoint.available_steps(str(tmp_path))
  assert 3 < stopped < 300
  assert f'Asked to stop: the checkpoint of step {stopped} is written.' in line


def test_a_loss_that_is_not_finite_names_the_examples_of_all_processes(tmp_path):
  lines = last_lines(tmp_path, optimizer__learning_rate=1e30, optimizer__schedule='constant')
  examples = {line.partition('from examples ')[2].partition(']')[0] + ']' for line in lines}
  (listed,) = map(json.loads, examples)
  assert len(set(listed)) == 8
