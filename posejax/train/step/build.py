"""One place that puts state and step together and compiles them for the mesh.

On several devices gradients are computed once per device on that device's share of the batch. What goes
between them is written there: one average of gradients, losses and running statistics, an exchange
for each batch norm whose groups span devices (`posejax.experiment.batch_norm` says which groups), and one
of what a detector's loss is divided by. A compiler that shards it by itself sends four for each batch
norm, and nobody can tell it in which type.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, PartitionSpec

from posejax import devices
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.tasks.base import Task
from posejax.train.optim import lr_scales, optimizers, schedules
from posejax.train.optim.lr_scales import Scales
from posejax.train.step import gradients, placement, state
from posejax.train.step.gradients import Gradients, GradientsFn
from posejax.train.step.state import TrainState
from posejax.train.step.train_step import StepOutput, TrainStep, make_train_step
from posejax.types import Variables


class Training(NamedTuple):
  """What a run trains with.

  Attributes:
    scales: which parameters move, at which factor of the learning rate.
    init_state: `variables -> state` before the first step; pure.
    placement: of a state: where each of its arrays lies (`posejax.train.step.placement`).
    step_fn: `(state, batch, root key) -> (state, StepOutput)` on one device; pure, not compiled.
    step: the same, compiled for the mesh; its state is donated.
  """

  scales: Scales
  init_state: Callable[[Variables], TrainState]
  placement: TrainState
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
    PosejaxError: the task is not learnt, or the optimiser's settings are wrong or name modules that the
      net does not have.
  """
  if task.loss is None:
    raise PosejaxError(
      f'Nets of config.codec.name={config.codec.get("name")!r} are used as they were published, and not '
      'trained; choose another codec.'
    )
  settings = config.optimizer
  scales = lr_scales.create(settings.lr_scales, variables)
  optimizer = optimizers.create(settings)
  make_step = partial(
    make_train_step,
    optimizer=optimizer,
    schedule=schedules.create(settings, config.batch_size),
    ema_decay=settings.ema_decay,
    scales=scales,
  )
  init_state = partial(
    state.create, optimizer=optimizer, ema_decay=settings.ema_decay, scales=scales
  )
  of_batch = partial(gradients.of_batch, task, scales, config.microbatches)
  alone = of_devices = of_batch()
  if mesh.size > 1:
    of_share = of_batch(total=gradients.on_devices)
    of_devices = _on_every_device(of_share, variables['params'], scales, mesh, config.reduce_dtype)
  places = placement.of_state(jax.eval_shape(init_state, variables), mesh)
  compiled = _compile(make_step(of_devices), mesh, places)
  return Training(scales, init_state, places, make_step(alone), compiled)


def _on_every_device(
  of_share: GradientsFn, params: Any, scales: Scales, mesh: Mesh, reduce_dtype: str
) -> GradientsFn:
  parts = mesh.shape[devices.STATE_AXIS]
  of_params = placement.specs(params, parts)
  of_grads = placement.specs(scales.moving(params), parts)
  whole, split = PartitionSpec(), PartitionSpec(devices.AXES)
  # check_vma=False: the step averages what it must itself. With the check on, differentiating
  # with respect to replicated parameters would insert a second sum over the devices.
  return jax.shard_map(
    gradients.over_devices(of_share, of_params, reduce_dtype, devices.num_slices(mesh) > 1),
    mesh=mesh,
    in_specs=(of_params, whole, split, whole),
    out_specs=Gradients(of_grads, whole, split),
    check_vma=False,
  )


def _compile(step: TrainStep, mesh: Mesh, places: TrainState) -> TrainStep:
  whole, split = devices.replicated(mesh), devices.sharded(mesh)
  return jax.jit(
    step,
    in_shardings=(places, split, whole),
    out_shardings=(places, StepOutput(whole, split)),
    donate_argnums=0,
  )
