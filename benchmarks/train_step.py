"""A training step of a pose net: posejax against PyTorch, same net, batch and optimiser.

    python benchmarks/train_step.py                                     # ResNet-18, 256x192, batch 8
    python benchmarks/train_step.py --model=pose_resnet50 --batch=4
    python benchmarks/train_step.py --model=pose_densenet_compact --batch=32 --size=128x96
    python benchmarks/train_step.py --model=fcn8s --batch=2
    python benchmarks/train_step.py --model=regression_cnn --batch=32 --size=220x220
    python benchmarks/train_step.py --device=gpu --dtype=bfloat16 --batch=128 --profile

posejax runs its own compiled step, from uint8 images and keypoints to the updated state: normalising,
drawing targets, gradient norm and per-example losses included. PyTorch gets normalised images and
targets ready made, and runs forward, the net's loss (mean squared error; for FCN-8s cross-entropy, and
not even balanced), backward and Adam; on a CPU with channels last (which is faster than its default
here), on a GPU with autocast and torch.compile besides. Before anything is timed, both nets get the same
weights and must predict the same. The two take turns, each in a process of its own; the table gives
medians, the share of what a product of large matrices of the same type reaches on the device (counting
three forward passes a step), and the memory that posejax's compiled step needs and that PyTorch had
allocated at most. `--profile` adds where the time goes.
Without PyTorch, or for a net that has no twin in twins/, posejax is measured alone.
"""

import argparse
from functools import partial
import time

import contest
import numpy as np
import rival

# What nets that don't output heatmaps are trained with.
CODECS = {'fcn8s': 'discs', 'regression_cnn': 'regression'}


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

    from posejax import devices, experiment, labels, skeletons
    from posejax.config import Config
    from posejax.experiment import pose_outputs
    from posejax.options import from_options
    from posejax.tasks.pose.options import PoseOptions
    from posejax.train.step import build

    config = Config.from_dict(
      {
        'batch_size': args.batch,
        'dtype': args.dtype,
        'task': {'name': 'pose', 'crop_size': size},
        'model': {'name': args.model},
        'codec': {'name': CODECS.get(args.model, 'msra')},
        'optimizer': {'schedule': 'constant', 'schedule_steps': 1_000_000},
      }
    )
    self.model, self.task = experiment.build(config, labels.people(skeletons.COCO))
    options = from_options('task', config.task, PoseOptions)
    self.codec, _ = pose_outputs.codec_and_loss(config, options, self.model, 17)
    mesh, self._key = devices.make_mesh(), jax.random.key(0)
    variables = devices.compile_init(self.task.init, mesh)(self._key)
    training = build.training(self.task, config, mesh, variables)
    self.state = devices.compile_init(training.init_state, mesh)(variables)
    self.batch = devices.put_batch(make_batch(args.batch, size, skeletons.COCO.num_keypoints), mesh)
    began = time.perf_counter()
    self._step = training.step.lower(self.state, self.batch, self._key).compile()
    self.compile_seconds = time.perf_counter() - began
    self.bytes = contest.program_bytes(self._step)

  def step(self):
    """Run one step to its end."""
    import jax

    self.state, output = self._step(self.state, self.batch, self._key)
    jax.block_until_ready((self.state, output))


