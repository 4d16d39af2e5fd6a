"""The real training step, compiled for devices that are here or only described."""

from collections.abc import Sequence
import importlib.util
import os
from typing import NamedTuple

import jax
from jax.experimental import topologies
import jax.numpy as jnp
from jax.sharding import Mesh

from posejax import devices
from posejax import experiment as experiments
from posejax.config import Config, resolve
from posejax.data.batches import TrainBatches
from posejax.errors import PosejaxError
from posejax.experiment import batch_norm
from posejax.plan import collectives
from posejax.plan.model import Cost
from posejax.train.step import build

# The compiler's library would look for the machine's own TPU, and complain that there is none.
_NO_TPU_HERE = {
  'TPU_SKIP_MDS_QUERY': '1',
  'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
  'TPU_ACCELERATOR_TYPE': 'v5litepod-16',
  'TPU_WORKER_HOSTNAMES': 'localhost',
}


class Compiled(NamedTuple):
  """A step compiled for a mesh.

  Attributes:
    config: that it is of, batch norm's groups chosen.
    cost: of one device.
    memory: bytes that one device needs at most.
    experiment: that it is of.
    training: with the step, not yet compiled.
    step: compiled.
  """

  config: Config
  cost: Cost
  memory: int
  experiment: experiments.Experiment
  training: build.Training
  step: jax.stages.Compiled


def described(topology: str, num_slices: int) -> Sequence[jax.Device]:
  """Return the devices of slices that are not there, to compile for.

  Call it before JAX has asked for any device: the compiler's library is told to look for none.

  Raises:
    PosejaxError: there is no such topology, or no compiler for it.
  """
  for name, value in _NO_TPU_HERE.items():
    os.environ.setdefault(name, value)
  jax.config.update('jax_platforms', 'cpu')
  options = {'num_slices': num_slices} if num_slices > 1 else {}
  try:
    description = topologies.get_topology_desc(platform='tpu', topology_name=topology, **options)
  except Exception as error:
    if not _has_compiler():
      raise PosejaxError(
        "To compile for TPUs, install their compiler: pip install 'posejax[tpu]'."
      ) from error
    raise PosejaxError(
      f'--topology={topology} (--slices={num_slices}) cannot be compiled for: '
      f'{str(error).splitlines()[0]}'
    ) from error
  return description.devices


def _has_compiler() -> bool:
  return importlib.util.find_spec('libtpu') is not None


def compile_step(config: Config, mesh: Mesh) -> Compiled:
  """Compile the training step of a config for a mesh, without running anything.

  Raises:
    PosejaxError: the config does not fit, or its data are not there (a batch's arrays are an example's).
  """
  devices.check_batch_size('batch_size', config.batch_size, mesh.size, config.microbatches)
  num_hosts = devices.num_hosts(mesh)
  config = batch_norm.settle(resolve(config), mesh.size, num_hosts, is_new=True)
  experiment = experiments.from_config(config)
  key = jax.eval_shape(lambda: jax.random.key(0))
  variables = jax.eval_shape(experiment.task.init, key)
  training = build.training(experiment.task, config, mesh, variables)
  state = jax.eval_shape(training.init_state, variables)
  step = training.step.lower(state, _batch(experiment), key).compile()
  costs, memory = step.cost_analysis(), step.memory_analysis()
  if costs is None:  # XLA's compiler for GPUs tells no costs
    costs = {'flops': _asked(training, state, _batch(experiment), key) / mesh.size}
  # The compiler counts a loop's body once; nearly all of a step is in that of the microbatches.
  times = config.microbatches
  cost = Cost(
    times * costs['flops'],
    times * costs['bytes accessed'] if 'bytes accessed' in costs else None,
    collectives.read(step.as_text(), mesh.size),
  )
  held = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes
    + memory.temp_size_in_bytes
  )
  return Compiled(config, cost, held, experiment, training, step)


def _asked(training: build.Training, *arguments) -> float:
  """Return the operations of a step over the whole batch, as the program asks for them."""
  traced = jax.jit(training.step_fn).trace(*arguments)
  return traced.lower(lowering_platforms=('cuda',)).cost_analysis()['flops']


def _batch(experiment: experiments.Experiment):
  """Return the shapes of a global batch."""
  config = experiment.config
  one = TrainBatches(experiment.train_source, experiment.task.transform_train, config.seed, 1)(0)
  return jax.tree.map(
    lambda a: jax.ShapeDtypeStruct((config.batch_size, *a.shape[1:]), jnp.asarray(a).dtype), one
  )
