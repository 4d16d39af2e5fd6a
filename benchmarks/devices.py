"""What it costs to spread a step over devices: the same global batch on 1 device and on several.

    python benchmarks/devices.py                                   # 1, as many as cores, and 8 devices
    python benchmarks/devices.py --devices 1 8 --turns=9 --batch_size=128

The devices are this machine's CPU, taken for so many. Each turn has a process for every number of them,
forwards and backwards by turns, so that whatever else the machine does meets all alike; it compiles the
step, and takes the median of five after the first. Batch norm sees the same groups everywhere, so that
all compute the same. Printed are the medians over the turns, and the median of each turn's ratio to one
device.

What can be expected: one device has all cores for each operation, and several have a thread pool for all
of them together, with a part of the batch each. As many devices as cores is the comparison that an
accelerator would make: a device's share keeps its core busy, and what is left is exchange and waiting.
More devices than cores take turns, and small shares use each weight for fewer examples: no cost of
sharding, and no machine is built so.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  cores = len(os.sched_getaffinity(0))
  parser.add_argument('--devices', type=int, nargs='+', default=sorted({1, cores, 8}))
  parser.add_argument('--batch_size', type=int, default=64, help='of all devices together')
  parser.add_argument('--turns', type=int, default=5)
  parser.add_argument('--config', default='configs/pose_densenet.py')
  parser.add_argument('--only', type=int, help='measure so many devices, in this process')
  args = parser.parse_args()
  if args.only:
    print(seconds(args.only, args))
    return
  if args.devices[0] != 1 or any(args.batch_size % number for number in args.devices):
    parser.error('--devices begin with 1, and each divides --batch_size')
  times = {number: [] for number in args.devices}
  for turn in range(args.turns):
    for number in args.devices if turn % 2 == 0 else reversed(args.devices):
      times[number].append(in_a_process(number, args))
  print(f'{args.config}, batch {args.batch_size}, {cores} cores, {args.turns} turns')
  print('| devices | ms a step | over one device |')
  print('|---|---|---|')
  for number, found in times.items():
    ratio = statistics.median(a / b for a, b in zip(found, times[1], strict=True))
    print(f'| {number} | {statistics.median(found) * 1e3:.1f} | {ratio - 1:+.1%} |', flush=True)


def in_a_process(number: int, args: argparse.Namespace) -> float:
  """Return the seconds of a step that a process of its own measures."""
  command = [sys.executable, __file__, f'--only={number}', f'--config={args.config}']
  command += [f'--batch_size={args.batch_size}', '--devices', *map(str, args.devices)]
  environment = {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    'XLA_FLAGS': f'--xla_force_host_platform_device_count={number}',
  }
  result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
  return float(result.stdout.split()[-1])


def seconds(number: int, args: argparse.Namespace) -> float:
  """Return the seconds of a step on so many devices."""
  from posejax import devices
  from posejax.commands import config_flags
  from posejax.plan import compiled, measured

  group = args.batch_size // max(args.devices)
  config = config_flags.read([f'--config={args.config}'])
  model = {**config.model, 'bn_group_size': group}
  config = dataclasses.replace(config, model=model, batch_size=args.batch_size)
  mesh = devices.make_mesh()
  assert mesh.size == number
  return measured.step_seconds(compiled.compile_step(config, mesh), mesh)


if __name__ == '__main__':
  main()
