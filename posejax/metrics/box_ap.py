"""COCO's average precision and recall of boxes, by pycocotools. Host only, NumPy.

Boxes are COCO's: x, y of the upper left corner by edges, width, height.
"""

from collections.abc import Collection, Sequence
import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posejax.errors import PosejaxError

FIGURES = (
  'AP', 'AP50', 'AP75', 'AP(S)', 'AP(M)', 'AP(L)', 'AR1', 'AR10', 'AR100', 'AR(S)', 'AR(M)', 'AR(L)',
)  # fmt: skip
"""What `evaluate` gives of all classes together, in the order of pycocotools' `stats`."""
CLASS_FIGURES = ('AP', 'AP50', 'AR100')
"""And of each class."""

Row = dict[str, Any]


class GroundTruth(NamedTuple):
  """The part of a COCO file that an evaluation of boxes reads; see `ground_truth`.

  Attributes:
    images: `{'id'}` of the pictures that count.
    annotations: complete, of those pictures.
    category_ids: of the classes, by label.
  """

  images: list[Row]
  annotations: list[Row]
  category_ids: tuple[Any, ...]


def ground_truth(
  dataset: dict[str, Any], image_ids: Collection, category_ids: Sequence[Any]
) -> GroundTruth:
  """Return what `evaluate` needs of a COCO file.

  Args:
    dataset: the file as `json.load` gives it; not changed. An annotation without `iscrowd` is no crowd,
      one without `area` has its box's; those without a box are left out.
    image_ids: the pictures that count.
    category_ids: the categories that count.

  Raises:
    PosejaxError: a picture is not in the file.
  """
  wanted = set(image_ids)
  missing = wanted - {image['id'] for image in dataset['images']}
  if missing:
    raise PosejaxError(
      f'COCO AP: {len(missing)} of {len(wanted)} pictures to evaluate on are not in the ground truth '
      f'(the first: {min(map(str, missing))}). Do pictures and annotations belong to the same split?'
    )
  annotations = []
  for one in dataset['annotations']:
    if (
      one['image_id'] not in wanted or one['category_id'] not in category_ids or not one.get('bbox')
    ):
      continue
    annotations.append(
      {
        # Numbers of our own: pycocotools takes a match with annotation 0 for none.
        'id': len(annotations) + 1,
        'image_id': one['image_id'],
        'category_id': one['category_id'],
        'iscrowd': one.get('iscrowd', 0),
        'bbox': one['bbox'],
        'area': one.get('area', one['bbox'][2] * one['bbox'][3]),
      }
    )
  images = [{'id': image['id']} for image in dataset['images'] if image['id'] in wanted]
  return GroundTruth(images, annotations, tuple(category_ids))


def evaluate(
  truth: GroundTruth, rows: Sequence[Row], class_names: Sequence[str]
) -> dict[str, float]:
  """Return the `FIGURES` of result rows, and the `CLASS_FIGURES` of each class where there are several.

  Crowds are ignored: results on them count neither way. At most 100 results of a class count for each
  picture, the best ones.

  Args:
    truth: `ground_truth(...)`.
    rows: `{'image_id', 'category_id', 'bbox': [x, y, w, h], 'score'}` each; not changed.
    class_names: by label.

  Returns:
    Shares in [0, 1] by name, `AP/box` and the like, `AP/box/<class>`; NaN (pycocotools: -1) where the
    ground truth has nothing, of that size or at all.

  Raises:
    PosejaxError: results are not finite, or belong to pictures that the ground truth does not have.
  """
  if not all(np.isfinite([*row['bbox'], row['score']]).all() for row in rows):
    raise PosejaxError('COCO AP: some results hold boxes or scores that are not finite.')
  known = {image['id'] for image in truth.images}
  if strange := sorted({str(row['image_id']) for row in rows if row['image_id'] not in known}):
    raise PosejaxError(
      f'COCO AP: {len(strange)} pictures with results are not in the ground truth (the first: '
      f'{strange[0]}).'
    )
  with contextlib.redirect_stdout(io.StringIO()):
    labelled = _indexed(truth, truth.annotations)
    # loadRes looks at the first row, so it can't do without one.
    detected = labelled.loadRes([dict(row) for row in rows]) if rows else _indexed(truth, [])
    judge = COCOeval(labelled, detected, 'bbox')
    judge.params.catIds = list(truth.category_ids)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
  figures = {f'{name}/box': value for name, value in zip(FIGURES, judge.stats, strict=True)}
  if len(class_names) > 1:
    # [thresholds, recalls, classes, sizes, limits] and the same without recalls.
    precision, recall = judge.eval['precision'], judge.eval['recall']
    order = list(judge.params.catIds)  # which pycocotools has sorted
    for category_id, name in zip(truth.category_ids, class_names, strict=True):
      k = order.index(category_id)
      values = precision[:, :, k, 0, -1], precision[:1, :, k, 0, -1], recall[:, k, 0, -1]
      for figure, value in zip(CLASS_FIGURES, values, strict=True):
        there = value[value > -1]
        figures[f'{figure}/box/{name}'] = there.mean() if there.size else -1
  return {n: float(v) if v >= 0 else float('nan') for n, v in figures.items()}


def names(class_names: Sequence[str]) -> list[str]:
  """Return the names of `evaluate`'s figures."""
  classes = class_names if len(class_names) > 1 else ()
  return [f'{figure}/box' for figure in FIGURES] + [
    f'{figure}/box/{name}' for name in classes for figure in CLASS_FIGURES
  ]


def _indexed(truth: GroundTruth, annotations: list[Row]) -> COCO:
  coco = COCO()
  coco.dataset = {
    'images': truth.images,
    'annotations': [dict(annotation) for annotation in annotations],  # pycocotools writes into them
    'categories': [{'id': category_id} for category_id in truth.category_ids],
  }
  coco.createIndex()
  return coco
