"""Checkpoints: the whole truth of a run, written asynchronously and atomically. All of Orbax is here.

`<workdir>/checkpoints/<step>/` holds the training state (arrays) and `meta` (JSON: the config, the
best metric so far, plateau and early-stopping state, metrics not yet logged). A checkpoint that was
being written when the process died is a temporary folder, removed at the next start; in a bucket, where
folders cannot be renamed, it is one that Orbax's mark of success is missing from.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import json
import os
from typing import Any

from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from posejax import buckets, devices, files
from posejax.config import Config
from posejax.errors import PosejaxError, is_disk_full
from posejax.runs.control import Control

_STATE, _META = 'state', 'meta'
_META_FILE = 'metadata'
_COMPLETE = 'commit_success.txt'


class _LatestAndBest(checkpoint_managers.PreservationPolicy):
  """Keep the newest checkpoint and the best one.

  Which one is best is told from outside: Orbax's own ranking would see NaN as the best, and its
  `best_fn` with `max_to_keep` deletes the newest.
  """

  def __init__(self):
    self.best_step: int | None = None

  def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
    del context
    newest = max((c.step for c in checkpoints), default=None)
    return [c.step in (newest, self.best_step) for c in checkpoints]


def folder(workdir: str) -> str:
  """Return the folder of a work directory's checkpoints."""
  place = workdir if buckets.is_in_one(workdir) else os.path.abspath(workdir)
  return os.path.join(place, 'checkpoints')


