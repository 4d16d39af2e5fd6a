"""What was found, drawn on the picture it was found on."""

from collections.abc import Callable, Sequence
from functools import partial
import math

import cv2
import numpy as np

from posejax import draw
from posejax.infer.results import Instance, Result
from posejax.labels import LabelSpace


def draw_result(
  image: np.ndarray,
  result: Result,
  labels: LabelSpace,
  *,
  min_score: float = 0.0,
  boxes: bool = True,
  heat: np.ndarray | None = None,
) -> np.ndarray:
  """Return the picture with boxes, names and skeletons; limbs and points fade with their confidence.

  Args:
    image: uint8 RGB `[h, w, 3]`; stays as it is.
    result: of this picture.
    labels: the names.
    min_score: instances below are not drawn.
    boxes: whether boxes and their tags are drawn. A box that is the whole picture never is.
    heat: float `[h, w]` in [0, 1], laid under the rest; nothing where None.
  """
  canvas = image.copy() if heat is None else draw.overlay_heatmaps(image, heat[..., None])
  for instance in reversed(result.instances):  # the surest on top
    if instance.score < min_score:
      continue
    if boxes and (instance.keypoints is None or not _is_whole(instance.box, result.image_hw)):
      draw.paint_box(canvas, instance.box, _color(instance), _tag(instance, labels))
    if instance.keypoints is not None:
      _draw_skeleton(canvas, instance, labels)
  return canvas


def _is_whole(box: np.ndarray, image_hw: tuple[int, int]) -> bool:
  h, w = image_hw
  return bool((box[:2] <= 0).all() and (box[2:] >= (w - 1, h - 1)).all())


def _color(instance: Instance) -> tuple[int, int, int]:
  number = instance.label if instance.track_id is None else instance.track_id
  return draw.color_of(number)


def _tag(instance: Instance, labels: LabelSpace) -> str:
  who = '' if instance.track_id is None else f' {instance.track_id}'
  return f'{labels.class_names[instance.label]}{who} {instance.score:.2f}'


def _draw_skeleton(canvas: np.ndarray, instance: Instance, labels: LabelSpace) -> None:
  """Draw in place: a limb where both ends are visible, as strong as its weaker end is sure."""
  skeleton = labels.skeleton
  points, scores = instance.keypoints, instance.keypoint_scores
  visible = instance.visible & np.isfinite(points).all(-1)
  if not visible.any():
    return
  # By the person's size, not the picture's: a crowd's skeletons stay apart.
  extent = float(np.ptp(points[visible], axis=0).max())
  thickness = int(max(1, min(round(extent / 60), max(canvas.shape[:2]) / 160)))
  # In Python's numbers from here on: for two points NumPy takes ten times as long.
  points, scores, visible = points.tolist(), scores.tolist(), visible.tolist()
  for a, b in skeleton.limb_indices:
    if visible[a] and visible[b]:
      color = draw.limb_color(skeleton, a, b)
      line = partial(draw.paint_line, color=color, thickness=thickness)
      _blend(canvas, [points[a], points[b]], thickness, min(scores[a], scores[b]), line)
  for k in (k for k, shown in enumerate(visible) if shown):
    dot = partial(draw.paint_dot, color=draw.SIDE_COLORS[skeleton.side(k)], thickness=thickness)
    _blend(canvas, [points[k]], 2 * thickness + 2, scores[k], dot)


def _blend(
  canvas: np.ndarray,
  points: list[list[float]],
  margin: int,
  score: float,
  stroke: Callable[..., None],
) -> None:
  """Let `stroke` draw around points (x, y), as opaque as the score is high."""
  opacity = min(max(0.25 + 0.75 * score / 0.6, 0.25), 1.0)
  h, w = canvas.shape[:2]
  xs, ys = zip(*points, strict=True)
  left, right = _span(xs, margin, w)
  top, bottom = _span(ys, margin, h)
  if left >= right or top >= bottom:
    return
  part = canvas[top:bottom, left:right]
  drawn = part.copy()
  stroke(drawn, *(draw.fixed(x - left, y - top) for x, y in points))
  part[...] = drawn if opacity == 1 else cv2.addWeighted(drawn, opacity, part, 1 - opacity, 0)


def _span(places: Sequence[float], margin: int, length: int) -> tuple[int, int]:
  """Return the first pixel around places along an axis and the one behind the last, in the picture."""
  low, high = math.floor(min(places)) - margin - 2, math.ceil(max(places)) + margin + 3
  return min(max(low, 0), length), min(max(high, 0), length)
