"""What a detector is evaluated on, and how it is measured: from a config and its sources."""

from collections.abc import Collection, Sequence
from functools import partial
import logging
from typing import Any

from posejax import labels as label_spaces
from posejax.config import Config
from posejax.data import sources
from posejax.data.formats import coco_read, coco_write
from posejax.data.transforms import instances
from posejax.errors import PosejaxError
from posejax.experiment.kind import EvaluateOn
from posejax.metrics import box_ap, coco_ap
from posejax.options import from_options
from posejax.tasks import Evaluator, Task
from posejax.tasks.detection.measures import MAIN_METRIC, DetectionMetrics
from posejax.tasks.detection.options import DetectionOptions

_LOG = logging.getLogger(__name__)


def create(config: Config, task: Task, train_source: sources.Source) -> EvaluateOn:
  """Return what says of a set what is measured on it: AP of boxes, and of keypoints if found.

  Says what of either source's boxes is not learnt from or not measured. What it returns raises a
  PosejaxError where the set has other classes or another skeleton, or where there are detections.

  Args:
    config: of detection.
    task: of that config.
    train_source: what is learnt from.
  """
  number = from_options('task', config.task, DetectionOptions).max_instances
  _tell_what_is_left_out(train_source, number)
  return partial(_evaluate_on, task, number)


def _evaluate_on(
  task: Task, max_instances: int, source: sources.Source, detections: str
) -> tuple[sources.Source, Evaluator]:
  ours, theirs = task.labels, source.label_space
  if ours.class_names != theirs.class_names:
    raise PosejaxError(
      f'{source.name!r} has the classes {theirs.class_names}; the net finds {ours.class_names}. Choose '
      'among them by config.data.classes.'
    )
  if ours.skeleton and ours.keypoints != theirs.keypoints:
    raise PosejaxError(
      f'The net knows the keypoints {list(ours.keypoints)}; {source.name!r} has {list(theirs.keypoints)}.'
    )
  if detections:
    raise PosejaxError(
      f'config.evaluate.detections={detections!r} are boxes for pose nets to look into; '
      'a detector finds its own. Leave it empty.'
    )
  _tell_what_is_left_out(source, max_instances)
  metrics = _metrics(task, source)
  evaluator = Evaluator(
    measure=lambda predictions, batch: {},
    records=metrics.records,
    summarize=metrics.summarize,
    main_metric=MAIN_METRIC,
    results=metrics.results,
  )
  return source, evaluator


def _tell_what_is_left_out(source: sources.Source, max_instances: int) -> None:
  for reason, count in getattr(source, 'left_out', {}).items():
    _LOG.warning('%s: %d %s were left out on reading.', source.name, count, reason)
  for reason, count in instances.survey(source, max_instances).items():
    _LOG.warning('%s: %d %s are left out of training.', source.name, count, reason)


def _metrics(task: Task, source: sources.Source) -> DetectionMetrics:
  classes = task.labels.class_names
  if sources.has_annotations(source):
    dataset = coco_read.read(source.annotations)
    category_ids = tuple(source.category_ids)
    ids = [source.labels(i)['image_id'] for i in range(len(source))]
  else:
    category_ids = tuple(range(1, len(classes) + 1))
    dataset = _dataset(source)
    ids = [image['id'] for image in dataset['images']]
  keypoint_ap = None
  figures = label_spaces.keypoint_classes(source)
  figure_ids = [n for n, name in zip(category_ids, classes, strict=True) if name in figures]
  if task.labels.skeleton and figure_ids:
    skeleton = task.labels.skeleton
    persons = coco_ap.ground_truth(dataset, skeleton.num_keypoints, ids, figure_ids)
    keypoint_ap = partial(_keypoint_ap, persons, figure_ids, skeleton.sigmas)
  truth = box_ap.ground_truth(dataset, ids, category_ids)
  return DetectionMetrics(task.labels, tuple(ids), truth, keypoint_ap)


def _keypoint_ap(
  truth: coco_ap.GroundTruth,
  category_ids: Collection,
  sigmas: Sequence[float],
  rows: list[dict[str, Any]],
) -> dict[str, float]:
  """Return COCO's figures of the classes that have keypoints, taken as one as in `truth`."""
  rows = [
    {**row, 'category_id': truth.category_id} for row in rows if row['category_id'] in category_ids
  ]
  return coco_ap.evaluate(truth, rows, sigmas)


def _dataset(source: sources.Source) -> dict[str, Any]:
  """Return a source's labels in COCO's form; classes are numbered from 1.

  So are pictures where two have the same number: those of a mixture are from several files.
  """
  pictures = [source.labels(i) for i in range(len(source))]
  ids = [picture.get('image_id', i) for i, picture in enumerate(pictures)]
  if len(set(ids)) < len(ids):
    ids = range(1, len(ids) + 1)
  annotations = []
  for image_id, picture in zip(ids, pictures, strict=True):
    annotations += [
      coco_write.annotation(len(annotations) + 1 + n, image_id, one, int(one['label']) + 1)
      for n, one in enumerate(coco_write.everybody(picture))
    ]
  return {'images': [{'id': image_id} for image_id in ids], 'annotations': annotations}
