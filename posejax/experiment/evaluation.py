"""What a pose experiment evaluates on, and how it is measured: from a config and its sources."""

from functools import partial
import logging

import numpy as np

from posejax.config import Config
from posejax.data import sources
from posejax.data.formats import coco_read
from posejax.data.sources import detections
from posejax.data.transforms import crops
from posejax.errors import PosejaxError
from posejax.metrics import coco_ap, median
from posejax.skeletons import Skeleton
from posejax.tasks.pose.measures import PoseMetrics

_LOG = logging.getLogger(__name__)
_MEDIAN_EXAMPLES = 2000


def evaluated_source(config: Config, source: sources.Source) -> sources.Source:
  """Return what is evaluated on: `source`, or the boxes of `config.evaluate.detections` on it.

  Raises:
    PosejaxError: there are detections, and the source is not of COCO's format or has other pictures.
  """
  path = config.evaluate.detections
  if not path:
    return source
  if not sources.has_annotations(source):
    raise PosejaxError(
      f"config.evaluate.detections={path!r} needs a data set of COCO's format, with everybody on its "
      f'pictures annotated; {source.name!r} is none. Leave it empty to evaluate on annotated boxes.'
    )
  boxes = detections.read(path, source.image_ids, source.category_ids[0])
  left_out = {reason: number for reason, number in boxes.left_out.items() if number}
  if left_out:
    _LOG.warning('%s: left out of the detections: %s.', path, left_out)
  return detections.DetectedPeople(source, boxes)


def create(
  config: Config,
  skeleton: Skeleton,
  shift: bool,
  rescoring: str,
  prepare: crops.CropPerson,
  train_source: sources.Source,
  eval_source: sources.Source,
) -> PoseMetrics:
  """Return what there is to measure: AP and PCKh where the data have what they need.

  Args:
    config: a pose config.
    skeleton: of the model's output.
    shift: whether mirrored heatmaps are shifted in the flip test.
    rescoring: how people are ranked for AP, the codec's.
    prepare: one example's arrays, not augmented.
    train_source: whose median pose is measured beside the net.
    eval_source: what is evaluated on.

  Raises:
    PosejaxError: annotations and skeleton don't belong together.
  """
  labelled = not isinstance(eval_source, detections.DetectedPeople)
  average_precision = None
  if sources.has_annotations(eval_source):
    H, W = config.data.crop_size
    truth = coco_ap.ground_truth(
      coco_read.read(eval_source.annotations),
      skeleton.num_keypoints,
      eval_source.image_ids,
      eval_source.category_ids,
    )
    average_precision = partial(
      coco_ap.summarize,
      truth=truth,
      lookup=partial(_image_and_score, eval_source),
      num_examples=len(eval_source),
      sigmas=skeleton.sigmas,
      aspect=W / H,
      box_padding=config.data.box_padding,
      taken=coco_ap.how_taken('gtbox' if labelled else 'detbox', config.evaluate.flip, shift),
      rescoring=rescoring,
    )
  return PoseMetrics(
    skeleton,
    config.data.crop_size,
    _median_pose(train_source, prepare) if labelled else None,
    labelled,
    _has_heads(eval_source),
    average_precision,
  )


def _image_and_score(source: sources.CocoSource, index: int) -> tuple:
  labels = source.labels(index)
  return labels['image_id'], labels.get('box_score', 1.0)


def _has_heads(source: sources.Source) -> bool:
  """Return whether any head has a size. The first example tells whether there may be one at all."""
  if 'head_size' not in source.labels(0):
    return False
  return any(source.labels(i).get('head_size', 0) > 0 for i in range(len(source)))


def _median_pose(source: sources.Source, prepare: crops.CropPerson) -> np.ndarray:
  """Return the training set's median pose `[K, 2]` as fractions of the crop."""
  H, W = prepare.crop_size
  labels = [
    prepare.labels(source.labels(i), np.random.default_rng(0))[1]
    for i in range(min(len(source), _MEDIAN_EXAMPLES))
  ]
  keypoints = np.stack([one['keypoints'] for one in labels]) / (W, H)
  return median.median_pose(keypoints, np.stack([one['visibility'] for one in labels]))
