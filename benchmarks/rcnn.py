"""Keypoint R-CNN's parts at 800x1333 on the CPU: posejax against torchvision, one picture, float32.

    python benchmarks/rcnn.py
    python benchmarks/rcnn.py --repeats=3 --parts=features,box_head

Both have the seeded weights of the goldens, and must answer the same before anything is timed
(`benchmarks/rcnn_parity.py` compares what they find on photographs). Parts are the backbone with its
pyramid, the box head on 1,000 regions and the head for keypoints on 100, given regions. RoIAlign and
suppression are timed apart by `benchmarks/detection_ops.py`, as torchvision's compiled ones are not
always there. All take turns, each in a process of its own; torchvision takes part twice, with PyTorch's
own layout and with channels last, and the ratio is to the faster of the two. Needs PyTorch and
torchvision beside posejax (tried: torch 2.13.0 and `pip install --no-deps torchvision==0.28.0`).
"""

import argparse
import functools
import json
import os
import sys

import contest
import numpy as np
import rival

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))  # for tests.goldens

CANVAS = (800, 1344)
SHAPES = {
  'features': (1, *CANVAS, 3),
  'box_head': (1, 1000, 7, 7, 256),
  'keypoint_head': (1, 100, 14, 14, 256),
}
LEVELS = ('0', '1', '2', '3', 'pool')
"""torchvision's names of the pyramid's maps, the finest first."""


def seeded_tensors():
  """Return torchvision's state dict with the seeded values of the goldens."""
  from tests.goldens import seeded_rcnn

  path = os.path.join(os.path.dirname(seeded_rcnn.__file__), 'keypoint_rcnn.npz')
  golden = np.load(path)
  texts = (json.loads(golden[name].tobytes()) for name in ('shapes', 'scales', 'biases'))
  return seeded_rcnn.weights(*texts)


def input_of(name):
  """Return what goes into a part, channels last; nothing a region shows is below 0."""
  x = np.random.default_rng(0).normal(size=SHAPES[name]).astype(np.float32)
  return x if name == 'features' else np.abs(x)


class Posejax:
  """The parts as compiled programs."""

  def __init__(self):
    import jax

    from posejax import models
    from posejax.weights import convert

    model = models.create('keypoint_rcnn_resnet50_fpn', norm_epsilon=0.0)
    self.variables = jax.device_put(convert.from_tensors(seeded_tensors(), model).variables)
    parts = {
      'features': lambda m, x: m.features(x),
      'box_head': lambda m, x: m.box_head(x),
      'keypoint_head': lambda m, x: m.keypoint_head(x),
    }
    self.programs = {
      name: jax.jit(functools.partial(model.apply, method=part)) for name, part in parts.items()
    }
    self.inputs = {name: jax.device_put(input_of(name)) for name in SHAPES}
    self.ready = jax.block_until_ready

  def run(self, name):
    return self.ready(self.programs[name](self.variables, self.inputs[name]))

  def answers(self, name):
    """Return what a part gives as arrays, channels last."""
    found = self.run(name)
    if name == 'features':
      return [np.asarray(found[stride]) for stride in sorted(found)]
    return [np.asarray(x) for x in (found if name == 'box_head' else [found])]


class Torchvision:
  """The same of torchvision, in inference mode.

  Args:
    channels_last: the layout of weights and maps; else PyTorch's own, which RoIAlign gives.
  """

  def __init__(self, channels_last):
    torch = rival.prepare_torch()
    try:
      from tests.goldens import make_rcnn
    except ImportError as error:
      raise rival.NoRivalError(str(error)) from None

    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = make_rcnn.build('keypoint')
    make_rcnn.load(model, seeded_tensors())
    model = model.to(memory_format=layout)
    heads = model.roi_heads
    self.parts = {
      'features': model.backbone,
      'box_head': lambda x: heads.box_predictor(heads.box_head(x)),
      'keypoint_head': lambda x: heads.keypoint_predictor(heads.keypoint_head(x)),
    }
    self.inputs = {}
    for name, shape in SHAPES.items():
      x = torch.from_numpy(input_of(name).reshape(shape[-4:])).permute(0, 3, 1, 2)
      self.inputs[name] = x.contiguous(memory_format=layout)
    self.mode = torch.inference_mode

  def run(self, name):
    with self.mode():
      return self.parts[name](self.inputs[name])

  def answers(self, name):
    """Return what `Posejax.answers` does."""
    found = self.run(name)
    if name == 'features':
      return [found[level].permute(0, 2, 3, 1).numpy() for level in LEVELS]
    if name == 'box_head':
      logits, deltas = (x.numpy()[None] for x in found)
      return [logits, deltas.reshape(*logits.shape, 4)]
    return [found.permute(0, 2, 3, 1).numpy()[None]]


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--parts', default=','.join(SHAPES))
  flags = parser.parse_args()
  os.environ['JAX_PLATFORMS'] = 'cpu'
  ours, theirs = rival.Away(Posejax), {}
  try:
    for name, channels_last in (('torchvision', False), ('channels last', True)):
      theirs[name] = rival.Away(Torchvision, channels_last)
  except rival.NoRivalError as reason:
    print(f'posejax alone: {reason}.')
  names = ['posejax', *theirs]
  print(f'| part | {" ms | ".join(names)} ms | ratio | largest difference |')
  print('|---' * (len(names) + 3) + '|')
  for part in flags.parts.split(','):
    found, error = ours.call('answers', part), 0.0
    for rivals in theirs.values():
      for mine, other in zip(found, rivals.call('answers', part), strict=True):
        error = max(error, float(np.abs(mine - other).max() / np.abs(other).max()))
    if not error <= contest.TOLERANCE['cpu', 'float32']:
      raise SystemExit(f'The nets differ: relative error {error:.1g} of {part}.')
    contenders = {'posejax': ours.timed('run', part)}
    contenders |= {name: away.timed('run', part) for name, away in theirs.items()}
    times = contest.turns(contenders, flags.repeats)
    cells = [f'{1e3 * times[name]:.0f}' for name in names]
    best = min((times[name] for name in theirs), default=float('nan'))
    cells += [f'{best / times["posejax"]:.2f}', f'{error:.1g}'] if theirs else ['-', '-']
    print(f'| {part} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  main()