class Checkpointer:
  """Writes a run's checkpoints and reads them back.

  Use as a context manager: leaving it waits for the write under way.
  """

  def __init__(self, workdir: str):
    self._workdir = workdir
    self._policy = _LatestAndBest()
    self._failed = False
    self._manager = ocp.CheckpointManager(
      folder(workdir),
      item_names=(_STATE, _META),
      options=ocp.CheckpointManagerOptions(
        preservation_policy=self._policy,
        cleanup_tmp_directories=True,
        enable_async_checkpointing=True,
        # Of a shared folder one process may see another list than the next.
        single_host_load_and_broadcast=jax.process_count() > 1,
      ),
    )

  def __enter__(self) -> 'Checkpointer':
    return self

  def __exit__(self, exception_type, exception, traceback):
    if exception_type is None:
      self.wait()
    elif not self._failed:
      # The exception under way is the news; a second one from here would hide it.
      try:
        self._manager.wait_until_finished()
      except Exception as error:
        print(f'The last checkpoint was not written either: {error}')
    self._manager.close()

  def latest_step(self) -> int | None:
    """Return the newest complete checkpoint's step, or None."""
    return self._manager.latest_step()

  def save(self, arrays: Mapping[str, Any], meta: dict[str, Any], best_step: int | None) -> None:
    """Start writing `arrays` and `meta` under their step; returns before the disk is done.

    A checkpoint of this step that is there already has these arrays: its `meta` alone is replaced.

    Args:
      arrays: a training state by field; `step` is one. May be donated as soon as this returns.
      meta: JSON-ready.
      best_step: whose checkpoint is kept beside the newest.

    Raises:
      PosejaxError: this or the previous write failed (disk full, no permission).
    """
    step = int(arrays['step'])
    self._policy.best_step = best_step
    if step in self._manager.all_steps():
      self._replace_meta(step, meta)
      return
    # On CPU a host array can share the device's buffer, which the next step overwrites.
    arrays = jax.tree.map(lambda a: a.copy() if isinstance(a, jax.Array) else a, dict(arrays))
    args = ocp.args.Composite(
      **{_STATE: ocp.args.StandardSave(arrays), _META: ocp.args.JsonSave(meta)}
    )
    try:
      self._manager.save(step, args=args, force=True)
    except Exception as error:
      raise self._write_error(error) from error

  def wait(self) -> None:
    """Wait until what was saved is on disk.

    Raises:
      PosejaxError: it could not be written.
    """
    try:
      self._manager.wait_until_finished()
    except Exception as error:
      raise self._write_error(error) from error

  def restore_arrays(self, like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the newest checkpoint's arrays, placed and shaped as `like`.

    Raises:
      PosejaxError: the checkpoint is damaged, or holds other arrays; the first differences are listed.
    """
    if jax.process_count() > 1 and all(
      a.sharding.is_fully_replicated for a in jax.tree.leaves(like)
    ):
      return self._restore_once(like)
    step = self.latest_step()
    _check_same_arrays(like, _array_metadata(self._workdir, step), step)
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, dict(like))
    with _damage_is_said(self._workdir, step):
      item = _item(self._workdir, step, _STATE)
      args = ocp.args.StandardRestore(abstract)
      return ocp.StandardCheckpointHandler().restore(item, args=args)

  def _restore_once(self, like: Mapping[str, Any]) -> dict[str, Any]:
    """Read on one process for all: hundreds that read all of it are more than a shared disk gives."""
    step, read = self.latest_step(), {}

    def read_all() -> None:
      _check_same_arrays(like, _array_metadata(self._workdir, step), step)
      read.update(_restore_on_host(self._workdir, step, like))

    devices.from_first(read_all)
    return devices.spread(read, dict(like))

  def _replace_meta(self, step: int, meta: dict[str, Any]) -> None:
    if jax.process_index() > 0:
      return
    path = _item(self._workdir, step, _META) / _META_FILE
    try:
      files.replace(os.fspath(path), json.dumps(meta).encode())
    except OSError as error:
      raise self._write_error(error) from error

  def _write_error(self, error: Exception) -> PosejaxError:
    self._failed = True
    steps = sorted(self._manager.all_steps())
    kept = (
      f'the checkpoint of step {steps[-1]} is complete' if steps else 'no checkpoint exists yet'
    )
    cause = 'the disk is full' if is_disk_full(error) else f'{type(error).__name__}: {error}'
    return PosejaxError(
      f'Could not write a checkpoint under {folder(self._workdir)}: {cause}. Nothing older was lost: '
      f'{kept}. Free some space and give the same command again to go on from there.'
    )


def restore(workdir: str, step: int | None = None) -> dict[str, Any]:
  """Return the arrays of a run's checkpoint as nested dictionaries of NumPy arrays.

  Args:
    workdir: a work directory of `main.py`.
    step: which checkpoint; the newest where None.

  Returns:
    The fields of `posejax.train.step.state.TrainState` by name.

  Raises:
    PosejaxError: there is no checkpoint, or it is damaged.
  """
  return restore_with_meta(workdir, step)[0]


def restore_with_meta(
  workdir: str, step: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Return `(arrays, meta)` of a run's checkpoint; see `restore`."""
  step = existing_step(workdir, step)
  return _restore_on_host(workdir, step, _array_metadata(workdir, step)), read_meta(workdir, step)


def restore_variables(workdir: str, step: int | None = None) -> dict[str, Any]:
  """Return what a net is used with, and nothing else of a checkpoint: its optimiser stays on the disk.

  Returns:
    Flax variables of NumPy arrays, with the averaged parameters where the run has them.

  Raises:
    PosejaxError: there is no checkpoint, or it is damaged.
  """
  step = existing_step(workdir, step)
  there = _array_metadata(workdir, step)
  params = 'ema_params' if 'ema_params' in there else 'params'
  wanted = {name: there[name] for name in (params, 'model_state') if name in there}
  arrays = _restore_on_host(workdir, step, wanted)
  return {'params': arrays[params], **arrays.get('model_state', {})}


def existing_step(workdir: str, step: int | None = None) -> int:
  """Return `step`, or the newest checkpoint's where None.

  Raises:
    PosejaxError: there is no such checkpoint.
  """
  steps = available_steps(workdir)
  if not steps or (step is not None and step not in steps):
    wanted = 'checkpoint' if step is None else f'checkpoint of step {step}'
    raise PosejaxError(
      f'There is no {wanted} under {folder(workdir)} (found: {steps or "none"}). '
      'Train first, or name another --workdir.'
    )
  return steps[-1] if step is None else step


def read_meta(workdir: str, step: int | None = None) -> dict[str, Any]:
  """Return the `meta` of a checkpoint, without its arrays; of the newest where `step` is None.

  Raises:
    PosejaxError: there is no such checkpoint, or it is damaged.
  """
  number = existing_step(workdir, step)
  try:
    with _damage_is_said(workdir, number):
      item = _item(workdir, number, _META)
      return ocp.JsonCheckpointHandler(_META_FILE).restore(item, args=ocp.args.JsonRestore())
  except PosejaxError:
    # The run that writes here has deleted it meanwhile, and has a newer one.
    if step is None and existing_step(workdir) > number:
      return read_meta(workdir)
    raise


def available_steps(workdir: str) -> list[int]:
  """Return the steps of the complete checkpoints of a work directory, ascending."""
  place = folder(workdir)
  if buckets.is_in_one(place):
    numbers = [name for name in buckets.names(place) if name.isdigit()]
    return sorted(int(n) for n in numbers if _COMPLETE in buckets.names(f'{place}/{n}'))
  if not os.path.isdir(place):
    return []
  return sorted(int(name) for name in os.listdir(place) if name.isdigit())


def finished_step(workdir: str, config: Config) -> int | None:
  """Return the step that a run ended at, or None where `config` leaves it something to do."""
  steps = available_steps(workdir)
  if not steps:
    return None
  if steps[-1] > config.num_steps:
    return steps[-1]
  meta = read_meta(workdir, steps[-1])
  if steps[-1] == config.num_steps:
    # Asked to stop in the last step, a run saves without evaluating.
    over = meta['evaluated_step'] == steps[-1]
  else:
    over = Control.from_json(meta['control']).should_stop(config)
  return steps[-1] if over else None


# Read by the handlers themselves: a CheckpointManager only learns how to read from having written.
def _item(workdir: str, step: int, name: str) -> epath.Path:
  return epath.Path(folder(workdir)) / str(step) / name


def _array_metadata(workdir: str, step: int) -> Any:
  with _damage_is_said(workdir, step):
    return ocp.StandardCheckpointHandler().metadata(_item(workdir, step, _STATE)).tree


def _restore_on_host(workdir: str, step: int, wanted: Mapping[str, Any]) -> dict[str, Any]:
  """Return arrays of the host, whatever devices wrote them.

  `wanted` has their shapes and types, and maybe only a part of what is there.
  """
  item = jax.tree.map(lambda m: np.empty(m.shape, m.dtype), dict(wanted))
  as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
  args = ocp.args.PyTreeRestore(item=item, restore_args=as_numpy, partial_restore=True)
  with _damage_is_said(workdir, step):
    return ocp.PyTreeCheckpointHandler().restore(_item(workdir, step, _STATE), args=args)


@contextlib.contextmanager
def _damage_is_said(workdir: str, step: int) -> Iterator[None]:
  """Say of a checkpoint whose files are cut off or gone which one it is, and what to do."""
  try:
    yield
  except Exception as error:
    # Orbax raises a bare Exception where an array cannot be read.
    damage = isinstance(error, ValueError | FileNotFoundError) or type(error) is Exception
    if not damage or 'PERMISSION_DENIED' in str(error):
      raise
    place = os.path.join(folder(workdir), str(step))
    if not epath.Path(place).exists():
      raise PosejaxError(
        f'The checkpoint {place} is gone: a run that is at work keeps its newest and its best. Try again.'
      ) from error
    before = [other for other in available_steps(workdir) if other < step]
    then = f'goes on from step {before[-1]}' if before else 'begins anew'
    cause = (str(error).splitlines() or [''])[0][:200]
    raise PosejaxError(
      f'The checkpoint {place} is damaged ({type(error).__name__}: {cause}). Delete that folder; the '
      f'same command then {then}.'
    ) from error


def _check_same_arrays(target: Any, metadata: Any, step: int) -> None:
  def shapes(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {ocp.utils.tuple_path_from_keypath(path): tuple(a.shape) for path, a in leaves}

  wanted = {tuple(map(str, k)): v for k, v in shapes(target).items()}
  found = {tuple(map(str, k)): v for k, v in shapes(metadata).items()}
  different = [
    f'  {"/".join(k)}: {found.get(k, "absent")} in the checkpoint, {wanted.get(k, "absent")} expected'
    for k in sorted(wanted.keys() | found.keys())
    if wanted.get(k) != found.get(k)
  ]
  if different:
    raise PosejaxError(
      f'The checkpoint of step {step} holds another model or optimiser ({len(different)} arrays '
      'differ):\n' + '\n'.join(different[:5]) + '\nUse the config it was trained with.'
    )
