"""A stand-in for a net that truly looks: keypoints are the centres of patches of known colours.

`paint` draws figures that `Beacons` finds again, through JPEG and scaling too.
"""

import threading
import time

import cv2
import numpy as np

from posejax import labels as labels_lib
from posejax import skeletons
from posejax.infer.results import Instance, Result

LABELS = labels_lib.people(skeletons.LSP)
K = len(LABELS.keypoints)
_HUES = (np.arange(K) * 180 // K).astype(np.uint8)  # OpenCV's hues end at 180
COLORS = cv2.cvtColor(
  np.stack([_HUES, np.full(K, 255, np.uint8), np.full(K, 255, np.uint8)], -1)[None],
  cv2.COLOR_HSV2RGB,
)[0]
_AWAY = np.abs(np.arange(256)[:, None] - _HUES.astype(int))
_NEAREST = np.minimum(_AWAY, 180 - _AWAY).argmin(-1).astype(np.uint8)  # by hue
# Of a standing figure that faces the camera, so that its own left is on the picture's right; in
# units of its height, from the middle of the head top.
POSE = {
  'head_top': (0, 0), 'neck': (0, 0.17),
  'left_shoulder': (0.12, 0.21), 'left_elbow': (0.21, 0.35), 'left_wrist': (0.30, 0.22),
  'left_hip': (0.08, 0.53), 'left_knee': (0.11, 0.76), 'left_ankle': (0.13, 0.99),
  'right_shoulder': (-0.12, 0.21), 'right_elbow': (-0.17, 0.37), 'right_wrist': (-0.14, 0.51),
  'right_hip': (-0.08, 0.53), 'right_knee': (-0.12, 0.74), 'right_ankle': (-0.20, 0.94),
}  # fmt: skip


def figure(x: float, y: float, height: float) -> np.ndarray:
  """Return the keypoints `[K, 2]` of a figure whose head top is at (x, y)."""
  return np.array([POSE[name] for name in LABELS.keypoints]) * height + [x, y]


def paint(hw: tuple[int, int], figures: list[np.ndarray], radius: int = 6) -> np.ndarray:
  """Return a picture of figures: a grey body with a coloured patch at every keypoint."""
  shade = np.linspace(0, 1, hw[0])[:, None, None]
  image = np.broadcast_to(90 + 70 * shade + np.array([0, 4, 10]), (*hw, 3)).astype(np.uint8).copy()
  for keypoints in figures:
    points = np.round(keypoints).astype(int)
    for a, b in LABELS.skeleton.limb_indices:
      cv2.line(
        image, points[a].tolist(), points[b].tolist(), (70, 70, 74), 2 * radius + 4, cv2.LINE_AA
      )
    for point, color in zip(points, COLORS, strict=True):
      cv2.circle(image, point.tolist(), radius, color.tolist(), -1)
  return image


def jpeg(image: np.ndarray, extension: str = '.jpg') -> bytes:
  """Return a picture's file."""
  quality = [cv2.IMWRITE_JPEG_QUALITY, 95] if extension == '.jpg' else []
  ok, data = cv2.imencode(extension, image[..., ::-1], quality)
  assert ok
  return data.tobytes()


class Beacons:
  """Finds figures that `paint` drew: a `posejax.web.predictor.Predicts`.

  Args:
    seconds: that every call takes beside looking.
  """

  labels = LABELS
  name = 'beacons'
  threshold = 0.3

  def __init__(self, seconds: float = 0.0):
    self.seconds = seconds
    self.batches: list[int] = []
    self.threads: set[str] = set()

  def __call__(self, images):
    self.batches.append(len(images))
    self.threads.add(threading.current_thread().name)
    time.sleep(self.seconds)
    return [self._look(image) for image in images]

  def _look(self, image):
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    strong = cv2.inRange(hsv, (0, 120, 120), (180, 255, 255))
    _, _, stats, centers = cv2.connectedComponentsWithStats(strong)
    parts = [[] for _ in range(K)]
    for (x, y), area in zip(
      centers[1:].tolist(), stats[1:, cv2.CC_STAT_AREA].tolist(), strict=True
    ):
      if area >= 12:
        parts[_NEAREST[hsv[round(y), round(x), 0]]].append((x, y, area))
    heads = parts[LABELS.skeleton.index('head_top')]
    people = sorted((self._person(head, parts) for head in heads), key=lambda p: -p.score)
    return Result(image.shape[:2], tuple(people))

  def _person(self, head, parts):
    near = [min(part, key=lambda p: abs(p[0] - head[0]), default=None) for part in parts]
    keypoints = np.array([p[:2] if p else head[:2] for p in near], np.float32)
    # Patches of one figure have one size; a smaller one is partly hidden.
    largest = max(p[2] for p in near if p)
    scores = np.array([p[2] / largest if p else 0 for p in near], np.float32)
    box = np.concatenate([keypoints.min(0), keypoints.max(0)])
    return Instance(box, float(scores.mean()), 0, keypoints, scores, scores >= self.threshold)
