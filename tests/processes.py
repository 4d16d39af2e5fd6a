"""Two processes of one JAX program on this machine."""

import os
import socket
import subprocess
import sys


def last_lines(program):
  """Run Python code in two processes that find each other; return the last line each printed."""
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', program],
      env={
        **os.environ,
        'JAX_PLATFORMS': 'cpu',
        'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{port}',
        'POSEJAX_NUM_PROCESSES': '2',
        'POSEJAX_PROCESS_ID': str(i),
      },
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  try:
    outputs = [process.communicate(timeout=120) for process in processes]
  finally:
    for process in processes:
      process.kill()
  assert [process.returncode for process in processes] == [0, 0], outputs
  return [out.splitlines()[-1] for out, _ in outputs]
