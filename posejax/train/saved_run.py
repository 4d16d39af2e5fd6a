"""A run's checkpoint opened to be used: its config, what it learned, and predictions from it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from posejax import experiment as experiments
from posejax.config import Config
from posejax.data import executor
from posejax.data.batches import EvalBatches
from posejax.errors import PosejaxError
from posejax.skeletons import Skeleton
from posejax.train import checkpoint, parallel
from posejax.types import Variables


class SavedRun(NamedTuple):
  """What a checkpoint holds.

  Attributes:
    config: the run's.
    variables: averaged parameters where the run has them, and the model's state. NumPy.
    step: of the checkpoint.
    meta: everything else; see `posejax.train.checkpoint`.
  """

  config: Config
  variables: Variables
  step: int
  meta: dict[str, Any]

  @property
  def skeleton(self) -> Skeleton:
    """What the net's outputs stand for."""
    return Skeleton(**self.meta['skeleton'])


def read(workdir: str, which: str) -> SavedRun:
  """Read one checkpoint of a work directory.

  Args:
    workdir: of a training run.
    which: 'best', 'latest' or a step.

  Raises:
    PosejaxError: there is no such checkpoint.
  """
  _, meta = checkpoint.restore_with_meta(workdir)
  arrays, meta = checkpoint.restore_with_meta(workdir, _step_of(which, meta))
  variables = {'params': arrays.get('ema_params', arrays['params']), **arrays['model_state']}
  return SavedRun(Config.from_dict(meta['config']), variables, int(arrays['step']), meta)


def _step_of(which: str, meta: dict) -> int | None:
  if which == 'latest':
    return None
  if which == 'best':
    return meta['control']['best']['step']
  if not which.isdigit():
    raise PosejaxError(f"--checkpoint={which} must be 'best', 'latest' or a step.")
  return int(which)


class SourcePredictor:
  """Keypoints of a run's net for the people of any source of its skeleton's figures.

  Unlike an evaluation it needs neither the run's data nor labels. It is compiled once.
  """

  def __init__(self, run: SavedRun):
    """Build the net.

    Raises:
      PosejaxError: the run is not one of poses.
    """
    if run.config.task != 'pose':
      raise PosejaxError(
        f'This run has config.task={run.config.task!r}; keypoints need a pose run.'
      )
    self._mesh = parallel.make_mesh()
    _, task = experiments.pose_task(run.config, run.skeleton)
    size = run.config.evaluate.batch_size or run.config.batch_size
    # The run may have had another number of devices.
    self._batch_size = -(-size // self._mesh.size) * self._mesh.size
    self._prepare = task.prepare_eval
    whole, split = parallel.replicated(self._mesh), parallel.sharded(self._mesh)

    def predict(variables, batch):
      predictions = task.predict(variables, batch)
      return predictions['keypoints_image'], predictions['scores']

    self._predict = jax.jit(predict, in_shardings=(whole, split), out_shardings=split)
    self._variables = parallel.put_replicated(run.variables, self._mesh)

  def __call__(
    self, source, progress: Callable[[Iterable[int]], Iterable[int]] = iter
  ) -> tuple[np.ndarray, np.ndarray]:
    """Return `(keypoints_image [N, K, 2], scores [N, K])` of a source's N examples, float32.

    Args:
      source: see `posejax.data.sources`; its labels are not used.
      progress: wraps the range of batches.
    """
    batches = EvalBatches(source, self._prepare, self._batch_size)
    made = executor.iterate(batches, 0, len(batches), num_workers=2, prefetch=2)
    keypoints, scores = [], []
    for _ in progress(range(len(batches))):
      on_device = parallel.put_batch(next(made), self._mesh)
      points, values = self._predict(self._variables, on_device)
      keypoints.append(np.asarray(points))
      scores.append(np.asarray(values))
    return np.concatenate(keypoints)[: len(source)], np.concatenate(scores)[: len(source)]
