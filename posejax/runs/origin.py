"""Where a run begins or goes on: decided by one process, and the same on all."""

import importlib.metadata
from typing import Any, NamedTuple

from posejax import devices
from posejax.config import Config, resolve
from posejax.experiment import batch_norm
from posejax.options import flatten
from posejax.process import together
from posejax.runs import checkpoint, older, workdirs
from posejax.runs.changes import continue_from


class Origin(NamedTuple):
  """Where a run begins.

  Attributes:
    config: to run with.
    meta: of the checkpoint to go on from; None for a new run.
    finished: the step that the run ended at; None where there is something to do.
  """

  config: Config
  meta: dict[str, Any] | None
  finished: int | None


def check_same(config: Config) -> None:
  """Refuse processes of one run that were started with another config or installation than the first.

  Raises:
    PosejaxError: on all of them; it says what differs.
  """
  mine = {f'config.{key}': value for key, value in flatten(config.to_dict()).items()}
  mine['the code of posejax'] = together.digest_of_code()
  mine |= {name: importlib.metadata.version(name) for name in ('jax', 'jaxlib', 'flax', 'optax')}
  together.check_same(mine)


def find(config: Config, workdir: str, num_devices: int, num_hosts: int = 1) -> Origin:
  """Return where the run in a work directory begins, as process 0 sees it.

  Raises:
    PosejaxError: the run that is there has another config, its checkpoint is damaged, or batch norm's
      groups do not fit the devices.
  """
  return devices.from_first(lambda: _find(config, workdir, num_devices, num_hosts))


def _find(config: Config, workdir: str, num_devices: int, num_hosts: int) -> Origin:
  # Without a checkpoint there is nothing to continue, and what was refused before may be mended.
  meta = checkpoint.read_meta(workdir) if checkpoint.available_steps(workdir) else None
  if meta is None:
    config = resolve(config)
  else:
    config = continue_from(config, _config_before(workdir, meta), workdir)
  config = batch_norm.settle(config, num_devices, num_hosts, is_new=meta is None)
  return Origin(config, meta, checkpoint.finished_step(workdir, config))


def _config_before(workdir: str, meta: dict[str, Any]) -> Config:
  """Return the config to go on with; where its file is gone, the newest checkpoint's `meta` has it."""
  before = workdirs.read_config(workdir)
  return Config.from_dict(older.config_values(meta['config'])) if before is None else before
