"""A training step of a heatmap net: posejax against PyTorch, same net, batch and optimiser.

    python benchmarks/train_step.py                                     # ResNet-18, 256x192, batch 8
    python benchmarks/train_step.py --model=pose_resnet50 --batch=4
    python benchmarks/train_step.py --model=pose_densenet_compact --batch=32 --size=128x96
    python benchmarks/train_step.py --device=gpu --dtype=bfloat16 --batch=128

posejax runs its own compiled step, from uint8 images and keypoints to the updated state: normalising,
drawing targets, gradient norm and per-example losses included. PyTorch gets normalised images and
targets ready made, and runs forward, mean squared error, backward and Adam; on a CPU with channels
last (which is faster than its default here), on a GPU with autocast and torch.compile besides. Before
anything is timed, both nets get the same weights and must predict the same heatmaps. The two take
turns in one process; the table gives medians. Without PyTorch, or for a net that has no twin in
torch_twin.py, posejax is measured alone.
"""

import argparse
import ctypes
from functools import partial
import os
import statistics
import time

import numpy as np


def keep_freed_memory() -> None:
  """Let glibc keep memory that was freed, instead of giving it back after every step.

  XLA's CPU backend allocates a step's temporary memory anew each time. Given back, its pages are
  faulted in and zeroed in the next step: a fifth of a ResNet-18 step's CPU time. Must run before
  threads start, because each thread's own arena would give large blocks back all the same.
  """
  libc = ctypes.CDLL(None)
  arena_max, mmap_max, trim_threshold = -8, -4, -1  # malloc.h
  if not all(
    libc.mallopt(*o) for o in ((arena_max, 1), (mmap_max, 0), (trim_threshold, 2**31 - 1))
  ):
    raise SystemExit('--keep_memory needs glibc.')


def make_batch(batch_size, size, num_keypoints):
  """Return random images and keypoints as `make_batch` hands them to a step."""
  rng = np.random.default_rng(0)
  h, w = size
  return {
    'images': rng.integers(0, 256, (batch_size, h, w, 3), dtype=np.uint8),
    'keypoints': rng.uniform((0, 0), (w, h), (batch_size, num_keypoints, 2)).astype(np.float32),
    'visibility': np.full((batch_size, num_keypoints), 2, np.int32),
    'index': np.arange(batch_size, dtype=np.int32),
    'mask': np.ones(batch_size, np.float32),
  }


class Posejax:
  """The project's own step."""

  def __init__(self, args, size):
    import jax

    from posejax import experiment, skeletons
    from posejax.config import Config
    from posejax.train import optim, parallel, state
    from posejax.train.step import make_train_step

    config = Config.from_dict(
      {
        'batch_size': args.batch,
        'dtype': args.dtype,
        'data': {'crop_size': size},
        'model': {'name': args.model},
        'optimizer': {'schedule': 'constant', 'schedule_steps': 1_000_000},
      }
    )
    self.model, self.task = experiment.pose_task(config, skeletons.COCO)
    optimizer = optim.create(config.optimizer)
    make_step = partial(
      make_train_step,
      self.task,
      optimizer,
      optim.schedule(config.optimizer, args.batch),
      jax.random.key(0),
    )
    mesh = parallel.make_mesh()
    init = parallel.compile_init(
      lambda key: state.create(self.task.init(key), optimizer, None), mesh
    )
    self.state = init(jax.random.key(0))
    self.batch = parallel.put_batch(
      make_batch(args.batch, size, skeletons.COCO.num_keypoints), mesh
    )
    step = parallel.compile_train_step(make_step, mesh, 'jit')
    began = time.perf_counter()
    self._step = step.lower(self.state, self.batch).compile()
    self.compile_seconds = time.perf_counter() - began

  def step(self):
    """Run one step to its end."""
    import jax

    self.state, output = self._step(self.state, self.batch)
    jax.block_until_ready((self.state, output))