class PyTorch:
  """The twin, in a process of its own; `images` and `targets` are posejax's, channels last."""

  def __init__(self, name, variables, count, images, targets, device, dtype):
    self._torch = torch = rival.prepare_torch()
    net = rival.load_twin(name, device, variables, count)
    self._device = 'cuda' if device == 'gpu' else 'cpu'
    self._dtype = getattr(torch, dtype)
    self._images, self._targets = self._to_torch(images), self._to_torch(targets)
    # Whole numbers are classes.
    by_class = not self._targets.is_floating_point()
    self._loss_fn = torch.nn.functional.cross_entropy if by_class else torch.nn.functional.mse_loss
    self._plain = net.to(self._device, memory_format=torch.channels_last)
    self._optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    self._net = torch.compile(net) if device == 'gpu' else net

  def outputs(self, count):
    """Return what the untrained net gives for the first `count` images, maps channels last."""
    with self._torch.no_grad():
      found = self._plain.eval()(self._images[:count]).float().cpu().numpy()
    self._plain.train()
    return found.transpose(0, 2, 3, 1) if found.ndim == 4 else found

  def _to_torch(self, array):
    """Return a tensor, of maps `[B, h, w, C]` channels first as PyTorch has them."""
    tensor = self._torch.tensor(np.asarray(array), device=self._device)
    if tensor.ndim == 4:
      tensor = tensor.permute(0, 3, 1, 2).contiguous(memory_format=self._torch.channels_last)
    return tensor if tensor.is_floating_point() else tensor.long()

  def step(self):
    """Run one step to its end."""
    torch = self._torch
    self._optimizer.zero_grad(set_to_none=True)
    with torch.autocast(self._device, self._dtype, enabled=self._dtype != torch.float32):
      outputs = self._net(self._images)
    self._loss_fn(outputs.float(), self._targets).backward()
    self._optimizer.step()
    if self._device == 'cuda':
      torch.cuda.synchronize()

  def peak_bytes(self) -> int:
    """Return the most that was allocated on the GPU."""
    return self._torch.cuda.max_memory_allocated()


def start_pytorch(ours: Posejax, args) -> rival.Away:
  """Return the PyTorch contender, checked to be the same net."""
  from posejax.config import InputsConfig

  inputs = InputsConfig()
  images = np.asarray(ours.batch['images'], np.float32) / 255
  images = (images - np.float32(inputs.mean)) / np.float32(inputs.std)
  variables = ours.state.variables
  ((output, expected),) = ours.model.apply(variables, images[:1]).items()
  count = expected.shape[1 if output == 'coordinates' else -1]
  targets, _ = ours.codec.encode(ours.batch['keypoints'], ours.batch['visibility'])
  targets = targets[output]
  variables = rival.to_numpy(variables)
  twin = rival.Away(
    PyTorch, args.model, variables, count, images, np.asarray(targets), args.device, args.dtype
  )
  contest.check_equal(twin.call('outputs', 1), np.asarray(expected), args)
  return twin


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--model', default='pose_resnet18')
  contest.add_arguments(parser, batch='8')
  args = parser.parse_args()
  args.batch = int(args.batch)
  contest.prepare(args)
  size = contest.crop_size(args)
  ours = Posejax(args, size)
  contenders, twin = {'posejax': partial(contest.timed, ours.step)}, None
  try:
    twin = start_pytorch(ours, args)
    contenders['PyTorch'] = twin.timed('step')
  except rival.NoRivalError as e:
    print(f'posejax alone: {e}.')
  seconds = contest.turns(contenders, args.repeats)
  rates = {name: args.batch / value for name, value in seconds.items()}
  images = np.zeros((args.batch, *size, 3), np.float32)
  # The customary count: the two gradients of a product cost what the product does.
  flops = 3 * contest.forward_flops(ours.model, ours.state.variables, images)
  share = flops / seconds['posejax'] / contest.matrix_peak(args.dtype, args.device)
  print(f'step compiled in {ours.compile_seconds:.0f} s; medians of {args.repeats} steps in turns')
  print(
    'model | device | batch | size | dtype | posejax images/s | PyTorch images/s | ratio '
    '| share of matrix peak | posejax GB | PyTorch GB'
  )
  cells = [args.model, args.device, args.batch, args.size, args.dtype, f'{rates["posejax"]:.1f}']
  theirs = rates.get('PyTorch')
  cells += [f'{theirs:.1f}', f'{rates["posejax"] / theirs:.2f}'] if theirs else ['-', '-']
  cells += [f'{share:.2f}', f'{ours.bytes / 1e9:.2f}']
  cells += [f'{twin.call("peak_bytes") / 1e9:.2f}' if twin and args.device == 'gpu' else '-']
  print(' | '.join(map(str, cells)))
  if twin:
    twin.close()
  if args.profile:
    contest.print_profile(ours.step)


if __name__ == '__main__':
  main()
