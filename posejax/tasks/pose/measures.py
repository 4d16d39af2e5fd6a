"""How predictions of one person's keypoints are measured: PCK, PCKh, COCO AP, and the median pose."""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from posejax.geometry import affine
from posejax.metrics import coco_ap, pck, pckh
from posejax.skeletons import Skeleton
from posejax.types import Array, Batch, Predictions

Sums = dict[str, dict[str, jax.Array]]

# What is measured of the median pose too: its figures by keypoint would say no more.
_COMPARED = ('PCK', 'AUC', 'MAE')


@dataclasses.dataclass(frozen=True, eq=False)
class PoseMetrics:
  """The `measure`, `records`, `summarize` and `main_metric` of a pose evaluator.

  Attributes:
    skeleton: of the labels and the predictions.
    crop_size: (H, W) of the net's input.
    median_pose: `[K, 2]` as fractions of the crop; measured beside the model where given, because a
      PCK without that baseline says little.
    labelled: whether the examples have labels, which detected people don't; else only AP is taken.
    heads: whether `head_sizes` are known, for PCKh.
    average_precision: every example's record -> COCO's AP and AR by name (no records: the names);
      not taken where None.
  """

  skeleton: Skeleton
  crop_size: tuple[int, int]
  median_pose: np.ndarray | None = None
  labelled: bool = True
  heads: bool = False
  average_precision: Callable[[list[coco_ap.Record]], dict[str, float]] | None = None

  def __post_init__(self):
    assert self.labelled or self.average_precision is not None, 'nothing would be measured'

  @property
  def main_metric(self) -> str:
    """PCK@0.20 by torso, or by box where the skeleton has no torso; AP where nobody is labelled."""
    if not self.labelled:
      return next(iter(self.average_precision([])))
    return 'PCK@0.20/torso' if self.skeleton.torso else 'PCK@0.20/box'

  @property
  def records(self) -> Callable[[Predictions, Batch], list] | None:
    """What AP needs of every example; see `posejax.tasks.Evaluator`."""
    return None if self.average_precision is None else records

  def measure(self, predictions: Predictions, batch: Batch) -> Sums:
    """Return sums that add up over batches; traced. See `posejax.tasks.Evaluator`."""
    if not self.labelled:
      return {}
    sums = self._sums('', _in_image(predictions, batch), batch)
    if self.median_pose is not None:
      H, W = self.crop_size
      guess = jnp.asarray(self.median_pose * (W, H), jnp.float32)
      guess = jnp.broadcast_to(guess, predictions['keypoints_crop'].shape)
      guess_image = affine.transform_points(guess, batch['crop_to_image'])
      sums |= self._sums('/median_pose', guess_image, batch)
    return sums

  def summarize(self, sums: Sums, records: list[coco_ap.Record]) -> dict[str, float]:
    """Return named figures; the median pose's are `<name>/median_pose`."""
    figures = {}
    if self.labelled:
      figures |= self._figures('', sums)
      if self.median_pose is not None:
        baseline = self._figures('/median_pose', sums)
        figures |= {f'{name}/median_pose': baseline[name] for name in filter(_compared, baseline)}
    if self.average_precision is not None:
      figures |= self.average_precision(records)
    return figures

  def _sums(self, whose: str, keypoints_image: jax.Array, batch: Batch) -> Sums:
    labels = batch['keypoints_image'], batch['visibility']
    sums = {
      f'pck{whose}': pck.pck_sums(
        keypoints_image, *labels, batch['boxes'], batch['mask'], self.skeleton
      )
    }
    if self.heads:
      sums[f'pckh{whose}'] = pckh.pckh_sums(
        keypoints_image, *labels, batch['head_sizes'], batch['mask']
      )
    return sums

  def _figures(self, whose: str, sums: Sums) -> dict[str, float]:
    figures = pck.summarize_pck(sums[f'pck{whose}'], self.skeleton)
    if self.heads:
      figures |= pckh.summarize_pckh(sums[f'pckh{whose}'], self.skeleton)
    return figures


def _in_image(predictions: Predictions, batch: Batch) -> Array:
  return affine.transform_points(predictions['keypoints_crop'], batch['crop_to_image'])


def records(predictions: Predictions, batch: Batch) -> list[coco_ap.Record]:
  """Return what COCO's AP needs of every example of a batch (numpy), padding left out."""
  found = {'keypoints_image': _in_image(predictions, batch), 'scores': predictions['scores']}
  return coco_ap.make_records(found, batch)


def _compared(name: str) -> bool:
  whole = name.count('/') == 0 if name.startswith('PCKh') else name.count('/') == 1
  return whole and name.startswith(_COMPARED)
