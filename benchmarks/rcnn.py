"""Keypoint R-CNN's parts at 800x1333 on the CPU: posejax against torchvision, one picture, float32.

    python benchmarks/rcnn.py
    python benchmarks/rcnn.py --repeats=3 --parts=features,box_head

The nets are random and of the same shapes (`benchmarks/rcnn_parity.py` compares what they answer).
Parts are the backbone with its pyramid, the box head on 1,000 regions and the head for keypoints on 100,
given regions. RoIAlign and suppression are timed apart by `benchmarks/detection_ops.py`, as torchvision's
compiled ones are not always there. The two take turns, each in a process of its own.
"""

import argparse
import os

import contest
import numpy as np
import rival

CANVAS = (800, 1344)
SHAPES = {
  'features': (1, *CANVAS, 3),
  'box_head': (1, 1000, 7, 7, 256),
  'keypoint_head': (1, 100, 14, 14, 256),
}


class Posejax:
  """The parts as compiled programs."""

  def __init__(self):
    import jax

    from posejax import models

    model = models.create('keypoint_rcnn_resnet50_fpn')
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 64, 64, 3), np.float32))
    rng = np.random.default_rng(0)
    self.variables = jax.tree.map(
      lambda leaf: rng.normal(0, 0.02, leaf.shape).astype(np.float32) ** 2, shapes
    )
    parts = {
      'features': lambda m, x: m.features(x),
      'box_head': lambda m, x: m.box_head(x),
      'keypoint_head': lambda m, x: m.keypoint_head(x),
    }
    self.variables = jax.device_put(self.variables)
    self.programs = {
      name: jax.jit(lambda v, x, part=part: model.apply(v, x, method=part))
      for name, part in parts.items()
    }
    self.inputs = {
      name: jax.device_put(rng.random(shape).astype(np.float32)) for name, shape in SHAPES.items()
    }
    self.ready = jax.block_until_ready

  def run(self, name):
    self.ready(self.programs[name](self.variables, self.inputs[name]))


class Torchvision:
  """The same of torchvision, channels last, in inference mode."""

  def __init__(self):
    torch = rival.prepare_torch()
    from tests.goldens import make_rcnn

    model = make_rcnn.build('keypoint').to(memory_format=torch.channels_last)
    heads, rng = model.roi_heads, np.random.default_rng(0)
    self.parts = {
      'features': model.backbone,
      'box_head': lambda x: heads.box_predictor(heads.box_head(x)),
      'keypoint_head': lambda x: heads.keypoint_predictor(heads.keypoint_head(x)),
    }
    self.inputs = {}
    for name, shape in SHAPES.items():
      x = torch.from_numpy(rng.random(shape[-4:]).astype(np.float32)).permute(0, 3, 1, 2)
      self.inputs[name] = x.contiguous(memory_format=torch.channels_last)
    self.mode = torch.inference_mode

  def run(self, name):
    with self.mode():
      self.parts[name](self.inputs[name])


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--parts', default=','.join(SHAPES))
  flags = parser.parse_args()
  os.environ['JAX_PLATFORMS'] = 'cpu'
  ours = rival.Away(Posejax)
  try:
    theirs = rival.Away(Torchvision)
  except rival.NoRivalError as reason:
    print(f'posejax alone: {reason}.')
    theirs = None
  print('| part | posejax ms | torchvision ms | ratio |\n|---|---|---|---|')
  for name in flags.parts.split(','):
    contenders = {'posejax': ours.timed('run', name)}
    if theirs:
      contenders['torchvision'] = theirs.timed('run', name)
    times = contest.turns(contenders, flags.repeats)
    cells = [
      f'{1e3 * times[who]:.0f}' if who in times else '-' for who in ('posejax', 'torchvision')
    ]
    ratio = f'{times["torchvision"] / times["posejax"]:.2f}' if theirs else '-'
    print(f'| {name} | {cells[0]} | {cells[1]} | {ratio} |', flush=True)


if __name__ == '__main__':
  main()
