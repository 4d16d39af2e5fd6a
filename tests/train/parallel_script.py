"""Compare one training step on 1 and on 8 devices; run by test_parallel.py with 8 host devices.

Prints one JSON object. SGD without momentum at learning rate 1 makes the change of the parameters
the gradient itself.
"""

import dataclasses
import json

import jax
from jax.sharding import Mesh
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.data.batches import TrainBatches
from posejax.train import build
from tests import tiny


def one_step(mesh: Mesh, semantics: str, bn_group_size: int | None = None):
  config = tiny.config(
    batch_size=16,
    parallel=semantics,
    data__augment={},
    model__bn_group_size=bn_group_size,
    optimizer__name='sgd',
    optimizer__momentum=0.0,
    optimizer__learning_rate=1.0,
    optimizer__schedule='constant',
    optimizer__schedule_steps=10,
  )
  experiment = experiments.from_config(config)
  variables = devices.compile_init(experiment.task.init, mesh)(jax.random.key(0))
  training = build.training(experiment.task, config, mesh, variables)
  before = devices.compile_init(training.init_state, mesh)(variables)
  params = jax.tree.map(np.array, before.params)
  batch = TrainBatches(experiment.train_source, experiment.task.transform_train, 0, 16)(0)
  after, output = training.step(before, devices.put_batch(batch, mesh), jax.random.key(1))
  gradient = jax.tree.map(lambda a, b: a - np.asarray(b), params, after.params)
  return gradient, jax.tree.map(np.asarray, after.model_state), jax.tree.map(np.asarray, output)


def difference(a, b) -> float:
  """Return the Euclidean norm of the difference of two trees over the norm of the first."""
  a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (a, b))
  return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def main():
  found = np.array(jax.devices())
  one, eight = Mesh(found[:1], (devices.AXIS,)), Mesh(found, (devices.AXIS,))
  assert len(found) == 8
  base = one_step(one, 'jit')
  jit8 = one_step(eight, 'jit')
  pmap8 = one_step(eight, 'pmap')
  # Batch norm over groups of 2 examples is what 8 devices with 2 each compute locally.
  groups1 = one_step(one, 'jit', bn_group_size=2)
  print(
    json.dumps(
      {
        'jit 1 | jit 8': dataclasses.asdict(Compared(base, jit8)),
        'groups of 2 on 1 | pmap 8': dataclasses.asdict(Compared(groups1, pmap8)),
        'jit 1 | pmap 8': dataclasses.asdict(Compared(base, pmap8)),
      }
    )
  )


@dataclasses.dataclass
class Compared:
  """Relative differences of gradient, batch statistics, and the losses of the examples."""

  gradient: float
  batch_stats: float
  example_losses: float

  def __init__(self, a, b):
    self.gradient, self.batch_stats = difference(a[0], b[0]), difference(a[1], b[1])
    self.example_losses = difference(a[2].example_losses, b[2].example_losses)


if __name__ == '__main__':
  main()
