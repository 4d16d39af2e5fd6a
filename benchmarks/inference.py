"""Predicting keypoints from crops: posejax against PyTorch, same nets, weights and pictures.

    python benchmarks/inference.py                                # four nets, batches of 1 and 8, 256x192
    python benchmarks/inference.py --models=pose_resnet18 --flip=on
    python benchmarks/inference.py --device=gpu --dtype=bfloat16 --batch=1,32,256 --profile

Both get uint8 crops on the host and give keypoints on the host: normalising, the net (with `--flip` a
second time for the mirrored crops, averaged), and decoding with the quarter of a cell. posejax runs
its task's own `predict`, compiled; PyTorch runs in inference mode with channels last, on a GPU
compiled with torch.compile, and in bfloat16 with bfloat16 weights. Heatmaps and keypoints are compared
before anything is timed. The two take turns, each in a process of its own; the table gives medians: a
batch of 1 is the latency, larger ones the throughput. Without PyTorch, posejax is measured alone.
"""

import argparse
from functools import partial
import gc
import time

import contest
import numpy as np
import rival

MODELS = 'pose_resnet18,pose_resnet50,pose_hrnet_w32,pose_densenet121'
SAME_KEYPOINTS = 0.99
"""Of float32 on a CPU; the rest are ties that rounding decides."""


