"""Converting a checkpoint: seconds and peak memory, against the file's size.

    python benchmarks/convert.py                                # HRNet-W48, 255 MB, seeded values
    python benchmarks/convert.py --net=pose_resnet50
    python benchmarks/convert.py --file=FILE --net=pose_resnet50

Two measurements, each in a process of its own: `posejax.weights.convert.from_file` after everything was
imported, and the whole command `posejax convert`, start of Python and writing of the work directory
included. Memory is the peak of the resident set; of the first, what it rose by. Seconds of the clock
mean little on a machine that does other things; seconds of the processor stand beside them.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGS = {
  **{f'pose_resnet{d}': f'configs/pose_resnet.py:depth={d}' for d in (18, 34, 50, 101, 152)},
  **{f'pose_hrnet_w{w}': f'configs/pose_hrnet.py:width={w}' for w in (32, 48)},
}


def make_file(net: str, path: str) -> None:
  """Write a seeded checkpoint in PyTorch's form and the peer's naming, with the tests' writer."""
  sys.path.insert(0, str(ROOT))
  from tests.goldens import seeded
  from tests.weights import torch_bytes

  with np.load(ROOT / 'tests' / 'goldens' / f'{net}.npz') as golden:
    shapes = json.loads(golden['shapes'].tobytes())
  torch_bytes.save(pathlib.Path(path), seeded.weights(shapes))


def peak_mb(who: int) -> float:
  return resource.getrusage(who).ru_maxrss / 1000  # Linux counts in kilobytes


def measure_function(path: str, net: str) -> None:
  """Print seconds and memory of `from_file` as JSON; run in a process of its own."""
  from posejax.weights import convert

  before = peak_mb(resource.RUSAGE_SELF)
  clock, processor = time.monotonic(), time.process_time()
  convert.from_file(path, net)
  result = {
    'seconds': time.monotonic() - clock,
    'cpu': time.process_time() - processor,
    'mb': peak_mb(resource.RUSAGE_SELF) - before,
  }
  print(json.dumps(result))


def measure_command(path: str, net: str, workdir: str) -> dict[str, float]:
  """Return seconds and memory of the command."""
  arguments = ['convert', path, f'--config={CONFIGS[net]}', f'--workdir={workdir}']
  clock, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
  subprocess.run([sys.executable, '-m', 'posejax.cli', *arguments], cwd=ROOT, check=True)
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  return {'seconds': time.monotonic() - clock, 'cpu': cpu, 'mb': after.ru_maxrss / 1000}


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--net', default='pose_hrnet_w48', choices=CONFIGS)
  parser.add_argument('--file', help='a checkpoint of that net; one is made where unset')
  parser.add_argument('--only_function', action='store_true', help=argparse.SUPPRESS)
  flags = parser.parse_args()
  if flags.only_function:
    measure_function(flags.file, flags.net)
    return
  with tempfile.TemporaryDirectory() as folder:
    path = flags.file or os.path.join(folder, f'{flags.net}.pth')
    if not flags.file:
      # In a process of its own too: a child counts its parent's memory until it has its own.
      subprocess.run(
        [sys.executable, '-c', f'import convert; convert.make_file({flags.net!r}, {path!r})'],
        cwd=ROOT / 'benchmarks',
        check=True,
      )
    size = os.path.getsize(path) / 1e6
    again = [sys.executable, __file__, f'--net={flags.net}', f'--file={path}', '--only_function']
    function = json.loads(subprocess.run(again, check=True, stdout=subprocess.PIPE).stdout)
    command = measure_command(path, flags.net, os.path.join(folder, 'run'))
  print(f'| {flags.net}, {size:.0f} MB | seconds | CPU seconds | peak MB | times the file |')
  print('|---|---|---|---|---|')
  for name, row in (('from_file, what it adds', function), ('posejax convert, all of it', command)):
    figures = f'{row["seconds"]:.1f} | {row["cpu"]:.1f} | {row["mb"]:.0f} | {row["mb"] / size:.2f}'
    print(f'| {name} | {figures} |')


if __name__ == '__main__':
  main()
