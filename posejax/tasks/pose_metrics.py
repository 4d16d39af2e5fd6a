"""How predictions of one person's keypoints are measured: PCK, and the median pose beside it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from posejax.geometry import affine
from posejax.metrics import pck
from posejax.skeletons import Skeleton
from posejax.types import Batch, Predictions

Sums = dict[str, dict[str, jax.Array]]


@dataclasses.dataclass(frozen=True, eq=False)
class PoseMetrics:
  """The `measure`, `summarize` and `main_metric` of a pose task.

  Attributes:
    skeleton: of the labels and the predictions.
    crop_size: (H, W) of the net's input.
    median_pose: `[K, 2]` as fractions of the crop; measured beside the model where given, because a
      PCK without that baseline says little.
  """

  skeleton: Skeleton
  crop_size: tuple[int, int]
  median_pose: np.ndarray | None = None

  @property
  def main_metric(self) -> str:
    """PCK@0.20 by torso, or by box where the skeleton has no torso."""
    return 'PCK@0.20/torso' if self.skeleton.torso else 'PCK@0.20/box'

  def measure(self, predictions: Predictions, batch: Batch) -> Sums:
    """Return sums that add up over batches; traced. See `posejax.tasks.Task`."""
    sums = {'model': self._sums(predictions['keypoints_image'], batch)}
    if self.median_pose is not None:
      H, W = self.crop_size
      guess = jnp.asarray(self.median_pose * (W, H), jnp.float32)
      guess = jnp.broadcast_to(guess, predictions['keypoints_crop'].shape)
      guess_image = affine.transform_points(guess, batch['crop_to_image'])
      sums['median_pose'] = self._sums(guess_image, batch)
    return sums

  def summarize(self, sums: Sums, records: list) -> dict[str, float]:
    """Return named figures; the median pose's are `<name>/median_pose`."""
    del records  # PCK needs sums only
    figures = pck.summarize_pck(sums['model'], self.skeleton)
    if 'median_pose' in sums:
      baseline = pck.summarize_pck(sums['median_pose'], self.skeleton)
      figures |= {f'{n}/median_pose': baseline[n] for n in _baseline_names(baseline)}
    return figures

  def _sums(self, keypoints_image: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    labels = (batch[k] for k in ('keypoints_image', 'visibility', 'boxes', 'mask'))
    return pck.pck_sums(keypoints_image, *labels, self.skeleton)


def _baseline_names(figures: dict[str, float]) -> list[str]:
  return [n for n in figures if n.count('/') == 1 and n.startswith(('PCK', 'AUC', 'MAE'))]
