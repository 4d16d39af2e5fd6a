"""How a detector's findings are measured: COCO AP of boxes, and of keypoints where it finds them."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from posejax.geometry import affine
from posejax.labels import LabelSpace
from posejax.metrics import box_ap, coco_ap
from posejax.types import Batch, Predictions

MAIN_METRIC = 'AP/box'
PERSON = 'person'


class Record(NamedTuple):
  """What was found on one picture, the surest first.

  Attributes:
    index: the picture's number in its source.
    boxes: float64 `[M, 4]` xyxy in the image frame, by edges.
    scores: float32 `[M]`.
    labels: int32 `[M]`.
    keypoints: `[M, K, 3]`: x, y in the image frame and score; None where none are found.
  """

  index: int
  boxes: np.ndarray
  scores: np.ndarray
  labels: np.ndarray
  keypoints: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class DetectionMetrics:
  """The `records`, `summarize` and `results` of a detector's evaluator.

  Attributes:
    labels: the net's.
    image_ids: of the source's pictures, in order.
    truth: what is on them.
    keypoint_ap: rows with keypoints -> COCO's figures; None where none are found.
  """

  labels: LabelSpace
  image_ids: Sequence[Any]
  truth: box_ap.GroundTruth
  keypoint_ap: Callable[[list[dict]], dict[str, float]] | None = None

  def records(self, predictions: Predictions, batch: Batch) -> list[Record]:
    """Return what was found on every picture of a batch (numpy), padding left out."""
    return make_records(predictions, batch)

  def summarize(self, sums: Any, records: list[Record]) -> dict[str, float]:
    """Return named figures; NaN for all where there is no record yet.

    Raises:
      ValueError: a picture's record is missing or there twice.
    """
    del sums  # AP needs every picture at once
    if not records and self.image_ids:
      names = box_ap.names(self.labels.class_names)
      names += [f'{name}/keypoints' for name in coco_ap.FIGURES if self.keypoint_ap]
      return dict.fromkeys(names, float('nan'))
    indices = sorted(record.index for record in records)
    if indices != list(range(len(self.image_ids))):
      raise ValueError(
        f'COCO AP needs every picture once: {len(indices)} records came of {len(self.image_ids)}.'
      )
    rows = self.rows(records)
    figures = box_ap.evaluate(self.truth, rows, self.labels.class_names)
    if self.keypoint_ap:
      found = self.keypoint_ap([row for row in rows if 'keypoints' in row])
      figures |= {f'{name}/keypoints': value for name, value in found.items()}
    return figures

  def rows(self, records: list[Record]) -> list[dict[str, Any]]:
    """Return the findings in COCO's results form, ready for JSON."""
    rows = []
    for record in sorted(records, key=lambda record: record.index):
      sides = record.boxes[:, 2:] - record.boxes[:, :2]
      boxes = np.concatenate([record.boxes[:, :2], sides], 1)
      for i in range(len(boxes)):
        row = {
          'image_id': self.image_ids[record.index],
          'category_id': self.truth.category_ids[int(record.labels[i])],
          'bbox': boxes[i].tolist(),
          'score': float(record.scores[i]),
        }
        if record.keypoints is not None:
          row['keypoints'] = record.keypoints[i].astype(np.float64).ravel().tolist()
        rows.append(row)
    return rows

  def results(self, records: list[Record]) -> dict[str, Any]:
    """Return the people found as `detections`, in the form of COCO's published person detections.

    `config.evaluate.detections` and `posejax predict --boxes` take them. Nothing where no class is
    called 'person'.
    """
    if PERSON not in self.labels.class_names:
      return {}
    category = self.truth.category_ids[self.labels.class_names.index(PERSON)]
    keys = ('image_id', 'category_id', 'bbox', 'score')
    rows = [row for row in self.rows(records) if row['category_id'] == category]
    return {'detections': [{key: row[key] for key in keys} for row in rows]}


def make_records(predictions: Predictions, batch: Batch) -> list[Record]:
  """Return what was found on every picture of a batch (numpy), in the pictures' frames."""
  records = []
  scores, labels = predictions['scores'], predictions['labels']
  for i in np.flatnonzero(batch['index'] >= 0):
    found = scores[i] > 0
    matrix = batch['crop_to_image'][i].astype(np.float64)
    h, w = batch['image_size'][i]
    far_corner = boxes_in_image(np.array([[0, 0, w, h]], float), matrix)[0, 2:]
    boxes = boxes_in_image(predictions['boxes'][i][found].astype(np.float64), matrix)
    boxes = np.clip(boxes, 0, np.tile(far_corner, 2))
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)  # some lie in what the picture leaves free
    found = np.flatnonzero(found)[there]
    keypoints = None
    if 'keypoints_crop' in predictions:
      points = affine.transform_points(predictions['keypoints_crop'][i][found], matrix)
      keypoints = np.concatenate([points, predictions['keypoint_scores'][i][found][..., None]], -1)
    records.append(
      Record(
        int(batch['index'][i]),
        boxes[there],
        scores[i][found],
        labels[i][found],
        keypoints,
      )
    )
  return records


def boxes_in_image(boxes: np.ndarray, crop_to_image: np.ndarray) -> np.ndarray:
  """Return boxes `[M, 4]` by their edges, taken from the canvas to the picture."""
  corners = affine.transform_points(boxes.reshape(-1, 2) - 0.5, crop_to_image) + 0.5
  return corners.reshape(-1, 4)


def filled_size(image_hw: tuple[int, int], crop_to_image: np.ndarray) -> np.ndarray:
  """Return int32 (h, w): how far a whole picture reaches on its canvas, a batch's `image_size`."""
  matrix = crop_to_image.astype(np.float64)
  # The corner's edges, half a pixel beside pixels' centres.
  corner = (np.array(image_hw[::-1]) - 0.5 - matrix[:, 2]) / np.diag(matrix) + 0.5
  return np.rint(corner[::-1]).astype(np.int32)
