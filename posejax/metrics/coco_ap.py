"""COCO's average precision and recall of keypoints, by pycocotools. Host only, NumPy.

The way of the published top-down results (MSRA, HRNet, mmpose): every example is one box of one
picture; its figure is scored by box and keypoints (`oks.RESCORINGS`), figures that double a better
one of the same picture are dropped (`oks.suppress`), and pycocotools judges the rest.

A result row holds no `bbox`, as MSRA's and HRNet's don't, so pycocotools takes a result's area from
the extent of its keypoints. Where a row has one (later versions of mmpose write it) the area is the
box's, which changes AP(M) and AP(L): results outside a size's range that match nobody don't count
against that size. AP and AR over all sizes are the same.

Identity numbers stay Python's: COCO has annotations whose number exceeds int32.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posejax.errors import PosejaxError
from posejax.geometry import affine, boxes
from posejax.metrics import oks
from posejax.types import Batch, Predictions

FIGURES = ('AP', 'AP50', 'AP75', 'AP(M)', 'AP(L)', 'AR', 'AR50', 'AR75', 'AR(M)', 'AR(L)')
"""What `evaluate` gives, in the order of pycocotools' `stats`."""

Row = dict[str, Any]
Lookup = Callable[[int], tuple[Any, float]]
"""An example's number in its source -> (image id, score of its box)."""


class Record(NamedTuple):
  """One example's prediction.

  Attributes:
    index: the example's number in its source.
    keypoints: float32 `[K, 2]`, image frame.
    scores: float32 `[K]`.
    box: float32 `[4]` xyxy, image frame, as it was given (neither padded nor aspect-fixed).
  """

  index: int
  keypoints: np.ndarray
  scores: np.ndarray
  box: np.ndarray


class GroundTruth(NamedTuple):
  """The part of a COCO keypoint file that an evaluation reads; see `ground_truth`.

  Attributes:
    images: `{'id'}` of the pictures that count.
    annotations: complete, of those pictures.
    category_id: of all of them.
    num_keypoints: K.
  """

  images: list[dict[str, Any]]
  annotations: list[dict[str, Any]]
  category_id: int
  num_keypoints: int


def make_records(predictions: Predictions, batch: Batch) -> list[Record]:
  """Return one record per example of a batch (numpy), padding left out."""
  keypoints, scores = predictions['keypoints_image'], predictions['scores']
  return [
    Record(int(batch['index'][i]), keypoints[i], scores[i], batch['boxes'][i])
    for i in np.flatnonzero(batch['index'] >= 0)
  ]


def summarize(
  records: Sequence[Record],
  *,
  truth: GroundTruth,
  lookup: Lookup,
  num_examples: int,
  sigmas: Sequence[float],
  aspect: float,
  box_padding: float,
  taken: str,
  rescoring: str = 'product',
) -> dict[str, float]:
  """Turn the records of an evaluation into named figures.

  Args:
    records: of every example, in any order; or none at all, which gives the names and NaN.
    truth: `ground_truth(...)`. Examples on pictures that don't count are left out.
    lookup: see `Lookup`.
    num_examples: length of the source.
    sigmas: K, the skeleton's.
    aspect: width / height of the crop.
    box_padding: what the crop grew the aspect-fixed box by.
    taken: how the predictions were taken, the end of every name: `gtbox/flip+shift` for annotated
      boxes, `detbox/noflip` for a detector's, and the like.
    rescoring: a name of `oks.RESCORINGS`.

  Returns:
    `{'AP/<taken>': ..., ...}` for `FIGURES`.

  Raises:
    ValueError: an example's record is missing or there twice.
    PosejaxError: see `evaluate`.
  """
  if not records and num_examples:
    figures = dict.fromkeys(FIGURES, float('nan'))
  else:
    records = sorted(records, key=lambda record: record.index)
    if [record.index for record in records] != list(range(num_examples)):
      raise ValueError(
        f'COCO AP needs every example once: {len(records)} records of '
        f'{len({r.index for r in records})} examples came from a source of {num_examples}.'
      )
    counted = {image['id'] for image in truth.images}
    records = [record for record in records if lookup(record.index)[0] in counted]
    rows = result_rows(records, lookup, sigmas, aspect, box_padding, truth.category_id, rescoring)
    figures = evaluate(truth, rows, sigmas)
  return {f'{name}/{taken}': value for name, value in figures.items()}


def result_rows(
  records: Sequence[Record],
  lookup: Lookup,
  sigmas: Sequence[float],
  aspect: float,
  box_padding: float,
  category_id: int = 1,
  rescoring: str = 'product',
) -> list[Row]:
  """Return scored results without doubles, in the published form.

  A figure with a coordinate or a score that is not finite is left out: pycocotools would match it
  with anybody.

  Returns:
    `{'image_id', 'category_id', 'keypoints': [x1, y1, score1, x2, …], 'score'}` each, ready for
    `json.dump` and `COCO.loadRes`.
  """
  by_image = defaultdict(list)
  for record in records:
    image_id, box_score = lookup(record.index)
    if np.isfinite(record.keypoints).all() and np.isfinite(record.scores).all():
      by_image[image_id].append((box_score, record))
  rows = []
  for image_id, figures in by_image.items():
    box_scores, figures = zip(*figures, strict=True)
    keypoints = np.stack([record.keypoints for record in figures]).astype(np.float64)
    keypoint_scores = np.stack([record.scores for record in figures]).astype(np.float64)
    scores = oks.RESCORINGS[rescoring](box_scores, keypoint_scores)
    person_boxes = np.stack([record.box for record in figures])
    areas = np.prod(affine.box_to_center_size(person_boxes, aspect, box_padding)[1], axis=-1)
    triples = np.concatenate([keypoints, keypoint_scores[..., None]], axis=-1)
    for i in oks.suppress(keypoints, scores, areas, sigmas):
      rows.append(
        {
          'image_id': image_id,
          'category_id': category_id,
          'keypoints': triples[i].ravel().tolist(),
          'score': float(scores[i]),
        }
      )
  return rows


