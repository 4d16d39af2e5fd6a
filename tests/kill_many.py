"""Kill a run with -9 at many random moments and compare it with one that was never killed.

    python -m tests.kill_many --kills=20 --devices=1
    python -m tests.kill_many --kills=20 --devices=8
    python -m tests.kill_many --kills=10 --processes=2

Moments are uniform over a start-up and the training that follows it, so that imports, compilation,
restoring, steps, evaluations and half-written checkpoints are all hit. Of several processes one is
killed, by turns; the others must end by themselves within a minute. Prints where each kill fell.
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
from tests import processes
from tests.test_end_to_end import command

END_SECONDS = 60


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kills', type=int, default=20)
  parser.add_argument('--devices', type=int, default=1)
  parser.add_argument('--processes', type=int, default=1)
  parser.add_argument('--steps', type=int, default=1500)
  parser.add_argument('--seed', type=int, default=0)
  args = parser.parse_args()
  root = tempfile.mkdtemp(prefix='posejax-kills-')
  environment = dict(os.environ, JAX_PLATFORMS='cpu', POSEJAX_JOIN_SECONDS=str(END_SECONDS // 2))
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
    """Start all processes of a run, each of which writes what it says to a file of its own."""
    port, started = processes.free_port(), []
    for i in range(args.processes):
      several = processes.environment(i, port, args.processes) if args.processes > 1 else {}
      with open(f'{root}/process-{i}.log', 'w') as log:
        started.append(
          subprocess.Popen(
            command(workdir, *flags), env=environment | several, stdout=log, stderr=log
          )
        )
    return started

  def kill(started, which):
    """Kill one; return how long it took the others to end."""
    started[which].kill()
    began = time.monotonic()
    for process in started:
      process.wait(timeout=END_SECONDS)
    others = [process.returncode for i, process in enumerate(started) if i != which]
    assert 0 not in others, others
    return time.monotonic() - began

  def finish(workdir):
    assert [process.wait() for process in start(workdir)] == [0] * args.processes, root

  whole, killed = f'{root}/whole', f'{root}/killed'
  finish(whole)
  began = time.monotonic()
  started = start(killed)
  while not read_rows(killed):  # the second start finds its programs compiled: a typical start-up
    time.sleep(0.05)
  startup = time.monotonic() - began
  kill(started, 0)
  print(
    f'{args.processes} process(es) of {args.devices} device(s); start-up {startup:.1f} s; in {root}',
    flush=True,
  )

  rng = random.Random(args.seed)
  for number in range(1, args.kills + 1):
    started = start(killed)
    moment = rng.uniform(0.2 * startup, 1.4 * startup)
    time.sleep(moment)
    assert started[0].poll() is None, 'the run ended before its kill: raise --steps'
    which = number % args.processes
    seconds = kill(started, which)
    writing = any('tmp' in name for name in os.listdir(checkpoint.folder(killed)))
    steps, rows = checkpoint.available_steps(killed), read_rows(killed)
    print(
      f'kill {number:2d}, of process {which}, after {moment:5.1f} s: all ended in {seconds:4.1f} s; '
      f'checkpoints {steps}, last row of step {rows[-1]["step"] if rows else "none"}'
      + (', a checkpoint half written' if writing else ''),
      flush=True,
    )
  finish(killed)

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
