"""Kill a run with -9 at many random moments and compare it with one that was never killed.

    python -m tests.kill_many --kills=20 --devices=1
    python -m tests.kill_many --kills=20 --devices=8

Moments are uniform over a start-up and the training that follows it, so that imports, compilation,
restoring, steps, evaluations and half-written checkpoints are all hit. Prints where each kill fell.
"""

import argparse
import os
import random
import subprocess
import tempfile
import time

import jax
import numpy as np

from posejax.runs import checkpoint
from posejax.runs.report import read_rows
from tests.test_end_to_end import command


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kills', type=int, default=20)
  parser.add_argument('--devices', type=int, default=1)
  parser.add_argument('--steps', type=int, default=1500)
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  root = tempfile.mkdtemp(prefix='posejax-kills-')
  environment = dict(os.environ, JAX_PLATFORMS='cpu')
  if args.devices > 1:
    environment['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={args.devices}'
  flags = (
    f'--compilation_cache={root}/cache',
    '--config=configs/pose_densenet.py:smoke',
    '--config.data.executor=threads',
    f'--config.num_steps={args.steps}',
    '--config.log_every_steps=10',
    '--config.eval_every_steps=50',
    '--config.checkpoint_every_steps=25',
  )

  def start(workdir):
    return subprocess.Popen(
      command(workdir, *flags),
      env=environment,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )

  whole, killed = f'{root}/whole', f'{root}/killed'
  assert start(whole).wait() == 0
  began = time.monotonic()
  process = start(killed)
  while not read_rows(killed):  # the second start finds its programs compiled: a typical start-up
    time.sleep(0.05)
  startup = time.monotonic() - began
  process.kill()
  process.wait()
  print(f'{args.devices} device(s); start-up {startup:.1f} s; in {root}')

  rng = random.Random(args.seed)
  for number in range(1, args.kills + 1):
    process = start(killed)
    moment = rng.uniform(0.2 * startup, 1.4 * startup)
    time.sleep(moment)
    assert process.poll() is None, 'the run ended before its kill: raise --steps'
    process.kill()
    process.wait()
    writing = any('tmp' in name for name in os.listdir(checkpoint.folder(killed)))
    steps, rows = checkpoint.available_steps(killed), read_rows(killed)
    print(
      f'kill {number:2d} after {moment:5.1f} s: checkpoints {steps}, last row of step '
      f'{rows[-1]["step"] if rows else "none"}'
      + (', a checkpoint half written' if writing else ''),
      flush=True,
    )
  assert start(killed).wait() == 0

  rows, expected = read_rows(killed), read_rows(whole)
  assert rows == expected, 'metrics rows differ'
  states = [checkpoint.restore(workdir) for workdir in (killed, whole)]
  jax.tree.map(np.testing.assert_array_equal, *states)
  arrays = len(jax.tree.leaves(states[0]))
  print(
    f'equal: {len(rows)} rows, and all {arrays} arrays of step {int(states[0]["step"])} bit for bit'
  )


if __name__ == '__main__':
  main()
