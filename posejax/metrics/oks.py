"""Object keypoint similarity: how alike two figures are, in [0, 1]; suppression and scores. NumPy.

Areas are in square pixels of the image, and so are points in its pixels. Sigmas are COCO's (a
skeleton's `sigmas`), half of what divides the distance.
"""

from collections.abc import Sequence

import numpy as np

KEYPOINT_SCORE_THRESHOLD = 0.2
NMS_THRESHOLD = 0.9


def oks(
  predicted: np.ndarray,
  keypoints: np.ndarray,
  areas: np.ndarray,
  sigmas: Sequence[float],
  visibility: np.ndarray | None = None,
) -> np.ndarray:
  """Return the similarity of every predicted figure with every labelled one.

  Args:
    predicted: `[N, K, 2]`.
    keypoints: `[M, K, 2]`.
    areas: `[M]` of the labelled figures, or `[N, M]` of pairs. COCO's is the area of the figure's
      segmentation.
    sigmas: K.
    visibility: `[M, K]`, above 0 where labelled; everything is where None.

  Returns:
    float64 `[N, M]`; NaN for a figure without labelled keypoints (which COCO's evaluation ignores).

  Source: `computeOks` of pycocotools cocoeval.py.
  """
  predicted, keypoints = np.asarray(predicted, np.float64), np.asarray(keypoints, np.float64)
  areas = np.broadcast_to(areas, (len(predicted), len(keypoints)))
  labelled = np.ones(keypoints.shape[:2]) if visibility is None else np.asarray(visibility) > 0
  squared = ((predicted[:, None] - keypoints) ** 2).sum(axis=-1)
  variances = (2 * np.asarray(sigmas, np.float64)) ** 2
  exponent = squared / variances / (areas[..., None] + np.spacing(1)) / 2
  alike = np.where(labelled, np.exp(-exponent), 0).sum(axis=-1)
  count = np.broadcast_to(labelled.sum(axis=-1), alike.shape)
  return np.divide(alike, count, out=np.full(alike.shape, np.nan), where=count > 0)


def suppress(
  keypoints: np.ndarray,
  scores: np.ndarray,
  areas: np.ndarray,
  sigmas: Sequence[float],
  threshold: float = NMS_THRESHOLD,
) -> np.ndarray:
  """Return which figures of one picture stay when those like a better one are dropped.

  The best figure stays and drops all whose similarity with it is above the threshold; then the best
  of the rest, and so on. All keypoints count, and a pair's area is the mean of its two. Published
  results took the area of the padded, aspect-fixed box that was cropped.

  Args:
    keypoints: `[N, K, 2]`.
    scores: `[N]`; among equals the first is the better one.
    areas: `[N]`.
    sigmas: K.
    threshold: largest similarity at which both stay.

  Returns:
    int64 numbers of the figures that stay, best first.

  Source: `oks_nms` of microsoft/human-pose-estimation.pytorch lib/nms/nms.py.
  """
  areas = np.asarray(areas, np.float64)
  mean_areas = (areas[:, None] + areas) / 2
  alike = oks(keypoints, keypoints, mean_areas, sigmas) > threshold
  dropped = np.zeros(len(keypoints), bool)
  stay = []
  for i in np.argsort(-np.asarray(scores, np.float64), kind='stable'):
    if not dropped[i]:
      stay.append(i)
      dropped |= alike[i]
  return np.array(stay, np.int64)


def rescore(
  box_scores: np.ndarray,
  keypoint_scores: np.ndarray,
  threshold: float = KEYPOINT_SCORE_THRESHOLD,
) -> np.ndarray:
  """Return figures' scores `[N]`: the box's times the mean of the keypoints' above the threshold.

  Args:
    box_scores: `[N]`; 1 for ground-truth boxes.
    keypoint_scores: `[N, K]`. A figure without one above the threshold scores 0.
    threshold: keypoints scored so or lower don't count.

  Source: `evaluate` of microsoft/human-pose-estimation.pytorch lib/dataset/coco.py.
  """
  keypoint_scores = np.asarray(keypoint_scores, np.float64)
  counted = keypoint_scores > threshold
  total = np.where(counted, keypoint_scores, 0).sum(axis=-1)
  return np.asarray(box_scores, np.float64) * total / np.maximum(counted.sum(axis=-1), 1)


def rescore_by_sum(box_scores: np.ndarray, keypoint_scores: np.ndarray) -> np.ndarray:
  """Return figures' scores `[N]`: the mean of the box's, the mean and the largest of the keypoints'.

  Published is the sum of the three. A third of it ranks figures alike, and of scores in [0, 1] is one.

  Args:
    box_scores: `[N]`; 1 for ground-truth boxes.
    keypoint_scores: `[N, K]`.

  Source: `validate` of Jeff-sjtu/res-loglikelihood-regression rlepose/trainer.py; `bbox_rle` of
  open-mmlab/mmpose mmpose/evaluation/metrics/coco_metric.py.
  """
  keypoint_scores = np.asarray(keypoint_scores, np.float64)
  mean, largest = keypoint_scores.mean(axis=-1), keypoint_scores.max(axis=-1)
  return (np.asarray(box_scores, np.float64) + mean + largest) / 3


RESCORINGS = {'product': rescore, 'sum': rescore_by_sum}
"""How box and keypoints make a figure's score; a codec knows which is published for its nets."""
