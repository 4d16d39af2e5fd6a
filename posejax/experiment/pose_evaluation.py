"""What a pose experiment evaluates on, and how it is measured: from a config and its sources."""

from collections.abc import Callable
import functools
from functools import partial
import logging

import numpy as np

from posejax.config import Config
from posejax.data import sources
from posejax.data.formats import coco_read
from posejax.data.sources import detections
from posejax.errors import PosejaxError
from posejax.experiment.kind import EvaluateOn
from posejax.metrics import coco_ap, median
from posejax.tasks import Evaluator, Task
from posejax.tasks.pose.measures import PoseMetrics

_LOG = logging.getLogger(__name__)
_MEDIAN_EXAMPLES = 2000


def create(config: Config, task: Task, train_source: sources.Source) -> EvaluateOn:
  """Return what says of a set what is measured on it: AP and PCKh where the data allow it.

  What it returns raises a PosejaxError where the set has another skeleton, where annotations and skeleton
  don't belong together, or where there are detections and it is not of COCO's format.

  Args:
    config: a pose config.
    task: of that config.
    train_source: whose median pose is measured beside the net.
  """
  del config  # nothing to set
  return partial(_evaluate_on, task, functools.cache(partial(_median_pose, train_source, task)))


def _evaluate_on(
  task: Task, median_pose: Callable[[], np.ndarray], source: sources.Source, boxes: str
) -> tuple[sources.Source, Evaluator]:
  ours, theirs = task.labels.keypoints, source.label_space.keypoints
  if ours != theirs:
    raise PosejaxError(
      f'The net knows the keypoints {list(ours)}; {source.name!r} has {list(theirs)}. Map them to the '
      "net's with config.data.name='mixture'."
    )
  if boxes:
    source = _detected(source, boxes)
  metrics = _metrics(task, median_pose, source)
  evaluator = Evaluator(
    measure=metrics.measure,
    records=metrics.records,
    summarize=metrics.summarize,
    main_metric=metrics.main_metric,
  )
  return source, evaluator


def _detected(source: sources.Source, path: str) -> sources.Source:
  """Return the people that a detector found on a source's pictures.

  Raises:
    PosejaxError: the source is not of COCO's format or has other pictures.
  """
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


def _metrics(
  task: Task, median_pose: Callable[[], np.ndarray], source: sources.Source
) -> PoseMetrics:
  skeleton, (H, W) = task.labels.skeleton, task.input_size
  labelled = not isinstance(source, detections.DetectedPeople)
  average_precision = None
  if sources.has_annotations(source):
    truth = coco_ap.ground_truth(
      coco_read.read(source.annotations),
      skeleton.num_keypoints,
      source.image_ids,
      source.category_ids,
    )
    average_precision = partial(
      coco_ap.summarize,
      truth=truth,
      lookup=partial(_image_and_score, source),
      num_examples=len(source),
      sigmas=skeleton.sigmas,
      aspect=W / H,
      box_padding=task.box_padding,
      rescoring=task.codec.rescoring,
      taken=f'{"gtbox" if labelled else "detbox"}/{task.taken}',
    )
  return PoseMetrics(
    skeleton,
    task.input_size,
    median_pose() if labelled else None,
    labelled,
    _has_heads(source),
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


def _median_pose(source: sources.Source, task: Task) -> np.ndarray:
  """Return the training set's median pose `[K, 2]` as fractions of the crop."""
  H, W = task.input_size
  labels = [
    task.transform_eval.labels(source.labels(i), np.random.default_rng(0))[1]
    for i in range(min(len(source), _MEDIAN_EXAMPLES))
  ]
  keypoints = np.stack([one['keypoints'] for one in labels]) / (W, H)
  return median.median_pose(keypoints, np.stack([one['visibility'] for one in labels]))
