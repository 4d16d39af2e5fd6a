"""What a run trains with, built in one place."""

import jax
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.config import resolve
from posejax.data.batches import TrainBatches
from posejax.train.step import build
from tests import tiny


def test_every_seed_is_served_by_one_compiled_step():
  config = resolve(tiny.config())
  experiment, mesh = experiments.from_config(config), devices.make_mesh()
  variables = devices.compile_init(experiment.task.init, mesh)(jax.random.key(0))
  training = build.training(experiment.task, config, mesh, variables)
  batch = TrainBatches(experiment.train_source, experiment.task.transform_train, 0, 8)(0)
  on_device = devices.put_batch(batch, mesh)
  for seed in range(3):
    state = devices.compile_init(training.init_state, mesh)(variables)
    _, output = training.step(state, on_device, jax.random.key(seed))
    assert np.isfinite(output.scalars['loss'])
  assert training.step._cache_size() == 1
