"""What a run says of itself, for a person."""

from collections.abc import Mapping, Sequence
import os

import jax
from jax.sharding import Mesh
import numpy as np

from posejax.config import Config
from posejax.experiment import Experiment, batch_norm
from posejax.runs.report import parameter_table
from posejax.train.optim import schedules
from posejax.train.optim.lr_scales import Scales
from posejax.train.step.state import TrainState


def introduction(experiment: Experiment, state: TrainState, scales: Scales, mesh: Mesh) -> str:
  """Return what is trained, how and on what; with all parameters where it begins."""
  config, found = experiment.config, jax.devices()
  count = sum(p.size for p in jax.tree.leaves(state.params))
  sizes = (f'{len(e.source):,}' for e in experiment.evaluations.values())
  lines = [
    f'{config.model.get("name")}: {count:,} parameters, {config.dtype}, batch {config.batch_size} on '
    f'{len(found)} {found[0].device_kind} device(s)',
    batch_norm.describe(config, mesh.size),
    'Optimiser: ' + schedules.describe(config.optimizer, config.batch_size),
    f'Data: {experiment.train_source.name}, {len(experiment.train_source):,} to train on, '
    f'{", ".join(sizes)} to evaluate on',
  ]
  if int(state.step) == 0:
    lines.insert(0, 'Parameters:\n' + parameter_table(state.params))
  if scales.factors:
    factors = scales.describe(state.variables)
    lines.insert(-1, f'Learning rates by config.optimizer.lr_scales:\n{factors}')
  return '\n'.join(lines)


def not_finite(
  step: int, bad: Mapping[str, float], examples: np.ndarray, saved: Sequence[int]
) -> str:
  """Return why a run cannot go on: what is not finite, from which examples, and what to try."""
  which = f'examples {examples.tolist()}' if len(examples) else 'the gradient, not one example'
  kept = f'The checkpoint of step {saved[-1]} is good. ' if saved else ''
  return (
    f'Step {step}: {", ".join(f"{k} is {v}" for k, v in bad.items())}, from {which}. {kept}'
    'Try a lower config.optimizer.learning_rate, config.optimizer.clip_norm=1.0, or '
    'config.dtype=float32, and look at these examples.'
  )


def measured(metrics: Mapping[str, float], name: str) -> str:
  """Return the metrics worth a line: the one called `name`, and its median-pose baseline."""
  text = f'{name} {metrics[name]:.4f}'
  baseline = metrics.get(f'{name}/median_pose')
  return text if baseline is None else f'{text} (median pose: {baseline:.4f})'


def results_in(workdir: str) -> str:
  """Return where a run's results lie."""
  return (
    f'Results in {workdir}: predictions.png, learning_curves.png, metrics.jsonl, checkpoints/, '
    f'and `tensorboard --logdir {os.path.join(workdir, "tensorboard")}`'
  )


def complete(workdir: str, done: int, config: Config) -> str:
  """Return that nothing is left to do, and what could be."""
  if done < config.num_steps:
    return (
      f'This run is complete: it stopped early, after step {done}.\n{results_in(workdir)}\n'
      'To evaluate it, use --mode=eval.'
    )
  return (
    f'This run is complete: {done} of {config.num_steps} steps are done.\n{results_in(workdir)}\n'
    f'To train longer, raise --config.num_steps; to evaluate it, use --mode=eval.'
  )
