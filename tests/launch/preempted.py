"""Preempt and requeue a run on a real Slurm, and compare it with one that was left alone.

    python -m tests.launch.preempted

Starts a Slurm of one node on this machine (Debian: `apt-get install slurm-wlm`), submits launch/slurm.sh
for a run of two tasks on the CPU, lets a job of a higher partition preempt it, lets `scontrol requeue`
stop it once more, and waits for its end. Prints when what happened, and ends with 1 where the rows or any
bit of the final state differ from the uninterrupted run's.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

import jax
import numpy as np

from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from tests.launch import slurm_node

_LONG = 1200  # seconds within which any phase ends, on a machine that does much else


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--steps', type=int, default=150)
  args = parser.parse_args()
  root = pathlib.Path(tempfile.mkdtemp(prefix='posejax-slurm-'))
  os.environ['JAX_PLATFORMS'] = 'cpu'
  (root / 'node').mkdir()
  try:
    with slurm_node.running(root / 'node') as node:
      print(f'Slurm is up; in {root}', flush=True)
      _prove(node, root, args.steps)
  except slurm_node.NoSlurmError as error:
    sys.exit(f'No Slurm here: {error}')


def _prove(node: slurm_node.SlurmNode, root: pathlib.Path, steps: int) -> None:
  began = time.monotonic()

  def say(text: str) -> None:
    print(f'[{time.monotonic() - began:6.1f} s] {text}', flush=True)

  def submit(name: str) -> str:
    return node.submit(
      *('--ntasks=2', f'--output={root}/{name}.log', f'--export=ALL,PATH={_path()}'),
      *('launch/slurm.sh', '--config=configs/pose_densenet.py:smoke', f'--workdir={root}/{name}'),
      *(f'--compilation_cache={root}/cache', '--config.data.executor=threads'),
      *(f'--config.num_steps={steps}', '--config.log_every_steps=5'),
      *('--config.eval_every_steps=25', '--config.checkpoint_every_steps=1000'),
    )

  def wait_for_rows(job: str, count: int) -> None:
    deadline = time.monotonic() + _LONG
    while len(read_rows(f'{root}/stopped')) < count:
      assert time.monotonic() < deadline, (root / 'stopped.log').read_text()[-2000:]
      assert node.job(job)['JobState'] in ('PENDING', 'RUNNING'), 'the run ended: raise --steps'
      time.sleep(0.1)

  whole = submit('whole')
  node.wait(whole, _LONG, 'COMPLETED')
  say('the run that is left alone is complete')

  job = submit('stopped')
  wait_for_rows(job, 3)
  node.preempt()
  say('preempted')
  node.restart(job, _LONG)
  steps_saved = checkpoint.available_steps(f'{root}/stopped')
  say(f'in the queue again; checkpoints of steps {steps_saved}')
  wait_for_rows(job, steps // 8)
  node.call('scontrol', 'requeue', job)
  say('requeued by scontrol')
  node.restart(job, _LONG)
  steps_saved = checkpoint.available_steps(f'{root}/stopped')
  say(f'in the queue again; checkpoints of steps {steps_saved}')
  ended = node.wait(job, _LONG, 'COMPLETED')
  say(f'complete after {ended["Restarts"]} restarts')

  rows, expected = (read_rows(f'{root}/{name}') for name in ('stopped', 'whole'))
  assert rows == expected, 'metrics rows differ'
  states = [checkpoint.restore(f'{root}/{name}') for name in ('stopped', 'whole')]
  jax.tree.map(np.testing.assert_array_equal, *states)
  arrays = len(jax.tree.leaves(states[0]))
  print(
    f'equal: {len(rows)} rows, and all {arrays} arrays of step {int(states[0]["step"])} bit for bit'
  )


def _path() -> str:
  """Return a PATH on which `python` is this one."""
  return os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])


if __name__ == '__main__':
  main()
