"""Compare one training step on 1 and on 8 devices; run by test_parallel.py with 8 host devices.

Prints one JSON object. SGD without momentum at learning rate 1 makes the change of the parameters
the gradient itself.
"""

import collections
import dataclasses
import json
import re
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.config import Config
from posejax.data.batches import TrainBatches
from posejax.experiment import batch_norm
from posejax.tasks import Task
from posejax.train.step import build
from tests import compiling, tiny

COLLECTIVE = r'= .* (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)\('


GRADIENT = {'name': 'sgd', 'momentum': 0.0, 'learning_rate': 1.0}
GRADIENT |= {'schedule': 'constant', 'schedule_steps': 10}


def pose_step(mesh: Mesh, semantics: str = 'jit', bn_group_size=None, reduce_dtype='float32'):
  config = tiny.config(
    batch_size=16,
    parallel=semantics,
    data__augment={},
    reduce_dtype=reduce_dtype,
    model__bn_group_size=bn_group_size,
    model__block_layers=(1,),
    optimizer=GRADIENT,
  )
  return one_step(mesh, config)


def detector_step(mesh: Mesh, microbatches=1):
  config = tiny.detection(batch_size=8, optimizer=GRADIENT, microbatches=microbatches)
  model = {**config.model, 'bn_group_size': 1}  # so that parts need not have neighbours
  return one_step(mesh, dataclasses.replace(config, model=model))


_INITIAL = {}


def initial(name: str, task: Task):
  """Return the net's variables, made once: what batch norm sees does not change them."""
  if name not in _INITIAL:
    _INITIAL[name] = jax.device_get(compiling.jit(task.init)(jax.random.key(0)))
  return _INITIAL[name]


def one_step(mesh: Mesh, config: Config):
  config = batch_norm.settle(config, mesh.size, 1, is_new=True)
  experiment = experiments.from_config(config)
  variables = initial(config.task['name'], experiment.task)
  training = build.training(experiment.task, config, mesh, variables)
  before = devices.put_replicated(training.init_state(variables), mesh)
  params = jax.tree.map(np.array, before.params)
  transform, size = experiment.task.transform_train, config.batch_size
  batch = TrainBatches(experiment.train_source, transform, 0, size)(0)
  arguments = before, devices.put_batch(batch, mesh), jax.random.key(1)
  step = training.step.lower(*arguments).compile()
  after, output = step(*arguments)
  for statistic in jax.tree.leaves(after.model_state):
    assert len({np.asarray(shard.data).tobytes() for shard in statistic.addressable_shards}) == 1
  gradient = jax.tree.map(lambda a, b: a - np.asarray(b), params, after.params)
  return Step(
    gradient,
    jax.tree.map(np.asarray, after.model_state),
    np.asarray(output.example_losses),
    collections.Counter(re.findall(COLLECTIVE, step.as_text())),
  )


@dataclasses.dataclass
class Step:
  """What a step did: the gradient, the batch statistics after it, losses, and collectives by kind."""

  gradient: Any
  batch_stats: Any
  example_losses: np.ndarray
  collectives: dict[str, int]


def difference(a, b) -> float:
  """Return the Euclidean norm of the difference of two trees over the norm of the first."""
  a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (a, b))
  return float(np.linalg.norm(a - b) / np.linalg.norm(a))


def compared(a: Step, b: Step) -> dict[str, float]:
  names = ('gradient', 'batch_stats', 'example_losses')
  return {name: difference(getattr(a, name), getattr(b, name)) for name in names}


def main():
  found = jax.devices()
  one, two, eight = (devices.make_mesh(found[:n]) for n in (1, 2, 8))
  assert len(found) == 8
  steps = {
    'one': pose_step(one),
    'one, groups of 2': pose_step(one, bn_group_size=2),
    'one, groups of 4': pose_step(one, bn_group_size=4),
    'eight': pose_step(eight),
    'eight, groups of 4': pose_step(eight, bn_group_size=4),
    'eight, device': pose_step(eight, bn_group_size='device'),
    'eight, pmap, bfloat16': pose_step(eight, 'pmap', reduce_dtype='bfloat16'),
    'detector': detector_step(one),
    'detector on two, in two': detector_step(two, microbatches=2),
  }
  pairs = [
    ('one', 'eight'),
    ('one, groups of 4', 'eight, groups of 4'),
    ('one, groups of 2', 'eight, device'),
    ('one, groups of 2', 'eight, pmap, bfloat16'),
    ('one', 'eight, device'),
    ('detector', 'detector on two, in two'),
  ]
  differences = {f'{a} | {b}': compared(steps[a], steps[b]) for a, b in pairs}
  collectives = {name: step.collectives for name, step in steps.items()}
  print(json.dumps({'differences': differences, 'collectives': collectives}))