def ground_truth(
  dataset: dict[str, Any],
  num_keypoints: int,
  image_ids: Collection | None = None,
  category_ids: Collection = (1,),
) -> GroundTruth:
  """Return what `evaluate` needs of a COCO keypoint file, checked.

  Args:
    dataset: the file as `json.load` gives it; not changed. An annotation without `iscrowd` is no
      crowd, one without `num_keypoints` has those labelled, one without `keypoints` has none; one
      without `bbox` has its labelled keypoints', one without `area` has its box's.
    num_keypoints: K of the skeleton.
    image_ids: the pictures that count, all where None. Persons there without a result are misses.
    category_ids: the categories that count, taken as one (kinds that share a list of keypoints).

  Raises:
    PosejaxError: an annotation has keypoints of another number, or a picture is not in the file.
  """
  category_id, *_ = category_ids
  known = {image['id'] for image in dataset['images']}
  if image_ids is not None:
    wanted = set(image_ids)
    _check_pictures('pictures to evaluate on', wanted, known)
    known = wanted
  annotations = []
  for annotation in dataset['annotations']:
    if annotation['image_id'] not in known or annotation['category_id'] not in category_ids:
      continue
    keypoints = annotation.get('keypoints') or [0] * (3 * num_keypoints)
    keypoints = _flat_keypoints(keypoints, num_keypoints, f'annotation {annotation.get("id")}')
    box = annotation.get('bbox') or _extent(keypoints)
    if box is None:  # neither keypoints nor a place
      continue
    annotations.append(
      {
        # Numbers of our own: pycocotools takes a match with annotation 0 for none.
        'id': len(annotations) + 1,
        'image_id': annotation['image_id'],
        'category_id': category_id,
        'iscrowd': annotation.get('iscrowd', 0),
        'bbox': box,
        'area': annotation.get('area', box[2] * box[3]),
        'keypoints': keypoints,
        'num_keypoints': annotation.get('num_keypoints', np.count_nonzero(keypoints[2::3] > 0)),
      }
    )
  images = [{'id': image['id']} for image in dataset['images'] if image['id'] in known]
  return GroundTruth(images, annotations, category_id, num_keypoints)


def evaluate(truth: GroundTruth, rows: Sequence[Row], sigmas: Sequence[float]) -> dict[str, float]:
  """Return the `FIGURES` of result rows.

  Crowds and persons without labelled keypoints are ignored: results on them count neither way. At
  most 20 results per picture count, the best ones.

  Args:
    truth: `ground_truth(...)`.
    rows: see `result_rows`; not changed.
    sigmas: K, the skeleton's; K need not be 17.

  Returns:
    Shares in [0, 1] by name, with pycocotools' thresholds and sizes; NaN (pycocotools: -1) where
    the ground truth has nobody, of that size or at all.

  Raises:
    PosejaxError: results have keypoints of another number, belong to pictures that the ground truth
      does not have, or are not finite.
  """
  results = [
    {
      'image_id': row['image_id'],
      'category_id': row['category_id'],
      'keypoints': _flat_keypoints(row['keypoints'], truth.num_keypoints, 'a result'),
      'score': row['score'],
    }
    for row in rows
  ]
  if not all(np.isfinite(r['keypoints']).all() and np.isfinite(r['score']) for r in results):
    raise PosejaxError(
      'COCO AP: some results hold coordinates or scores that are not finite; leave such figures out.'
    )
  _check_pictures(
    'pictures with results', {r['image_id'] for r in results}, {i['id'] for i in truth.images}
  )
  with contextlib.redirect_stdout(io.StringIO()):
    labelled = _indexed(truth, truth.annotations)
    # loadRes looks at the first row, so it can't do without one.
    detected = labelled.loadRes(results) if results else _indexed(truth, [])
    judge = COCOeval(labelled, detected, 'keypoints')
    judge.params.kpt_oks_sigmas = np.asarray(sigmas, np.float64)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
  return {
    name: float(value) if value >= 0 else float('nan')
    for name, value in zip(FIGURES, judge.stats, strict=True)
  }


def _indexed(truth: GroundTruth, annotations: list[dict[str, Any]]) -> COCO:
  coco = COCO()
  coco.dataset = {
    'images': truth.images,
    # pycocotools writes into them.
    'annotations': [dict(annotation) for annotation in annotations],
    'categories': [{'id': truth.category_id}],
  }
  coco.createIndex()
  return coco


def _check_pictures(what: str, ids: set, known: set) -> None:
  missing = sorted(str(i) for i in ids - known)
  if missing:
    raise PosejaxError(
      f'COCO AP: {len(missing)} of {len(ids)} {what} are not in the ground truth (the first: '
      f'{missing[0]}). Do boxes and annotations belong to the same split?'
    )


def _extent(keypoints: np.ndarray) -> list[float] | None:
  """Return the box x, y, w, h of labelled keypoints, None where there are none."""
  points = keypoints.reshape(-1, 3)
  box = boxes.box_from_keypoints(points[:, :2], points[:, 2])
  return None if box is None else [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]


def _flat_keypoints(keypoints: Sequence[float], num_keypoints: int, owner: str) -> np.ndarray:
  if len(keypoints) != 3 * num_keypoints:
    raise PosejaxError(
      f'COCO AP: {owner} has {len(keypoints)} numbers where {num_keypoints} keypoints of the skeleton '
      f'need {3 * num_keypoints} (x, y, v each). Do annotations and skeleton belong together?'
    )
  return np.array(keypoints)
