"""A net in use: pictures in, what is on them out, in pixels of the pictures."""

from collections.abc import Callable, Sequence
import dataclasses
import os
from typing import Any

import cv2
import jax
import numpy as np

from posejax import experiment
from posejax.errors import PosejaxError
from posejax.geometry import affine
from posejax.geometry import boxes as box_geometry
from posejax.infer.export.pipeline import Pipeline
from posejax.infer.results import Instance, Result
from posejax.infer.runtimes import choose
from posejax.infer.runtimes.xla import MANY
from posejax.infer.tracking import crops
from posejax.metrics import oks
from posejax.runs import saved_run
from posejax.tasks import Task
from posejax.types import Variables

DetectFn = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`picture -> (boxes [N, 4], scores [N])`, pixels of the picture."""
THRESHOLD = 0.2
"""Score from which on a keypoint is shown."""
MIN_SCORE = 0.3
"""Score from which on what a net finds by itself on a picture is somebody or something."""
_BOX_FORM = '[N, 4] (x1, y1, x2, y2) and [N]'
LOOKS = 3
"""At a picture without boxes: the whole of it, then twice the box around what was found. On 120 drawn
people the main job's net has PCK@0.20/torso 0.25, 0.52 and 0.57 after 1, 2 and 3 (0.76 in boxes)."""
MAX_BATCH = MANY
"""Crops that go through the net at once at the most."""
_WHOLE = [(None, 1.0)]  # where to look: at a picture without boxes
_FEWEST = 3  # keypoints that make a box to look into


