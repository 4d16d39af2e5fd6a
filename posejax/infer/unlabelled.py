"""What a net finds on pictures that nobody has labelled, to learn from."""

from collections.abc import Callable, Iterable
import contextlib
from typing import NamedTuple

import numpy as np

from posejax.data.executors import threads
from posejax.data.formats import pseudo_labels
from posejax.data.formats.picture_folder import Pictures
from posejax.errors import PosejaxError
from posejax.infer.box_files import BoxFile
from posejax.infer.predictor import Predictor
from posejax.infer.results import Result
from posejax.infer.runtimes.base import MAX_BATCH


class People(NamedTuple):
  """N people, picture by picture.

  Attributes:
    names: each one's picture.
    keypoints: float32 `[N, K, 2]`, image frame.
    scores: float32 `[N, K]`, of keypoints.
    boxes: float32 `[N, 4]` xyxy, where they were looked for or found; None where each fills a picture.
    left_out: reason -> how many boxes of the file.
  """

  names: tuple[str, ...]
  keypoints: np.ndarray
  scores: np.ndarray
  boxes: np.ndarray | None
  left_out: dict[str, int]


def find(
  predictor: Predictor,
  pictures: Pictures,
  boxes: BoxFile | None = None,
  passes: int = 1,
  progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> People:
  """Return whom a net finds on the pictures of a folder, which are read ahead.

  Args:
    predictor: of a net that finds keypoints, with a detector or without.
    pictures: where.
    boxes: where the people are. Without them and a detector each picture shows one person who fills it,
      unless the net finds people by itself.
    passes: how often to look at such a person, each time in a box around what was found before.
    progress: wraps the range of steps.

  Raises:
    PosejaxError: none of the boxes is on any of the pictures.
  """
  names = list(pictures.sizes)
  places = None if boxes is None else _places(boxes, pictures)
  fill = places is None and predictor.detector is None and not predictor.task.finds_all

  def read(step: int) -> dict[str, np.ndarray]:
    together = names[step * MAX_BATCH : (step + 1) * MAX_BATCH]
    return {name: pictures.read(name) for name in together}

  steps = range(-(-len(names) // MAX_BATCH))
  results: dict[str, Result] = {}
  with contextlib.closing(threads.iterate(read, 0, len(steps), num_workers=2, prefetch=2)) as made:
    for _ in progress(steps):
      images = next(made)
      if fill:
        found = _who_fills(predictor, images, passes)
      else:
        found = predictor(list(images.values()), places and [places[name] for name in images])
      results |= zip(images, found, strict=True)
  people = [(name, one) for name, result in results.items() for one in result.instances]
  K = predictor.labels.skeleton.num_keypoints
  return People(
    tuple(name for name, _ in people),
    np.array([one.keypoints for _, one in people], np.float32).reshape(-1, K, 2),
    np.array([one.keypoint_scores for _, one in people], np.float32).reshape(-1, K),
    None if fill else np.array([one.box for _, one in people], np.float32).reshape(-1, 4),
    {} if places is None else _left_out(boxes, places),
  )


def _who_fills(predictor: Predictor, images: dict[str, np.ndarray], passes: int) -> list[Result]:
  """Return the one person of each picture, looked at `passes` times."""
  sizes = {name: image.shape[:2] for name, image in images.items()}
  boxes = np.array([[0, 0, w - 1, h - 1] for h, w in sizes.values()], np.float32)
  for number in range(passes):
    results = predictor(list(images.values()), boxes[:, None])
    if number < passes - 1:
      ones = [result.instances[0] for result in results]
      points = np.stack([one.keypoints for one in ones])
      scores = np.stack([one.keypoint_scores for one in ones])
      boxes = pseudo_labels.tightened(list(sizes), points, scores, sizes, boxes)
  return results


def _places(boxes: BoxFile, pictures: Pictures) -> dict[str, np.ndarray]:
  """Return the boxes of every picture that reach into it."""
  places = {name: boxes.on(name, image_hw)[0] for name, image_hw in pictures.sizes.items()}
  if not any(len(found) for found in places.values()):
    raise PosejaxError(
      f'{boxes.path}: none of its {len(boxes)} boxes is on a picture below {pictures.folder}. Do the '
      'file and the folder belong together?'
    )
  return places


def _left_out(boxes: BoxFile, places: dict[str, np.ndarray]) -> dict[str, int]:
  number = len(boxes) - sum(map(len, places.values()))
  return {'boxes on other pictures, or outside of theirs': number} if number else {}
