"""What of a run's config may be changed: when the run goes on, and when it is evaluated."""

import dataclasses
from typing import Any

from posejax.config import EVERY, Config
from posejax.errors import PosejaxError
from posejax.experiment import batch_norm
from posejax.options import flatten

# What a run may change when it is continued: how long, how often to look, and how memory is saved; and
# where its data lie, which the sources' fingerprints hold to be the same (`posejax.train.loop`).
_MAY_CHANGE = ('num_steps', 'mesh.state', 'model.remat', *EVERY)
_PLACES = (
  'manual_dir', 'data_dir', 'annotations', 'images', 'skeleton', 'detections',
)  # fmt: skip


def continue_from(new: Config, old: Config, workdir: str) -> Config:
  """Return `new` as the continuation of a run that was started with `old`.

  The schedule stays laid out over the first run's steps, and batch norm's groups as large as they were
  where `new` names none or does by a word, which meant the first run's devices.

  Raises:
    PosejaxError: a key differs that may not; the message lists each with both values.
  """
  if new.optimizer.schedule_steps is None:
    steps = old.optimizer.schedule_steps
    new = dataclasses.replace(
      new, optimizer=dataclasses.replace(new.optimizer, schedule_steps=steps)
    )
  group = 'bn_group_size'
  if new.model.get(group) in (None, *batch_norm.WORDS) and old.model.get(group) is not None:
    new = dataclasses.replace(new, model={**new.model, group: old.model[group]})
  flat_new, flat_old = flatten(new.to_dict()), flatten(old.to_dict())
  different = [
    f'  config.{key}: {flat_old.get(key, "not set")!r} there, {flat_new.get(key, "not set")!r} now'
    for key in sorted(flat_new.keys() | flat_old.keys())
    if flat_new.get(key) != flat_old.get(key) and not _may_change(key)
  ]
  if different:
    raise PosejaxError(
      f'{workdir} belongs to a run with another config:\n'
      + '\n'.join(different)
      + '\nChoose another --workdir, or set these keys back to continue that run.'
    )
  return new


def _may_change(key: str) -> bool:
  place = key.startswith(('data.', 'evaluations.')) and key.rpartition('.')[2] in _PLACES
  return place or key == 'evaluate.detections' or key in _MAY_CHANGE


def evaluate_with(config: Config, overrides: dict[str, Any]) -> Config:
  """Return a run's config with what the command line sets for one evaluation.

  Args:
    config: the run's.
    overrides: dotted key -> value. Only keys of `evaluate`, `evaluations`, `data`, `codec` and `task` but
      its name and crop size may differ from the run's: what is evaluated on, and how the net's outputs
      are read.

  Raises:
    PosejaxError: another key differs, or is unknown.
  """
  for key in overrides:
    section, _, last = key.partition('.')
    own = f'data.eval.{last}'
    if section == 'data' and last in config.data.eval and own not in overrides:
      raise PosejaxError(f'What the run is evaluated on has a {last} of its own; set config.{own}.')
  values = config.to_dict()
  for key, value in overrides.items():
    *sections, last = key.split('.')
    place = values
    for section in sections:
      place = place.setdefault(section, {})
    place[last] = value
  changed = Config.from_dict(values)
  flat_new, flat_old = flatten(changed.to_dict()), flatten(config.to_dict())
  for key, value in flat_new.items():
    free = key.startswith(('evaluate.', 'evaluations.', 'data.', 'codec.', 'task.'))
    fixed = not free or key in ('task.name', 'task.crop_size')
    if fixed and value != flat_old.get(key):
      raise PosejaxError(
        f'config.{key}={value!r} cannot be set for an evaluation: the run has '
        f'{flat_old.get(key, "nothing")!r}. Keys of config.evaluate, config.data, config.codec and '
        'config.task can.'
      )
  return changed
