"""One place that puts state, step and evaluation step together and compiles them for the mesh.

On several devices the step runs once per device on that device's share of the batch. What goes between
them is written in it: one average of gradients, losses and running statistics, and an exchange for each
batch norm whose groups span devices (`posejax.experiment.batch_norm` says which groups). A compiler that
shards the step by itself sends four for each batch norm, and nobody can tell it in which type.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, PartitionSpec

from posejax import devices
from posejax.config import Config
from posejax.tasks.base import Evaluator, Task
from posejax.train import lr_scales, optim, state
from posejax.train.lr_scales import Scales
from posejax.train.state import TrainState
from posejax.train.step import StepOutput, TrainStep, make_train_step
from posejax.types import Batch, Predictions, Variables

EvalStep = Callable[[Variables, Batch], tuple[Any, Predictions]]


class Training(NamedTuple):
  """What a run trains with.

  Attributes:
    scales: which parameters move, at which factor of the learning rate.
    init_state: `variables -> state` before the first step; pure.
    step_fn: `(state, batch, root key) -> (state, StepOutput)` on one device; pure, not compiled.
    step: the same, compiled for the mesh; its state is donated.
  """

  scales: Scales
  init_state: Callable[[Variables], TrainState]
  step_fn: TrainStep
  step: TrainStep


def training(task: Task, config: Config, mesh: Mesh, variables: Variables) -> Training:
  """Return what trains `task` as `config` says.

  Args:
    task: what to learn.
    config: how; `config.optimizer.schedule_steps` must be set (`posejax.config.resolve`).
    mesh: from `posejax.devices.make_mesh`.
    variables: of the net, or their shapes.

  Raises:
    PosejaxError: the optimiser's settings are wrong, or name modules that the net does not have.
  """
  settings = config.optimizer
  scales = lr_scales.create(settings.lr_scales, variables)
  optimizer = optim.create(settings)
  make_step = partial(
    make_train_step,
    task,
    optimizer,
    optim.schedule(settings, config.batch_size),
    settings.ema_decay,
    scales=scales,
    reduce_dtype=config.reduce_dtype,
  )
  init_state = partial(
    state.create, optimizer=optimizer, ema_decay=settings.ema_decay, scales=scales
  )
  compiled = _compile(make_step, mesh)
  return Training(scales, init_state, make_step(axis_name=None), compiled)


def _compile(make_step: Callable[..., TrainStep], mesh: Mesh) -> TrainStep:
  if mesh.size == 1:
    step = make_step(axis_name=None)
  else:
    whole, split = PartitionSpec(), PartitionSpec(devices.AXIS)
    # check_vma=False: the step averages what it must itself. With the check on, differentiating
    # with respect to replicated parameters would insert a second sum over the devices.
    step = jax.shard_map(
      make_step(axis_name=devices.AXIS),
      mesh=mesh,
      in_specs=(whole, split, whole),
      out_specs=(whole, StepOutput(whole, split)),
      check_vma=False,
    )
  whole, split = devices.replicated(mesh), devices.sharded(mesh)
  return jax.jit(
    step,
    in_shardings=(whole, split, whole),
    out_shardings=(whole, StepOutput(whole, split)),
    donate_argnums=0,
  )


def evaluation_step(task: Task, evaluator: Evaluator, mesh: Mesh) -> EvalStep:
  """Compile `(variables, batch) -> (sums over the global batch, predictions)` for the mesh."""

  def eval_step(variables: Variables, batch: Batch):
    predictions = task.infer(variables, *(batch[name] for name in task.inputs))
    return evaluator.measure(predictions, batch), predictions

  whole, split = devices.replicated(mesh), devices.sharded(mesh)
  return jax.jit(eval_step, in_shardings=(whole, split), out_shardings=(whole, split))