class PyTorch:
  """The twin; `images` and `targets` are float32 in channels-last order, as posejax computes them."""

  def __init__(self, net, images, targets, device, dtype):
    import torch

    self._torch = torch
    self._device = 'cuda' if device == 'gpu' else 'cpu'
    self._dtype = getattr(torch, dtype)
    as_tensor = partial(torch.tensor, device=self._device)
    self._images, self._targets = (
      as_tensor(a.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)
      for a in (images, targets)
    )
    net = net.to(self._device, memory_format=torch.channels_last).train()
    self._optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    self._net = torch.compile(net) if device == 'gpu' else net

  def step(self):
    """Run one step to its end."""
    torch = self._torch
    self._optimizer.zero_grad(set_to_none=True)
    with torch.autocast(self._device, self._dtype, enabled=self._dtype != torch.float32):
      heatmaps = self._net(self._images)
    loss = (heatmaps.float() - self._targets).square().mean()
    loss.backward()
    self._optimizer.step()
    if self._device == 'cuda':
      torch.cuda.synchronize()


def make_twin(ours: Posejax, args, size):
  """Return the PyTorch contender, or None and why not."""
  try:
    import torch
    from torch_twin import BLOCKS, PoseResNet
  except ImportError:
    return None, 'PyTorch is not installed'
  depths = {f'pose_resnet{depth}': depth for depth in BLOCKS}
  if args.model not in depths:
    return None, 'torch_twin.py has no such net'
  if args.device == 'gpu' and not torch.cuda.is_available():
    return None, 'PyTorch sees no GPU'
  from posejax import codecs
  from posejax.config import InputsConfig

  torch.set_num_threads(len(os.sched_getaffinity(0)))
  inputs = InputsConfig()
  images = np.asarray(ours.batch['images'], np.float32) / 255
  images = (images - np.float32(inputs.mean)) / np.float32(inputs.std)
  variables = ours.state.variables
  expected = np.asarray(ours.model.apply(variables, images[:1])['heatmaps'])
  net = PoseResNet(depths[args.model], expected.shape[-1])
  net.load_posejax(variables)
  with torch.no_grad():
    found = net.eval()(torch.tensor(images[:1].transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
  error = np.abs(found - expected).max() / np.abs(expected).max()
  if error > (1e-3 if args.dtype == 'float32' and args.device == 'cpu' else 0.1):
    raise SystemExit(f'The nets differ: relative error {error:.1g} of the heatmaps.')
  codec = codecs.create(name='msra', crop_size=size, heatmap_size=expected.shape[1:3])
  targets, _ = codec.encode(ours.batch['keypoints'], ours.batch['visibility'])
  return PyTorch(net, images, np.asarray(targets), args.device, args.dtype), ''


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--model', default='pose_resnet18')
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--size', default='256x192', help='crop, height x width')
  parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16'])
  parser.add_argument('--device', default='cpu', choices=['cpu', 'gpu'])
  parser.add_argument('--repeats', type=int, default=10)
  parser.add_argument('--keep_memory', action='store_true', help=keep_freed_memory.__doc__)
  args = parser.parse_args()
  if args.keep_memory:
    keep_freed_memory()
  os.environ['JAX_PLATFORMS'] = {'cpu': 'cpu', 'gpu': 'cuda'}[args.device]
  # Both frameworks share a GPU here: JAX must not take its memory at the start.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  size = tuple(int(s) for s in args.size.split('x'))

  ours = Posejax(args, size)
  contenders = {'posejax': ours}
  twin, reason = make_twin(ours, args, size)
  if twin is None:
    print(f'posejax alone: {reason}.')
  else:
    contenders['PyTorch'] = twin
  times = {name: [] for name in contenders}
  for repeat in range(args.repeats + 2):
    for name, contender in contenders.items():
      began = time.perf_counter()
      contender.step()
      if repeat >= 2:  # the first turns warm up
        times[name].append(time.perf_counter() - began)
  rates = {name: args.batch / statistics.median(values) for name, values in times.items()}
  print(f'step compiled in {ours.compile_seconds:.0f} s; medians of {args.repeats} steps in turns')
  print('model | device | batch | size | dtype | posejax images/s | PyTorch images/s | ratio')
  theirs = rates.get('PyTorch')
  cells = [args.model, args.device, args.batch, args.size, args.dtype, f'{rates["posejax"]:.1f}']
  cells += [f'{theirs:.1f}', f'{rates["posejax"] / theirs:.2f}'] if theirs else ['-', '-']
  print(' | '.join(map(str, cells)))


if __name__ == '__main__':
  main()
