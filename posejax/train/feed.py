"""What feeds a run: batches of a config's data under the executor that it names."""

from collections.abc import Callable, Iterator
import dataclasses
from functools import partial

import jax
from jax.sharding import Mesh
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.config import Config
from posejax.data.batches import EvalBatches, TrainBatches, epoch_order
from posejax.data.executors import processes, threads
from posejax.data.sources import Source
from posejax.types import Batch


def batches_of(config: Config) -> Callable[..., Iterator[Batch]]:
  """Return the executor's `iterate` that `config.data.executor` names."""
  if config.data.executor == 'threads':
    iterate = threads.iterate
  elif config.data.executor == 'processes':
    iterate = processes.Workers().iterate
  else:
    from posejax.data.executors import tfdata  # TensorFlow: seconds to import, and not always there

    iterate = tfdata.iterate
  return partial(iterate, num_workers=config.data.num_workers, prefetch=config.data.prefetch)


def eval_batches(experiment: experiments.Experiment, source: Source) -> EvalBatches:
  """Return the batches of a set to evaluate on, this process's share of them."""
  config = experiment.config
  return EvalBatches(
    source,
    experiment.task.transform_eval,
    config.evaluate.batch_size or config.batch_size,
    jax.process_index(),
    jax.process_count(),
  )


def train_batches(experiment: experiments.Experiment) -> TrainBatches:
  """Return the batches of the training split, this process's share of them."""
  config = experiment.config
  return TrainBatches(
    experiment.train_source,
    experiment.task.transform_train,
    config.seed,
    config.batch_size,
    jax.process_index(),
    jax.process_count(),
  )


def global_indices(batches: TrainBatches, step: int) -> np.ndarray:
  """Return the int64 `[batch_size]` indices of one step's examples over all processes, in their order."""
  first, count = step * batches.batch_size, len(batches.source)
  places = (divmod(place, count) for place in range(first, first + batches.batch_size))
  return np.array([epoch_order(batches.seed, epoch, count)[at] for epoch, at in places])


def batch_shapes(batches: TrainBatches | EvalBatches, mesh: Mesh) -> Batch:
  """Return the global batch's shapes, as it lies on the devices, from one example alone."""
  one = dataclasses.replace(batches, batch_size=batches.process_count)(0)
  split = devices.sharded(mesh)
  return {
    key: jax.ShapeDtypeStruct(
      (batches.batch_size, *array.shape[1:]),
      jax.dtypes.canonicalize_dtype(array.dtype),
      sharding=split,
    )
    for key, array in one.items()
  }
