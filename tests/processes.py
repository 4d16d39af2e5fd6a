"""JAX programs in processes of their own: two that find each other, or one with many devices.

They have no TensorFlow, whose import takes longer than most of what they do.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
from typing import NamedTuple


class Ended(NamedTuple):
  """How a process ended, and what it wrote."""

  code: int
  out: str
  err: str


def without_tensorflow(**more):
  """Return this process's environment, with variables changed, for one that finds no TensorFlow.

  Training does without it, but for TensorBoard's events.
  """
  folder = str(pathlib.Path(__file__).with_name('no_tensorflow'))
  path = os.pathsep.join(filter(None, [folder, os.environ.get('PYTHONPATH')]))
  return {**os.environ, 'PYTHONPATH': path, **more}


def last_lines(program):
  """Run Python code in two processes that find each other; return the last line each printed."""
  ended = run(program)
  assert [process.code for process in ended] == [0, 0], ended
  return [process.out.splitlines()[-1] for process in ended]


def run(program, numbers=(0, 1), port=None, **environ):
  """Run Python code in processes that find each other, with further variables; return their ends.

  `numbers` says which of the two are started, `port` where process 0 listens.
  """
  port = port or free_port()
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', program],
      env=without_tensorflow(**environ, **environment(i, port)),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in numbers
  ]
  try:
    outputs = [process.communicate(timeout=300) for process in processes]
  finally:
    for process in processes:
      process.kill()
  return [
    Ended(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)
  ]


def on_host_devices(program, num_devices):
  """Run Python code on so many forced host devices; return what its last line, JSON, says."""
  result = subprocess.run(
    [sys.executable, '-c', program],
    env=without_tensorflow(XLA_FLAGS=f'--xla_force_host_platform_device_count={num_devices}'),
    capture_output=True,
    text=True,
    timeout=900,
    check=False,
  )
  assert result.returncode == 0, result.stderr[-3000:]
  return json.loads(result.stdout.splitlines()[-1])


def environment(number, port, count=2):
  """Return the variables by which a process finds the others on this machine."""
  return {
    'JAX_PLATFORMS': 'cpu',
    'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{port}',
    'POSEJAX_NUM_PROCESSES': str(count),
    'POSEJAX_PROCESS_ID': str(number),
  }


def free_port():
  """Return a port at which nobody listens."""
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    return free.getsockname()[1]
