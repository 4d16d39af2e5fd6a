"""The loop: one for every task.

Order of things at a step's end: its row, then its evaluation, then its checkpoint, then what a plateau
lowers. So a checkpoint says that everything up to its step was logged, and a run that resumes from it
logs everything after. The exception is a run asked to stop, which saves without evaluating: its
checkpoint says so, and the next start evaluates first.
"""

import collections
import contextlib
import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.config import Config
from posejax.errors import PosejaxError
from posejax.process import together
from posejax.runs import checkpoint, origin, workdirs
from posejax.runs.control import Control
from posejax.runs.meta import Course, unlogged
from posejax.runs.progress import Phases, Progress
from posejax.runs.report import Report
from posejax.train import checks, stop, words
from posejax.train.ahead import Ahead
from posejax.train.evaluate import Evaluations
from posejax.train.feed import batch_shapes, batches_of, global_indices, train_batches
from posejax.train.start.begin import begin
from posejax.train.step import build
from posejax.train.step.state import TrainState
from posejax.train.step.train_step import StepOutput, TrainStep
from posejax.types import Variables

# So many steps may be under way before the metrics of the first are looked at: a fast device waits for
# nobody, and a loss that is not finite is found so much later.
_STEPS_AHEAD = 3


def train(config: Config, workdir: str, began: float | None = None) -> dict[str, float]:
  """Train until `config.num_steps`, from the work directory's newest checkpoint if it has one.

  Args:
    config: the experiment.
    workdir: where everything goes; created where it does not exist.
    began: `time.monotonic()` of the command's start, for the times shown.

  Returns:
    The last evaluation's metrics; empty where there was nothing left to do.

  Raises:
    PosejaxError: for what a user can mend; nothing of earlier steps is lost.
  """
  phases = Phases(began)
  phases.end('imports')
  origin.check_same(config)
  first = jax.process_index() == 0
  mesh = devices.make_mesh(state=config.mesh.state)
  checks.batch_sizes(config, mesh)
  with workdirs.claim(workdir, first), checks.disk_full_is_said(workdir):
    config, meta, finished = origin.find(config, workdir, mesh.size, devices.num_hosts(mesh))
    if finished is not None:
      if first:
        print(words.complete(workdir, finished, config))
      return {}
    experiment = experiments.from_config(config)
    phases.end('data')
    with checkpoint.Checkpointer(workdir) as checkpointer, stop.listen() as stop_flag:
      done = checkpointer.latest_step() or 0
      progress = Progress(done, config.num_steps, config.batch_size, phases.began, first)
      with contextlib.closing(progress):
        run = _Run(experiment, workdir, meta, mesh, checkpointer, progress, stop_flag, phases)
        return run.go(done)