class Predictor:
  """What a trained net finds on pictures.

  It restores from the run alone, owns cutting out, decoding and the flip test, and is warm when it is
  constructed: nothing is compiled later.

  Example:
    predictor = Predictor.load('runs/pose_densenet')
    result = predictor(image)                        # the whole picture shows one person
    results = predictor([first, second], [boxes, other_boxes])
    result.instances[0].keypoints                    # float32 [K, 2], pixels of the picture

  Attributes:
    labels: the names behind the net's numbers.
    name: of the net, for people.
    threshold: score from which on a keypoint counts as visible.
    task: what the net does.
    runtime: what computes, in words.
    detector: finds the boxes where none are given; None where the whole picture is one person's, or where
      the net finds everybody by itself.
  """

  def __init__(
    self,
    task: Task,
    variables: Variables,
    *,
    name: str = 'net',
    threshold: float = THRESHOLD,
    runtime: str = 'xla',
    precision: str = 'float32',
    detector: DetectFn | None = None,
    min_score: float = MIN_SCORE,
  ):
    """Make a net ready to use; `load` does it for a run.

    Args:
      task: of the net.
      variables: of the net, NumPy or on devices.
      name: for people.
      threshold: score from which on a keypoint counts as visible.
      runtime: 'xla', 'onnx', 'openvino', or 'auto' for the fastest of those that are installed.
      precision: of OpenVINO: 'float32' or 'bfloat16'.
      detector: finds the boxes where none are given.
      min_score: of a net that finds everybody by itself: who scores less is nobody.

    Raises:
      PosejaxError: the runtime is unknown or not installed, or there is a detector for a net that needs
        none.
    """
    if task.finds_all and detector is not None:
      raise PosejaxError(f'{name} finds everybody by itself; leave the detector out.')
    self.task, self.labels, self._min_score = task, task.labels, min_score
    self.name, self.threshold, self.detector = name, threshold, detector
    example = {'images': np.zeros((1, *task.input_size, 3), np.uint8)}
    self.pipeline = Pipeline(
      task.infer,
      variables,
      task.input_size,
      task.labels,
      box_padding=task.box_padding,
      # What is no person's is stretched corner on corner.
      convention=task.codec.convention if task.codec else 'udp',
      finds_all=task.finds_all,
    )
    choice = choose.create(runtime, self.pipeline, example, precision)
    self.runtime, self._run = str(choice), choice.runtime
    for count in (1, MAX_BATCH):
      self._run({'images': np.repeat(example['images'], count, 0)})
    self._maps = None

  @classmethod
  def load(cls, run: str, checkpoint: str = 'best', **options: Any) -> 'Predictor':
    """Return the predictor of a run.

    Args:
      run: its work directory.
      checkpoint: 'best', 'latest' or a step.
      **options: of the constructor.

    Raises:
      PosejaxError: there is no such run or checkpoint, or it is one of another version.
    """
    if not os.path.isdir(run):
      raise PosejaxError(f'There is no run at {run!r}; train one with main.py, or name its folder.')
    saved = saved_run.read(run, checkpoint)
    _, task = experiment.build(saved.config, saved.labels)
    name = saved.config.model.get('name', 'net')
    return cls(task, saved.variables, **{'name': f'{name}, step {saved.step}', **options})

  def __call__(
    self,
    images: np.ndarray | Sequence[np.ndarray],
    boxes: Any = None,
    scores: Any = None,
    detector: DetectFn | None = None,
  ) -> Result | list[Result]:
    """Return what is on a picture, or on each of several.

    Args:
      images: uint8 RGB `[h, w, 3]` of any size, or a sequence of them.
      boxes: `[N, 4]` xyxy in pixels of the picture, one for each person to look at (or a sequence of
        such, one a picture). Without boxes and detector a picture is one person's: the whole of it is
        looked at, and then the box around who was found. A net that finds everybody by itself looks
        for them in the whole picture, or in the boxes.
      scores: `[N]` of the boxes, in [0, 1] (or a sequence of such); 1 where None.
      detector: finds the boxes where none are given, instead of the predictor's own.

    Returns:
      A `Result`, or a list of them for a sequence of pictures, in order.

    Raises:
      PosejaxError: a picture or its boxes are not of that form; says which.
    """
    single = isinstance(images, np.ndarray) and images.ndim <= 3
    if single:
      images = [images]
      boxes, scores = (None if v is None else [v] for v in (boxes, scores))
    boxes, scores = (
      _one_each(values, images, what) for values, what in ((boxes, 'boxes'), (scores, 'scores'))
    )
    detector = detector or self.detector
    regions = []
    for number, image in enumerate(images):
      _check_image(image, number)
      regions.append(_regions(number, image, boxes[number], scores[number], detector))
    results = self._read(images, regions)
    for _ in range(0 if self.task.finds_all else LOOKS - 1):
      self._look_closer(images, regions, results)
    return results[0] if single else results

  def _look_closer(self, images, regions, results: list[Result]) -> None:
    """Look again where a whole picture showed somebody: the net has learnt from people's boxes."""
    closer = {}
    for number, found in enumerate(regions):
      if found is _WHOLE and (box := _around(results[number])) is not None:
        closer[number] = [(box, 1.0)]
    again = self._read([images[number] for number in closer], list(closer.values()))
    for number, result in zip(closer, again, strict=True):
      results[number] = result

  def heat(self, image: np.ndarray, result: Result) -> np.ndarray:
    """Return where the net sees keypoints of a result's people, for people to look at.

    Args:
      image: uint8 RGB `[h, w, 3]`.
      result: of this picture, by this net.

    Returns:
      float32 `[h, w]` in [0, 1]: the largest over keypoints and people.

    Raises:
      PosejaxError: the net finds no keypoints.
    """
    codec = self.task.codec
    if codec is None:
      raise PosejaxError(f'{self.name} finds no keypoints, of which there could be heatmaps.')
    if self._maps is None:
      variables = jax.device_put(self.pipeline.variables)
      infer = self.task.infer
      maps = jax.jit(lambda v, images: codec.output_maps(infer(v, images)).max(-1))
      self._maps = lambda images: np.asarray(maps(variables, images))
    h, w = image.shape[:2]
    heat = np.zeros((h, w), np.float32)
    boxes = [None] if self.task.finds_all else [instance.box for instance in result.instances]
    for box in boxes:
      crop, crop_to_image = self.task.view(image, box)
      found = np.clip(self._maps(crop[None])[0], 0, 1).astype(np.float32)
      found = cv2.resize(found, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
      heat = np.maximum(heat, cv2.warpAffine(found, crop_to_image, (w, h)))
    return heat

  def _read(self, images, regions) -> list[Result]:
    places = [(i, box, score) for i, found in enumerate(regions) for box, score in found]
    instances: list[list[Instance]] = [[] for _ in images]
    for first in range(0, len(places), MAX_BATCH):
      some = places[first : first + MAX_BATCH]
      views = [self.task.view(images[i], box) for i, box, _ in some]
      outputs = self._run({'images': np.stack([crop for crop, _ in views])})
      for row, (i, box, score) in enumerate(some):
        if box is None:
          h, w = images[i].shape[:2]
          box = np.array([0, 0, w - 1, h - 1], np.float32)
        one = {name: array[row] for name, array in outputs.items()}
        if self.task.finds_all:
          instances[i] += self._everybody(one, views[row][1], images[i].shape[:2], score)
        else:
          instances[i].append(self._instance(one, views[row][1], box, score))
    return [
      Result(image.shape[:2], tuple(sorted(found, key=lambda one: -one.score)))
      for image, found in zip(images, instances, strict=True)
    ]

  def _instance(self, one, crop_to_image, box, box_score) -> Instance:
    scores = np.clip(one['scores'], 0.0, 1.0)
    if 'keypoints' not in one:
      label = int(scores.argmax())
      return Instance(box, float(scores[label]), label)
    points = affine.transform_points(one['keypoints'], crop_to_image)
    score = oks.RESCORINGS[self.task.codec.rescoring]([box_score], scores[None])[0]
    return Instance(
      box,
      float(np.clip(score, 0, 1)),
      0,
      points.astype(np.float32),
      scores.astype(np.float32),
      scores >= self.threshold,
    )

  def _everybody(self, one, view_to_image, image_hw, box_score) -> list[Instance]:
    """Return all that is sure enough of what was found at once."""
    corners = affine.transform_points(one['boxes'].reshape(-1, 2, 2), view_to_image)
    boxes = box_geometry.clip(corners.reshape(-1, 4), image_hw)
    found = []
    for place in np.flatnonzero(one['scores'] >= self._min_score):
      instance = Instance(
        boxes[place].astype(np.float32),
        float(np.clip(box_score * one['scores'][place], 0, 1)),
        int(one['labels'][place]),
      )
      if 'keypoints' in one:
        scores = np.clip(one['keypoint_scores'][place], 0, 1).astype(np.float32)
        points = affine.transform_points(one['keypoints'][place], view_to_image)
        instance = dataclasses.replace(
          instance,
          keypoints=points.astype(np.float32),
          keypoint_scores=scores,
          visible=scores >= self.threshold,
        )
      found.append(instance)
    return found


def _one_each(values: Any, images: Sequence, what: str) -> Sequence:
  if values is None:
    return [None] * len(images)
  if len(values) != len(images):
    raise PosejaxError(
      f'{len(values)} sets of {what} for {len(images)} pictures; expected one a picture, None for none.'
    )
  return values


def _regions(
  number: int, image: np.ndarray, boxes: Any, scores: Any, detector: DetectFn | None
) -> list[tuple[np.ndarray | None, float]]:
  """Return the boxes to look at, with their scores; a box of None is the whole picture."""
  if boxes is None and detector is not None:
    boxes, scores = detector(image)
  if boxes is None:
    return _WHOLE
  try:
    found = np.asarray(boxes, np.float32)
    sure = np.ones(len(found)) if scores is None else np.asarray(scores, float)
  except (TypeError, ValueError) as error:
    raise PosejaxError(
      f'Boxes of picture {number} and their scores must be numbers, {_BOX_FORM}; got {boxes!r:.200}.'
    ) from error
  found = found.reshape(-1, 4) if found.size == 0 else found
  _check_boxes(found, sure, image, number)
  return list(zip(found, sure.tolist(), strict=True))


def _around(result: Result) -> np.ndarray | None:
  """Return the box of the one who was found, or None where too little was seen."""
  (found,) = result.instances
  if found.visible is None or found.visible.sum() < _FEWEST:
    return None
  tight = box_geometry.box_from_keypoints(found.keypoints, found.visible)
  box = box_geometry.clip(crops.at_least(crops.padded(tight)), result.image_hw)
  return None if box_geometry.area(box) == 0 else box.astype(np.float32)


def _check_image(image: Any, number: int) -> None:
  shape, dtype = getattr(image, 'shape', None), getattr(image, 'dtype', None)
  if shape is None or len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or not min(shape[:2]):
    what = type(image).__name__ if shape is None else f'{dtype} {shape}'
    raise PosejaxError(
      f'Picture {number} is {what}; expected uint8 [h, w, 3] in RGB. posejax.read_picture reads files.'
    )


def _check_boxes(boxes: np.ndarray, scores: np.ndarray, image: np.ndarray, number: int) -> None:
  if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != (len(boxes),):
    raise PosejaxError(
      f'Boxes of picture {number} are {boxes.shape} with scores {scores.shape}; expected {_BOX_FORM}.'
    )
  for place, box in enumerate(boxes):
    if not np.isfinite(box).all() or (box[2:] < box[:2]).any():
      raise PosejaxError(
        f'Box {place} of picture {number} is {box.tolist()}; expected finite x1 <= x2 and y1 <= y2.'
      )
    h, w = image.shape[:2]
    inside = box_geometry.clip(box, image.shape[:2])
    if (box[2:] < 0).any() or (box[:2] > (w - 1, h - 1)).any():
      raise PosejaxError(
        f'Box {place} of picture {number}, {box.tolist()}, lies outside the picture of {w}x{h} pixels '
        f'(nearest inside: {inside.tolist()}).'
      )
