"""What is refused before a sweep's first run: what no run could be built from, or go on from."""

from collections.abc import Sequence
import dataclasses
import json
import os

from posejax import experiment
from posejax.config import Config, EarlyStoppingConfig, OptimizerConfig, resolve
from posejax.errors import PosejaxError
from posejax.runs import checkpoint, workdirs
from posejax.runs.changes import continue_from
from posejax.sweep.grid import Run
from posejax.train.optim import optimizers

# What an experiment is built without; runs that differ in nothing else are built once.
_NOT_BUILT_FROM = {
  'seed': 0,
  'num_steps': 1,
  'batch_size': 1,
  'log_every_steps': 1,
  'eval_every_steps': 1,
  'checkpoint_every_steps': 1,
  'optimizer': OptimizerConfig(),
  'early_stopping': EarlyStoppingConfig(),
}


def continued(runs: Sequence[Run], folder: str) -> list[Run]:
  """Return the runs with configs that go on from what their folders hold.

  Raises:
    PosejaxError: a folder holds a run with another config; both values of each key are named.
  """
  found = []
  for run in runs:
    workdir = os.path.join(folder, run.name)
    before = workdirs.read_config(workdir) if checkpoint.available_steps(workdir) else None
    config = resolve(run.config) if before is None else continue_from(run.config, before, workdir)
    found.append(dataclasses.replace(run, config=config))
  return found


def can_be_built(runs: Sequence[Run]) -> None:
  """Build what the runs need: every value of every setting once, not every combination.

  Raises:
    PosejaxError: a name, key or value fits none of the config's models, data, losses and so on.
  """
  built = set()
  for run in _each_value_once(runs):
    optimizers.create(run.config.optimizer)
    config = dataclasses.replace(run.config, **_NOT_BUILT_FROM)
    if (key := json.dumps(config.to_dict(), sort_keys=True)) not in built:
      built.add(key)
      _build(run, config)


def _build(run: Run, config: Config) -> None:
  try:
    experiment.from_config(config)
  except PosejaxError as error:
    raise PosejaxError(f'{run.name}: {error}') from error
  except (TypeError, ValueError, ArithmeticError) as error:
    # What a net makes of a value that it was not written for.
    raise PosejaxError(
      f'{run.name} cannot be built; are its values of the right type and size? '
      f'{type(error).__name__}: {error}'
    ) from error


def _each_value_once(runs: Sequence[Run]) -> list[Run]:
  seen, found = set(), []
  for run in runs:
    values = {(key, repr(value)) for key, value in run.settings.items()}
    if not values <= seen:
      seen |= values
      found.append(run)
  return found
