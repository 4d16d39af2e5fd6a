"""What the benchmarks against PyTorch share: settings, equal nets, turns, and what the device can do."""

import argparse
from collections.abc import Callable, Mapping
import glob
import os
import re
import statistics
import tempfile
import time

import numpy as np

from posejax.process import huge_pages

TOLERANCE = {('cpu', 'float32'): 1e-3, ('gpu', 'float32'): 1e-2}
"""Largest error of outputs, relative to their maximum; a GPU computes float32 products in TF32."""
_ROUGH = 0.1  # of bfloat16
_PAUSE = 0.05  # seconds between turns; an OpenMP thread spins for some milliseconds
_HOST_EVENTS = re.compile(r'\$|end: |Threadpool|Thunk|Pjit|PjRt|Task|jit_|.*\(wait')


def add_arguments(parser: argparse.ArgumentParser, batch: str) -> None:
  """Add the settings that all benchmarks of nets have."""
  parser.add_argument('--batch', default=batch, help='examples at a time')
  parser.add_argument('--size', default='256x192', help='crop, height x width')
  parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16'])
  parser.add_argument('--device', default='cpu', choices=['cpu', 'gpu'])
  parser.add_argument('--repeats', type=int, default=10)
  parser.add_argument('--profile', action='store_true', help="list posejax's longest operations")


def prepare(args: argparse.Namespace) -> None:
  """Set up this process as main.py sets up its own, before JAX is imported."""
  huge_pages.use()
  os.environ['JAX_PLATFORMS'] = {'cpu': 'cpu', 'gpu': 'cuda'}[args.device]
  # PyTorch's process shares the GPU: JAX must not take its memory at the start.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')


def crop_size(args: argparse.Namespace) -> tuple[int, int]:
  """Return (H, W)."""
  height, width = args.size.split('x')
  return int(height), int(width)


def check_equal(found: np.ndarray, expected: np.ndarray, args: argparse.Namespace) -> float:
  """Return the error of `found`, relative to the largest value expected; refuse too large a one."""
  error = np.abs(found - expected).max() / np.abs(expected).max()
  if not error <= TOLERANCE.get((args.device, args.dtype), _ROUGH):
    raise SystemExit(f'The nets differ: relative error {error:.1g} of the outputs.')
  return float(error)


def timed(run: Callable[[], object]) -> float:
  """Return the seconds that a call takes."""
  began = time.perf_counter()
  run()
  return time.perf_counter() - began


def burst(run: Callable[[], float], calls: int = 10) -> float:
  """Let a contender run several times at once, as on a film, and return its median without the first two.

  After a pause the first calls of what takes milliseconds take twice as long.
  """
  return statistics.median([run() for _ in range(calls)][2:])


def turns(contenders: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, float]:
  """Let contenders, which return their seconds, run in turns; return each one's median.

  Idle threads look out for work for a while, at the cost of whoever comes next: hence the pauses.
  """
  times = {name: [] for name in contenders}
  for repeat in range(repeats + 2):
    for name, run in contenders.items():
      time.sleep(_PAUSE)
      seconds = run()
      if repeat >= 2:  # the first turns warm up
        times[name].append(seconds)
  return {name: statistics.median(values) for name, values in times.items()}


def matrix_peak(dtype: str, device: str) -> float:
  """Return the floating-point operations a second that a product of large matrices reaches here."""
  import jax
  import jax.numpy as jnp

  n = {'cpu': 2048, 'gpu': 8192}[device]
  product = jax.jit(lambda a, b: a @ b)
  a = jnp.full((n, n), 0.5, dtype)
  jax.block_until_ready(product(a, a))
  times = []
  for _ in range(10):
    began = time.perf_counter()
    jax.block_until_ready(product(a, a))
    times.append(time.perf_counter() - began)
  return 2 * n**3 / min(times)


def forward_flops(model, variables, images: np.ndarray) -> float:
  """Return the floating-point operations of one forward pass, a multiplication and an addition as two.

  Counted before the compiler rewrites anything.
  """
  import jax

  return jax.jit(model.apply).lower(variables, images).cost_analysis()['flops']


def program_bytes(compiled) -> int:
  """Return what a compiled program needs at once: arguments, results and temporaries."""
  memory = compiled.memory_analysis()
  needed = memory.argument_size_in_bytes + memory.output_size_in_bytes
  return needed + memory.temp_size_in_bytes - memory.alias_size_in_bytes


def print_profile(run: Callable[[], None], count: int = 3, lines: int = 10) -> None:
  """Print where `run` spends its time: operations by the sum of their durations, in ms per run.

  On a CPU operations run beside each other on several threads, so the sum may exceed the run's time.
  """
  import jax

  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      for _ in range(count):
        run()
    (path,) = glob.glob(f'{folder}/**/*.xplane.pb', recursive=True)
    data = jax.profiler.ProfileData.from_file(path)
  planes = list(data.planes)
  on_gpu = [plane for plane in planes if plane.name.startswith('/device:GPU')]
  totals: dict[str, float] = {}
  for plane in on_gpu or [plane for plane in planes if plane.name == '/host:CPU']:
    for line in plane.lines:
      if line.name.startswith('Stream') if on_gpu else line.name.startswith('tf_XLA'):
        for event in line.events:
          if on_gpu or not _HOST_EVENTS.match(event.name):
            kind = re.sub(r'[._]\d+$', '', event.name)
            totals[kind] = totals.get(kind, 0.0) + event.duration_ns / 1e6 / count
  whole = sum(totals.values())
  print(f'longest operations, of {whole:.1f} ms in all:')
  for kind, spent in sorted(totals.items(), key=lambda item: -item[1])[:lines]:
    print(f'  {spent:9.2f} ms {100 * spent / whole:5.1f} %  {kind[:110]}')