def random_variables(model, size):
  """Return variables as He et al. draw them, in NumPy: compiling an initialisation takes a minute."""
  import jax

  shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, *size, 3), np.float32))
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    name = path[-1].key
    if name == 'kernel':
      deviation = np.sqrt(2 / np.prod(leaf.shape[:-1]))
      return rng.normal(0, deviation, leaf.shape).astype(np.float32)
    return np.full(leaf.shape, name in ('scale', 'var'), np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


class Posejax:
  """The project's own `predict`."""

  def __init__(self, name, args, flip):
    from posejax import experiment, labels, skeletons
    from posejax.config import Config

    size = contest.crop_size(args)
    config = Config.from_dict(
      {
        'dtype': args.dtype,
        'task': {'name': 'pose', 'crop_size': size, 'flip': flip},
        'model': {'name': name},
      }
    )
    self.skeleton = skeletons.COCO
    self.model, self._task = experiment.build(config, labels.people(self.skeleton))
    self.variables = random_variables(self.model, size)

  def compile(self, images: np.ndarray) -> None:
    """Compile for a batch."""
    import jax

    self._on_device = jax.device_put(self.variables)
    example = (self._on_device, images)
    began = time.perf_counter()
    self._compiled = jax.jit(self._task.infer).lower(*example).compile()
    self.compile_seconds = time.perf_counter() - began
    self.bytes = contest.program_bytes(self._compiled)

  def predict(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return heatmaps, on the device, and keypoints, on the host."""
    predictions = self._compiled(self._on_device, images)
    return predictions['heatmaps'], np.asarray(predictions['keypoints_crop'])


class PyTorch:
  """The twin in a process of its own, with the same steps around it."""

  def __init__(self, name, variables, flip_permutation, args, flip, mean_and_std):
    self._torch = torch = rival.prepare_torch()
    net = rival.load_twin(name, args.device, variables, len(flip_permutation))
    self._device = 'cuda' if args.device == 'gpu' else 'cpu'
    self._dtype = getattr(torch, args.dtype)
    self._size = contest.crop_size(args)
    self._flip = flip
    as_column = lambda v: torch.tensor(v, device=self._device).reshape(3, 1, 1)  # noqa: E731
    self._mean, self._std = map(as_column, mean_and_std)
    self._permutation = torch.tensor(np.asarray(flip_permutation), device=self._device)
    self._net = net.eval().to(self._device, self._dtype, memory_format=torch.channels_last)
    self._run = self._forward
    if self._device == 'cuda':
      self._run = torch.compile(self._forward, mode='reduce-overhead')

  def _forward(self, images):
    torch = self._torch
    images = (images.permute(0, 3, 1, 2).float() / 255 - self._mean) / self._std
    heatmaps = self._net(images.to(self._dtype)).float()
    if self._flip:
      mirrored = self._net(images.flip(3).to(self._dtype)).float().flip(3)[:, self._permutation]
      mirrored = torch.cat([mirrored[..., :1], mirrored[..., :-1]], 3)
      heatmaps = (heatmaps + mirrored) / 2
    return heatmaps, self._decode(heatmaps)

  def _decode(self, heatmaps):
    torch = self._torch
    h, w = heatmaps.shape[2:]
    cells = heatmaps.flatten(2)
    values, index = cells.max(2)
    x, y = index % w, index // w
    inside = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1) & (values > 0)

    def slope(step):
      ahead, behind = (index + step).clamp(0, h * w - 1), (index - step).clamp(0, h * w - 1)
      difference = cells.gather(2, ahead[..., None]) - cells.gather(2, behind[..., None])
      return torch.where(inside, 0.25 * difference[..., 0].sign(), 0.0)

    points = torch.stack([x + slope(1), y + slope(w)], -1)
    points = torch.where((values > 0)[..., None], points, 0.0)
    height, width = self._size
    return points * torch.tensor([width / w, height / h], device=points.device)

  def predict(self, images: np.ndarray):
    """Return heatmaps, on the device, and keypoints, on the host."""
    with self._torch.inference_mode():
      heatmaps, keypoints = self._run(self._torch.from_numpy(images).to(self._device))
      return heatmaps, keypoints.cpu().numpy()

  def predict_both(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return heatmaps `[B, h, w, K]` and keypoints, on the host."""
    heatmaps, keypoints = self.predict(images)
    return heatmaps.float().cpu().numpy().transpose(0, 2, 3, 1), keypoints


def compare(ours, theirs, images, args) -> str:
  """Return how far apart two predictions are; refuse what is too far."""
  heatmaps, keypoints = ours.predict(images)
  found, their_keypoints = theirs.call('predict_both', images)
  error = contest.check_equal(found, np.asarray(heatmaps), args)
  same = np.isclose(keypoints, their_keypoints, atol=1e-3).all(-1).mean()
  exact = args.device == 'cpu' and args.dtype == 'float32'
  if exact and same < SAME_KEYPOINTS:
    raise SystemExit(f'Only {100 * same:.1f} % of the keypoints are the same.')
  return f'heatmaps within {error:.0e}, {100 * same:.1f} % of keypoints the same'


def measure(name, flip, batch, args) -> None:
  """Print one row of the table."""
  rng = np.random.default_rng(1)
  images = rng.integers(0, 256, (batch, *contest.crop_size(args), 3), dtype=np.uint8)
  ours = Posejax(name, args, flip)
  ours.compile(images)
  contenders = {'posejax': partial(contest.timed, lambda: ours.predict(images))}
  try:
    from posejax.config import InputsConfig

    inputs = InputsConfig()
    permutation = np.asarray(ours.skeleton.flip_permutation)
    twin = rival.Away(
      PyTorch, name, ours.variables, permutation, args, flip, (inputs.mean, inputs.std)
    )
    compared = compare(ours, twin, images, args)
    contenders['PyTorch'] = twin.timed('predict', images)
  except rival.NoRivalError as e:
    twin, compared = None, str(e)
  seconds = contest.turns(contenders, args.repeats)
  flops = contest.forward_flops(ours.model, ours.variables, np.zeros(images.shape, np.float32))
  rate = flops * (2 if flip else 1) / seconds['posejax']
  cells = [name, args.device, args.dtype, batch, 'yes' if flip else 'no']
  cells += [f'{1000 * seconds["posejax"]:.1f}', f'{batch / seconds["posejax"]:.1f}']
  if twin is None:
    cells += ['-', '-', '-']
  else:
    theirs = seconds['PyTorch']
    cells += [f'{1000 * theirs:.1f}', f'{batch / theirs:.1f}', f'{theirs / seconds["posejax"]:.2f}']
  cells += [f'{rate / args.peak:.2f}', f'{ours.bytes / 1e9:.2f}', f'{ours.compile_seconds:.0f}']
  print('| ' + ' | '.join(map(str, [*cells, compared])) + ' |', flush=True)
  if twin is not None:
    twin.close()
  if args.profile:
    contest.print_profile(lambda: ours.predict(images))


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--models', default=MODELS)
  parser.add_argument('--flip', default='both', choices=['on', 'off', 'both'])
  contest.add_arguments(parser, batch='1,8')
  args = parser.parse_args()
  contest.prepare(args)
  args.peak = contest.matrix_peak(args.dtype, args.device)
  print(f'{args.size}, medians of {args.repeats}; matrix peak {args.peak / 1e12:.2f} TFLOP/s')
  print(
    '| model | device | dtype | batch | flip | posejax ms | images/s | PyTorch ms | images/s | ratio '
    '| share of matrix peak | GB | compiled in s | compared |'
  )
  print('|' + '---|' * 14)
  for name in args.models.split(','):
    for flip in {'on': [True], 'off': [False], 'both': [False, True]}[args.flip]:
      for batch in args.batch.split(','):
        measure(name, flip, int(batch), args)
        gc.collect()


if __name__ == '__main__':
  main()
