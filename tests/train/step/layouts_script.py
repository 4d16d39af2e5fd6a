"""Three steps of a small task on 1 and on 8 devices, state whole or in parts; run by test_placement.py.

Prints one JSON object: how far the states are from those on one device, in shares of how far these moved,
what collectives the programs have, and what lies on a device.
"""

import collections
import json

import jax
import numpy as np

from posejax import devices
from posejax.config import Config
from posejax.plan import collectives
from posejax.train.step import build, placement
from tests.train.step import small_task

placement.SMALL = 64
STEPS = 3
OPTIMIZER = {
  'learning_rate': 1e-2,
  'schedule': 'constant',
  'schedule_steps': 10,
  'weight_decay': 0.1,
  'clip_norm': 0.5,
  'ema_decay': 0.9,
  'lr_scales': {'first': 0.5, 'second/bias': 0},
}


class Run:
  """What came of a run: parameters and their average, statistics, losses, collectives, values held."""

  def __init__(self, num_devices, state=1, norm=False, counted=False, **changes):
    mesh = devices.make_mesh(jax.devices()[:num_devices], state)
    optimizer = {**OPTIMIZER, 'name': changes.pop('name', 'adam')}
    config = Config.from_dict({'batch_size': 32, 'optimizer': optimizer, **changes})
    task = small_task.create(norm, counted=counted)
    variables = small_task.variables(task)
    training = build.training(task, config, mesh, variables)
    current = devices.compile_init(training.init_state, mesh, training.placement)(variables)
    key, losses = devices.put_replicated(jax.random.key(1), mesh), []
    for number in range(STEPS):
      batch = devices.put_batch(small_task.batch(32, number), mesh)
      if not number:
        step = training.step.lower(current, batch, key).compile()
      current, output = step(current, batch, key)
      losses.append(np.asarray(output.example_losses))
    self.held = sum(
      a.addressable_shards[0].data.size
      for a in jax.tree.leaves((current.params, current.opt_state))
    )
    self.collectives = collections.Counter(
      one.kind for one in collectives.read(step.as_text(), num_devices)
    )
    self.learnt = jax.tree.map(
      np.asarray, (current.params, current.ema_params, current.model_state)
    )
    statistics = {name: v for name, v in variables.items() if name != 'params'}
    self.start = variables['params'], variables['params'], statistics
    self.losses = np.array(losses)
    self.norm = float(output.scalars['grad_norm'])

  def difference(self, other: 'Run') -> float:
    """Return the largest: of what is learnt, of losses, of the last gradient's norm."""
    moved = jax.tree.map(lambda a, b: np.linalg.norm(a - b), self.learnt, self.start)
    apart = jax.tree.map(lambda a, b: np.linalg.norm(a - b), self.learnt, other.learnt)
    shares = [a / max(m, 1e-3) for a, m in zip(*map(jax.tree.leaves, (apart, moved)), strict=True)]
    losses = np.abs(self.losses / other.losses - 1).max()
    return float(max(*shares, losses, abs(self.norm / other.norm - 1)))


def main():
  assert len(jax.devices()) == 8
  found = {}
  for name in ('adam', 'lamb', 'muon'):
    one = Run(1, name=name)
    for state in (1, 4, 8) if name == 'adam' else (4,):
      found[f'{name}, {8 // state} x {state}'] = one, Run(8, state, name=name)
  plain = found['adam, 8 x 1'][0]
  found['microbatches, 2 x 4'] = plain, Run(8, 4, microbatches=2)
  normed = Run(1, norm=True, microbatches=2)
  found['microbatches and batch norm'] = normed, Run(8, norm=True, microbatches=2)
  one = Run(1, counted=True)
  for microbatches in (1, 2):
    many = Run(8, 4, counted=True, microbatches=microbatches)
    found[f'loss over a count, in {microbatches}'] = one, many
  # These devices are one slice; what is exchanged of several is no less right between them.
  devices.num_slices = lambda mesh: 4
  found['of slices'] = normed, Run(8, norm=True, microbatches=2)
  found['of slices, 2 x 4'] = plain, Run(8, 4)
  found['another computation'] = normed, Run(8, norm=True)
  print(
    json.dumps(
      {
        name: {
          'difference': one.difference(many),
          'collectives': many.collectives,
          'held': many.held / one.held,
        }
        for name, (one, many) in found.items()
      }
    )
  )
