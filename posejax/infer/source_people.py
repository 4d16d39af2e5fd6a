"""Keypoints of a net for the people of a source, whoever annotated them."""

from collections.abc import Callable, Iterable

import jax
import numpy as np

from posejax import devices
from posejax import experiment as experiments
from posejax.data.batches import EvalBatches
from posejax.data.executors import threads
from posejax.errors import PosejaxError
from posejax.geometry import affine
from posejax.runs.net_file import SavedNet


class SourcePredictor:
  """Keypoints of a net for the people of any source of its skeleton's figures.

  Unlike an evaluation it needs neither the run's data nor labels. It is compiled once.
  """

  def __init__(self, net: SavedNet):
    """Build the net.

    Raises:
      PosejaxError: it finds no poses.
    """
    if net.labels.skeleton is None:
      raise PosejaxError(
        f'{net.name} has config.task.name={net.config.task["name"]!r}; keypoints need a pose net.'
      )
    self._mesh = devices.make_mesh()
    _, task = experiments.build(net.config, net.labels)
    size = net.config.evaluate.batch_size or net.config.batch_size
    # The run may have had another number of devices.
    self._batch_size = -(-size // self._mesh.size) * self._mesh.size
    self._transform = task.transform_eval
    whole, split = devices.replicated(self._mesh), devices.sharded(self._mesh)

    def predict(variables, batch):
      predictions = task.infer(variables, batch['images'])
      points = affine.transform_points(predictions['keypoints_crop'], batch['crop_to_image'])
      return points, predictions['scores']

    self._predict = jax.jit(predict, in_shardings=(whole, split), out_shardings=split)
    self._variables = devices.put_replicated(net.variables, self._mesh)

  def __call__(
    self, source, progress: Callable[[Iterable[int]], Iterable[int]] = iter
  ) -> tuple[np.ndarray, np.ndarray]:
    """Return `(keypoints_image [N, K, 2], scores [N, K])` of a source's N examples, float32.

    Args:
      source: see `posejax.data.sources`; its labels are not used.
      progress: wraps the range of batches.
    """
    batches = EvalBatches(source, self._transform, self._batch_size)
    made = threads.iterate(batches, 0, len(batches), num_workers=2, prefetch=2)
    keypoints, scores = [], []
    for _ in progress(range(len(batches))):
      on_device = devices.put_batch(next(made), self._mesh)
      points, values = self._predict(self._variables, on_device)
      keypoints.append(np.asarray(points))
      scores.append(np.asarray(values))
    return np.concatenate(keypoints)[: len(source)], np.concatenate(scores)[: len(source)]