class _Run:
  """One call of `train` after everything was built: what its phases share."""

  def __init__(self, experiment, workdir, meta, mesh, checkpointer, progress, stop_flag, phases):
    self.experiment = experiment
    self.config: Config = experiment.config
    self.task = experiment.task
    self.workdir = workdir
    self.meta: dict[str, Any] | None = meta  # of the checkpoint to go on from
    self.mesh = mesh
    self.checkpointer = checkpointer
    self.progress: Progress = progress
    self.stop_flag = stop_flag
    self.phases: Phases = phases
    self.evaluate = Evaluations(experiment, mesh)
    self.train_batches = train_batches(experiment)
    evaluator = experiment.main.evaluator
    self.course = Course(Control.create(self.config, evaluator.main_metric, evaluator.main_mode))
    self.fingerprints = checks.fingerprints(experiment)

  def go(self, done: int) -> dict[str, float]:
    """Train from the newest checkpoint, of step `done`, to the end, or until asked to stop."""
    together.check_same({f'{split} data': found for split, found in self.fingerprints.items()})
    if self.meta is not None:
      checks.same_data(self.workdir, self.meta.get('data', {}), self.fingerprints)
    init_key, self.root_key = jax.random.split(jax.random.key(self.config.seed))
    init = devices.compile_init(self.task.init, self.mesh)
    shapes = jax.eval_shape(init, init_key)
    training = build.training(self.task, self.config, self.mesh, shapes)
    self.scales = training.scales
    init_state = devices.compile_init(training.init_state, self.mesh, training.placement)
    like = devices.placed_shapes(jax.eval_shape(init_state, shapes), training.placement)
    metrics = self.evaluate.metric_names(like.eval_variables)  # a state's shapes suffice
    checks.watched_metrics(self.course.control, metrics)
    if done < self.config.num_steps:
      # On a thread of its own, while all else is made ready: XLA needs no interpreter.
      shapes = batch_shapes(self.train_batches, self.mesh)
      self.compiling = Ahead(lambda: training.step.lower(like, shapes, self.root_key).compile())
    self.phases.end('net')
    first = jax.process_index() == 0
    self.report = Report(self.workdir, done, first, unlogged(self.meta, done))
    with contextlib.closing(self.report):
      self.iterate = batches_of(self.config)
      self.phases.end('TensorFlow')
      if self.meta is None:
        # Under no name here: what a run starts from would lie on the devices to its end.
        train_state = init_state(self._begin(init(init_key)))
      else:
        train_state = self._restore(like, self.meta)
      # Not earlier: what was refused leaves no trace.
      if first:
        workdirs.write_config(self.workdir, self.config)
      self.progress.say(words.introduction(self.experiment, train_state, self.scales, self.mesh))
      self.phases.end('state')
      train_state = self._finish_step(train_state)
      if self._is_over(int(train_state.step)):
        return self._end(int(train_state.step))
      return self._loop(training.step, train_state)

  def _loop(self, train_step: TrainStep, train_state: TrainState) -> dict[str, float]:
    start, end = int(train_state.step), self.config.num_steps
    batches = self.iterate(self.train_batches, start, end)
    pending = collections.deque()
    batch = next(batches)
    if start == 0 and jax.process_index() == 0:
      self.report.picture(0, 'first_batch', self.task.draw(batch, {})['panels'])
    self.phases.end('first batch')
    self.compiling.wait()
    self.phases.end('waiting for the compiler')
    for number in range(start + 1, end + 1):
      on_device = devices.put_batch(batch, self.mesh)
      train_state, output = train_step(train_state, on_device, self.root_key)
      for scalar in output.scalars.values():
        scalar.copy_to_host_async()
      pending.append((number, output))
      if len(pending) > _STEPS_AHEAD:
        self._take(*pending.popleft())
      if number == start + 1:
        self._say_started(output)
      self.progress.step()
      batch = next(batches, None)
      stopping = self.stop_flag.at(number)
      if stopping or number == end or self._anything_due(number):
        while pending:
          self._take(*pending.popleft())
        train_state = self._finish_step(train_state, stopping)
        if stopping:
          self.progress.say(
            f'Asked to stop: the checkpoint of step {number} is written. '
            'Give the same command again to go on.'
          )
          return self.course.metrics
        if self._is_over(number):
          break
    return self._end(number)

  def _say_started(self, output: StepOutput) -> None:
    """Tell how long the start took, up to the end of the first step."""
    jax.block_until_ready(output)
    self.phases.end('first step')
    self.phases.seconds['compiling, beside them'] = self.compiling.seconds
    self.progress.say(self.phases.describe())
    self.report.start_took(self.phases.seconds)

  def _is_over(self, now: int) -> bool:
    """Return whether nothing is left to train after a step; an early end is said."""
    if self.course.control.should_stop(self.config):
      watch = self.course.control.early
      best = 'was not finite'
      if watch.value is not None:
        best = f'has not improved on {watch.value:.4f} (step {watch.step})'
      self.progress.say(f'Stopped early: {watch.metric} {best} for {watch.since} evaluations.')
      return True
    return now == self.config.num_steps

  def _anything_due(self, number: int) -> bool:
    config = self.config
    every = (config.log_every_steps, config.eval_every_steps, config.checkpoint_every_steps)
    return any(number % n == 0 for n in every)

  def _take(self, number: int, output: StepOutput) -> None:
    """Fetch a step's metrics; refuse to go on from a loss that is not finite."""
    scalars = {name: float(value) for name, value in jax.device_get(output.scalars).items()}
    if not all(math.isfinite(value) for value in scalars.values()):
      bad = {name: value for name, value in scalars.items() if not math.isfinite(value)}
      # The loss is everybody's, so that all processes come here together.
      losses = np.array(devices.gather(devices.local_rows(output.example_losses).tolist()))
      ids = global_indices(self.train_batches, number - 1)[~np.isfinite(losses)]
      raise PosejaxError(
        words.not_finite(number, bad, ids, checkpoint.available_steps(self.workdir))
      )
    self.course.window.add(scalars)

  def _finish_step(self, train_state: TrainState, stopping: bool = False) -> TrainState:
    """Log, evaluate and save what is due at the end of the state's step; lower the rate if it is.

    At the start of a resumed run, that is what it was stopped before; all else was done.
    """
    config, now = self.config, int(train_state.step)
    last = now == config.num_steps
    if self.course.window.count and (now % config.log_every_steps == 0 or last):
      self._log(now)
    improved = False
    evaluation_due = now and (now % config.eval_every_steps == 0 or last)
    evaluate = evaluation_due and self.course.evaluated_step != now and not stopping
    if evaluate:
      improved = self._evaluate(train_state)
    if self.checkpointer.latest_step() == now:
      save_due = evaluate
    else:
      every = now and now % config.checkpoint_every_steps == 0
      save_due = every or last or improved or stopping or self.course.control.should_stop(config)
    if save_due:
      self._save(train_state, wait=stopping)
    return self._lower_rate(train_state)

  def _log(self, now: int) -> None:
    means = self.course.window.take()
    self.report.scalars(now, 'train', means)
    speed = self.progress.row(now, means['loss'])
    if speed is not None:
      self.report.speed(now, speed)

  def _evaluate(self, train_state: TrainState) -> bool:
    """Evaluate and log; return whether it is the best so far."""
    began, now = time.monotonic(), int(train_state.step)
    result = self.evaluate(train_state.eval_variables, self.iterate)
    self.course.metrics, self.course.evaluated_step = result.metrics, now
    improved = self.course.control.update(now, result.metrics)
    self.report.scalars(now, 'eval', result.metrics)
    for name, image in result.panels.items():
      self.report.picture(now, name.replace('panels', 'predictions'), image)
    self.report.curves(self.course.control.best.metric)
    text = words.measured(result.metrics, self.course.control.best.metric)
    self.progress.say(f'step {now}: {text}' + ', the best so far' * improved)
    self.progress.pause(time.monotonic() - began)
    return improved

  def _lower_rate(self, train_state: TrainState) -> TrainState:
    """Lower the learning rate where a plateau was reached.

    After the checkpoint, which holds that it was reached: so an evaluation made up for when a run
    resumes changes no array of the checkpoint that it belongs to.
    """
    scale = float(train_state.learning_rate_scale)
    lowered = self.course.control.lowered_scale(scale, self.config)
    if lowered == scale:
      return train_state
    self.progress.say(f'Plateau: the learning rate is scaled by {lowered:g} from here.')
    return train_state.replace(
      learning_rate_scale=devices.put_replicated(jnp.float32(lowered), self.mesh)
    )

  def _save(self, train_state: TrainState, wait: bool) -> None:
    began = time.monotonic()
    self.report.flush()
    meta = self.course.to_meta(self.config, self.task.labels, self.fingerprints)
    self.checkpointer.save(train_state.to_arrays(), meta, self.course.control.best.step)
    if wait:
      self.checkpointer.wait()
    self.progress.pause(time.monotonic() - began)

  def _begin(self, variables: Variables) -> Variables:
    """Return what a new run starts from, made of what chance gave."""
    variables, told = begin(self.experiment, variables)
    if told:
      self.progress.say(told)
    return devices.put_replicated(variables, self.mesh)

  def _restore(self, like: TrainState, meta: dict[str, Any]) -> TrainState:
    """Return the checkpoint's state, placed and shaped as `like`."""
    arrays = self.checkpointer.restore_arrays(like.to_arrays())
    train_state = TrainState.from_arrays(arrays)
    self.course = Course.from_meta(meta)
    self.progress.say(f'Resuming {self.workdir} after step {int(train_state.step)}.')
    return train_state

  def _end(self, now: int) -> dict[str, float]:
    self.checkpointer.wait()
    best = self.course.control.best
    value = 'never finite' if best.value is None else f'{best.value:.4f} at step {best.step}'
    self.progress.say(
      f'Done after step {now}. Best {best.metric}: {value}.\n' + words.results_in(self.workdir)
    )
    return self.course.metrics
