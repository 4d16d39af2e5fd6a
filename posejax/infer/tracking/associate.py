"""Who of this frame is who of the last: how alike two figures are, and the best pairing of all."""

from collections.abc import Sequence
import dataclasses

import numpy as np

from posejax.geometry import boxes
from posejax.metrics.oks import oks

MIN_COMMON = 3
"""With fewer keypoints seen on both figures, only their boxes are compared."""

_LIKE_SIZE = 0.5  # of two sizes, the smaller is at least so much of the larger


@dataclasses.dataclass(frozen=True)
class Figures:
  """N figures at one time, as arrays.

  Attributes:
    boxes: `[N, 4]`, xyxy.
    labels: int `[N]`, classes.
    keypoints: `[N, K, 2]`, K 0 where figures have none.
    seen: bool `[N, K]`, which keypoints count.
  """

  boxes: np.ndarray
  labels: np.ndarray
  keypoints: np.ndarray
  seen: np.ndarray

  @property
  def sizes(self) -> np.ndarray:
    """`[N]` means of the boxes' sides."""
    return np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).mean(axis=1), 1.0)


def pose_similarity(some: Figures, others: Figures, sigmas: Sequence[float]) -> np.ndarray:
  """Return the OKS of every pair, over the keypoints that are seen on both.

  The area is the square of the pair's mean size: a keypoints' box may be of no width.

  Returns:
    `[N, M]`; NaN for a pair with fewer than `MIN_COMMON` such keypoints (or all K where K is fewer).
  """
  K = some.keypoints.shape[1]
  areas = ((some.sizes[:, None] + others.sizes) / 2) ** 2
  common = some.seen[:, None] & others.seen
  theirs, ours = (np.where(f.seen[..., None], f.keypoints, 0) for f in (others, some))
  rows = [
    oks(ours[i : i + 1], theirs, areas[i : i + 1], sigmas, common[i]) for i in range(len(ours))
  ]
  similarity = np.concatenate(rows) if rows else np.zeros((0, len(theirs)))
  enough = common.sum(axis=-1) >= max(1, min(MIN_COMMON, K))
  return np.where(enough, similarity, np.nan)


def similarity(some: Figures, others: Figures, sigmas: Sequence[float]) -> np.ndarray:
  """Return how alike every pair is in [0, 1], 0 for two classes: `[N, M]`.

  It is the mean of the boxes' IoU and the poses' OKS, and the IoU alone where there is no OKS. Of two
  people who pass each other the boxes agree, and the poses tell them apart.
  """
  overlap = boxes.iou(some.boxes, others.boxes)
  pose = pose_similarity(some, others, sigmas)
  alike = np.where(np.isnan(pose), overlap, (overlap + pose) / 2)
  return np.where(some.labels[:, None] == others.labels, alike, 0)


def sameness(some: Figures, others: Figures, sigmas: Sequence[float]) -> np.ndarray:
  """Return how surely every pair is one person found twice, in [0, 1]: OKS, or IoU without: `[N, M]`."""
  pose = pose_similarity(some, others, sigmas)
  alike = np.where(np.isnan(pose), boxes.iou(some.boxes, others.boxes), pose)
  return np.where(some.labels[:, None] == others.labels, alike, 0)


def nearness(some: Figures, others: Figures, reach: np.ndarray) -> np.ndarray:
  """Return how near every pair is: 1 at one place, 0 beyond reach, of two sizes, or of two classes.

  Args:
    some: N figures.
    others: M figures.
    reach: `[N]`, in sizes of the pair.

  Returns:
    `[N, M]` in [0, 1].
  """
  centres = [(f.boxes[:, :2] + f.boxes[:, 2:]) / 2 for f in (some, others)]
  sizes = some.sizes[:, None], others.sizes[None]
  apart = np.sqrt(((centres[0][:, None] - centres[1]) ** 2).sum(axis=-1)) / (sum(sizes) / 2)
  possible = some.labels[:, None] == others.labels
  possible &= np.minimum(*sizes) >= _LIKE_SIZE * np.maximum(*sizes)
  return np.where(possible, np.maximum(1 - apart / reach[:, None], 0), 0)


def assign(alike: np.ndarray, threshold: float) -> list[tuple[int, int]]:
  """Return the pairs (row, column) whose similarities add up to the most, each at least `threshold`.

  Args:
    alike: `[N, M]`, at least 0.
    threshold: pairs less alike are never made; above 0.
  """
  # A sixth of a command's imports, which a picture on its own needs not.
  from scipy.optimize import linear_sum_assignment

  possible = alike >= threshold
  rows, columns = linear_sum_assignment(np.where(possible, alike, 0), maximize=True)
  return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if possible[i, j]]
