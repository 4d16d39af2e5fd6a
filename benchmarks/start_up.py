"""How long a run takes to its first step, with no compiled programs at hand and with all of them.

    python benchmarks/start_up.py --config=configs/pose_densenet.py --repeats=3

Each start is a process of its own, killed after its first step. Prints what it says of its parts, and the
seconds and processor seconds to the first step, medians at the end.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SAID = 'The first step ended'


def start(config: str, cache: str) -> tuple[float, float, str]:
  """Return the seconds and the processor seconds of one start, and what it said of its parts."""
  with tempfile.TemporaryDirectory() as workdir:
    began, before = time.monotonic(), os.times()
    process = subprocess.Popen(
      [
        sys.executable,
        'main.py',
        f'--config={config}',
        f'--workdir={workdir}',
        f'--compilation_cache={cache}',
      ],
      stdout=subprocess.PIPE,
      text=True,
    )
    said = next((line for line in process.stdout if SAID in line), None)
    seconds = time.monotonic() - began
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if said is None:
      sys.exit('The run ended before its first step.')
    after = os.times()
  computing = after.children_user + after.children_system
  return seconds, computing - before.children_user - before.children_system, said.strip()


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--config', default='configs/pose_densenet.py')
  parser.add_argument('--repeats', type=int, default=3)
  args = parser.parse_args()
  found = {'cold': [], 'warm': []}
  for _ in range(args.repeats):
    with tempfile.TemporaryDirectory() as cache:
      for name in found:
        seconds, computing, said = start(args.config, cache)
        found[name].append((seconds, computing))
        print(f'{name}: {seconds:.1f} s, {computing:.1f} s of processors\n  {said}', flush=True)
  for name, pairs in found.items():
    seconds, computing = map(statistics.median, zip(*pairs, strict=True))
    print(f'{name}, median: {seconds:.1f} s, {computing:.1f} s of processors')


if __name__ == '__main__':
  main()
