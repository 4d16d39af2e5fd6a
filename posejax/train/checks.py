"""What is refused before a run computes anything, and words for a disk that is full while it does."""

from collections.abc import Iterator, Set
import contextlib

from jax.sharding import Mesh

from posejax import devices
from posejax.config import Config
from posejax.errors import PosejaxError, is_disk_full, nearest
from posejax.experiment import Experiment
from posejax.runs import checkpoint
from posejax.runs.control import Control


def batch_sizes(config: Config, mesh: Mesh) -> None:
  """Refuse batches that the devices do not divide; names sizes that they do."""
  devices.check_batch_size('batch_size', config.batch_size, mesh.size, config.microbatches)
  size = config.evaluate.batch_size
  if size is not None:
    devices.check_batch_size('evaluate.batch_size', size, mesh.size)


def fingerprints(experiment: Experiment) -> dict[str, str]:
  """Return split, or set to evaluate on -> what tells its data from others."""
  found = {'train': experiment.train_source.fingerprint}
  for name, (source, _) in experiment.evaluations.items():
    found[name] = source.fingerprint
  return found


def same_data(workdir: str, before: dict[str, str], now: dict[str, str]) -> None:
  """Refuse to go on with other data than a run began with; both are `fingerprints`."""
  for split, found in now.items():
    if before.get(split, found) != found:
      raise PosejaxError(
        f'The {split} data are not those that {workdir} began with: {before[split]} there, {found} now. '
        'Set config.data back to them, or choose another --workdir to start anew.'
      )


def watched_metrics(control: Control, names: Set[str]) -> None:
  """Refuse to watch metrics that no evaluation gives; `names` are those that they give."""
  wanted = {
    'best_metric': control.best,
    'optimizer.plateau_metric': control.plateau,
    'early_stopping.metric': control.early,
  }
  for key, watch in wanted.items():
    if watch.metric not in names:
      raise PosejaxError(
        f'config.{key}={watch.metric!r} is not computed by this evaluation.'
        + nearest(watch.metric, names)
      )


@contextlib.contextmanager
def disk_full_is_said(workdir: str) -> Iterator[None]:
  """Within it, a full disk is an error of a sentence, which says what is kept."""
  try:
    yield
  except OSError as error:
    if not is_disk_full(error):
      raise
    raise PosejaxError(
      f'Could not write to {workdir}: the disk is full. Nothing older was lost '
      f'(checkpoints: {checkpoint.available_steps(workdir) or "none yet"}). Free some space and '
      'give the same command again.'
    ) from error
