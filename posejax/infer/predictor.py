"""A net in use: pictures in, what is on them out, in pixels of the pictures."""

from collections.abc import Sequence
from functools import partial
import math
from typing import Any

import cv2
import jax
import numpy as np

from posejax import experiment
from posejax.errors import PosejaxError
from posejax.geometry import affine
from posejax.geometry import boxes as box_geometry
from posejax.infer.export.pipeline import Pipeline
from posejax.infer.results import DetectFn, Instance, Result
from posejax.infer.runtimes import choose
from posejax.infer.runtimes.base import MAX_BATCH
from posejax.infer.runtimes.kept_programs import KeptPrograms
from posejax.infer.tracking import crops
from posejax.metrics import oks
from posejax.runs import nets
from posejax.runs.saved_net import SavedNet
from posejax.tasks import Task
from posejax.tasks.detection import measures
from posejax.tasks.net import traced_outputs
from posejax.types import Variables

THRESHOLD = 0.2
"""Score from which on a keypoint is shown."""
MIN_SCORE = 0.3
"""Score from which on what a net finds by itself is shown. Source: mmpose/apis/inferencers/utils."""
_BOX_FORM = '[N, 4] (x1, y1, x2, y2) and [N]'
LOOKS = 3
"""At a picture without boxes: the whole of it, then twice the box around what was found. On 120 drawn
people the main job's net has PCK@0.20/torso 0.25, 0.52 and 0.57 after 1, 2 and 3 (0.76 in boxes)."""
_WHOLE = [(None, 1.0)]  # where to look: at a picture without boxes
_FEWEST = 3  # keypoints that make a box to look into


class Predictor:
  """What a trained net finds on pictures.

  It restores from the run alone, owns cutting out, decoding and the flip test, and is compiled for one
  crop when it is constructed; `warm_up` compiles it for several at once too.

  Example:
    predictor = Predictor.load('runs/pose_densenet')
    result = predictor(image)                        # the whole picture shows one person
    results = predictor([first, second], [boxes, other_boxes])
    result.instances[0].keypoints                    # float32 [K, 2], pixels of the picture

  Attributes:
    labels: the names behind the net's numbers.
    name: of the net, for people.
    threshold: score from which on a keypoint counts as visible; of a net that finds everything on a
      picture by itself and no keypoints, from which on a box is shown.
    min_score: score from which on what the net finds by itself is there.
    task: what the net does.
    runtime: what computes, in words.
    detector: finds the boxes where none are given; None where the whole picture is one person's, or where
      the net finds everything by itself.
  """

  def __init__(
    self,
    task: Task,
    variables: Variables,
    *,
    name: str = 'net',
    threshold: float | None = None,
    runtime: str = 'xla',
    precision: str = 'float32',
    detector: DetectFn | None = None,
    min_score: float | None = None,
    kept: KeptPrograms | None = None,
  ):
    """Make a net ready to use; `load` does it for a run.

    Args:
      task: of the net.
      variables: of the net, NumPy or on devices.
      name: for people.
      threshold: score from which on a keypoint counts as visible, or a box is shown (a detector's
        without keypoints); `THRESHOLD` and `MIN_SCORE` where None.
      runtime: 'xla', 'onnx', 'openvino', 'litert', or 'auto' for the fastest of those that are installed.
      precision: of OpenVINO: 'float32' or 'bfloat16'.
      detector: finds the boxes where none are given.
      min_score: of a net that finds everything by itself: what scores less is nothing. Where None, it is
        `MIN_SCORE`, or of a net without keypoints `threshold`.
      kept: the net's programs by earlier processes.

    Raises:
      PosejaxError: the runtime is unknown or not installed, or the net needs no detector.
    """
    if task.finds_all and detector is not None:
      raise PosejaxError(f'{name} finds everything on a picture by itself; leave the detector out.')
    boxes_only = task.finds_all and task.labels.skeleton is None
    if threshold is None:
      threshold = MIN_SCORE if boxes_only else THRESHOLD
    if min_score is None:
      min_score = threshold if boxes_only else MIN_SCORE
    self.min_score = min_score
    self.task, self.labels = task, task.labels
    self.name, self.threshold, self.detector = name, threshold, detector
    example = {'images': np.zeros((1, *task.input_size, 3), np.uint8)}
    if 'image_size' in task.inputs:
      example['image_size'] = np.array([task.input_size], np.int32)
    self.pipeline = Pipeline(
      task.infer,
      variables,
      task.input_size,
      task.labels,
      box_padding=task.box_padding,
      finds_all=task.finds_all,
      takes=task.inputs,
      # What is no person's is stretched corner on corner.
      convention=task.codec.convention if task.codec else 'udp',
    )
    choice = choose.create(runtime, self.pipeline, example, precision, kept)
    self.runtime, self._run = str(choice), choice.runtime
    self._run(example)
    self._example = example
    self._maps = None

  def warm_up(self) -> None:
    """Compile for a batch of several too, which else is done when it first comes, amid a film."""
    self._run({name: np.repeat(value, MAX_BATCH, 0) for name, value in self._example.items()})

  @classmethod
  def load(cls, name: str, checkpoint: str = 'best', **options: Any) -> 'Predictor':
    """Return the predictor of a run, of a net in a file, or of a published net.

    Args:
      name: a run's work directory, a `.safetensors` file that `posejax export` wrote, or the name of a
        published net; see `posejax.runs.nets`.
      checkpoint: of a run: 'best', 'latest' or a step.
      **options: of the constructor.

    Raises:
      PosejaxError: there is no such run, checkpoint, file or net, or it is one of another version.
    """
    return cls.of(nets.read(name, checkpoint), **options)

  @classmethod
  def of(cls, net: SavedNet, **options: Any) -> 'Predictor':
    """Return the predictor of a net that was read; `options` are the constructor's."""
    kept = KeptPrograms.of(net)
    outputs = kept.outputs if kept else partial(traced_outputs, net.variables)
    _, task = experiment.build(net.config, net.labels, outputs)
    known = {'name': net.name, 'threshold': net.threshold, 'min_score': net.min_score, 'kept': kept}
    return cls(task, net.variables, **{**known, **options})

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
        looked at, and then the box around who was found. A detector takes none.
      scores: `[N]` of the boxes, in [0, 1] (or a sequence of such); 1 where None.
      detector: finds the boxes where none are given, instead of the predictor's own.

    Returns:
      A `Result`, or a list of them for a sequence of pictures, in order.

    Raises:
      PosejaxError: a picture or its boxes are not of that form, says which; or the net gives NaN.
    """
    single = isinstance(images, np.ndarray) and images.ndim <= 3
    if single:
      images = [images]
      boxes, scores = (None if v is None else [v] for v in (boxes, scores))
    boxes, scores = (
      _one_each(values, images, what) for values, what in ((boxes, 'boxes'), (scores, 'scores'))
    )
    detector = detector or self.detector
    if self.task.finds_all:
      results = self._find(images, boxes, detector)
      return results[0] if single else results
    regions = []
    for number, image in enumerate(images):
      _check_image(image, number)
      regions.append(_regions(number, image, boxes[number], scores[number], detector))
    results = self._read(images, regions)
    whole = [number for number, found in enumerate(regions) if found is _WHOLE]
    for _ in range(LOOKS - 1 if whole else 0):
      self._look_closer(images, whole, results)
    return results[0] if single else results

  def _outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    outputs = self._run(inputs)
    # Scores and boxes are clipped, and may be infinite; keypoints may lie anywhere.
    bad = [
      name
      for name, array in outputs.items()
      if (~np.isfinite(array) if name == 'keypoints' else np.isnan(array)).any()
    ]
    if bad:
      raise PosejaxError(
        f'{self.name} gave {" and ".join(bad)} that are no numbers. Its weights are damaged, or its '
        'training broke down: take another checkpoint.'
      )
    return outputs

  def _find(self, images, boxes, detector: DetectFn | None) -> list[Result]:
    """Return what a detector finds on whole pictures."""
    for number, image in enumerate(images):
      _check_image(image, number)
      if boxes[number] is not None or detector is not None:
        raise PosejaxError(
          f'{self.name} finds everything on a picture by itself; give it no boxes and no detector.'
        )
    if not images:
      return []
    views = [self.task.view(image, None) for image in images]
    inputs = {'images': np.stack([canvas for canvas, _ in views])}
    if 'image_size' in self.task.inputs:
      pairs = zip(images, views, strict=True)
      filled = [measures.filled_size(image.shape[:2], view[1]) for image, view in pairs]
      inputs['image_size'] = np.stack(filled)
    outputs = self._outputs(inputs)
    results = []
    for row, image in enumerate(images):
      one = {name: array[row] for name, array in outputs.items()}
      results.append(self._found(one, views[row][1], image.shape[:2]))
    return results

  def _found(self, one, crop_to_image, image_hw: tuple[int, int]) -> Result:
    """Return what is sure enough of a detector's outputs for one picture."""
    h, w = image_hw
    edges = np.clip(measures.boxes_in_image(one['boxes'], crop_to_image), 0, (w, h, w, h))
    # What lies in the canvas' free part has no extent here.
    there = (one['scores'] >= self.min_score) & (edges[:, 2:] > edges[:, :2]).all(1)
    instances = []
    for i in np.flatnonzero(there):
      box = box_geometry.clip(
        np.maximum(edges[i] - (0, 0, 1, 1), np.tile(edges[i, :2], 2)), image_hw
      )
      score, label = float(np.clip(one['scores'][i], 0, 1)), int(one['labels'][i])
      points = ()
      if 'keypoints' in one:
        sure = np.clip(one['keypoint_scores'][i], 0, 1).astype(np.float32)
        where = affine.transform_points(one['keypoints'][i], crop_to_image).astype(np.float32)
        points = where, sure, sure >= self.threshold
      instances.append(Instance(box.astype(np.float32), score, label, *points))
    return Result(image_hw, tuple(instances))

  def _look_closer(self, images, whole: list[int], results: list[Result]) -> None:
    """Look again where a whole picture showed somebody: the net has learnt from people's boxes."""
    closer = {
      number: [(box, 1.0)] for number in whole if (box := _around(results[number])) is not None
    }
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
      PosejaxError: the net has no heatmaps.
    """
    codec = self.task.codec
    if codec is None:
      raise PosejaxError(f'{self.name} has no heatmaps to show.')
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
      map_to_image = crop_to_image * [*codec.map_cell, 1]
      heat = np.maximum(heat, cv2.warpAffine(found, map_to_image, (w, h)))
    return heat

  def _read(self, images, regions) -> list[Result]:
    places = [(i, box, score) for i, found in enumerate(regions) for box, score in found]
    instances: list[list[Instance]] = [[] for _ in images]
    if places:
      views = [self.task.view(images[i], box) for i, box, _ in places]
      outputs = self._outputs({'images': np.stack([crop for crop, _ in views])})
      boxes = [_whole_of(images[i]) if box is None else box for i, box, _ in places]
      box_scores = [score for _, _, score in places]
      found = self._instances(outputs, np.stack([matrix for _, matrix in views]), boxes, box_scores)
      for (i, _, _), instance in zip(places, found, strict=True):
        instances[i].append(instance)
    return [
      Result(image.shape[:2], tuple(sorted(found, key=lambda one: -one.score)))
      for image, found in zip(images, instances, strict=True)
    ]

  def _instances(self, outputs, crop_to_image, boxes, box_scores) -> list[Instance]:
    """Return an instance for each crop: of all at once, because NumPy's calls cost more than numbers."""
    scores = np.minimum(np.maximum(outputs['scores'], 0), 1).astype(np.float32, copy=False)
    if 'keypoints' not in outputs:
      labels = scores.argmax(-1).tolist()
      return [
        Instance(box, float(row[label]), label)
        for box, row, label in zip(boxes, scores, labels, strict=True)
      ]
    points = affine.transform_points(outputs['keypoints'], crop_to_image)
    rescore = oks.RESCORINGS[self.task.codec.rescoring]
    total = np.clip(rescore(box_scores, scores), 0, 1).tolist()
    rows = zip(boxes, total, points, scores, scores >= self.threshold, strict=True)
    return [Instance(box, score, 0, *of_keypoints) for box, score, *of_keypoints in rows]


def _whole_of(image: np.ndarray) -> np.ndarray:
  h, w = image.shape[:2]
  return np.array([0, 0, w - 1, h - 1], np.float32)


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
  h, w = image.shape[:2]
  for place, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
    if not (-math.inf < x1 <= x2 < math.inf and -math.inf < y1 <= y2 < math.inf):
      raise PosejaxError(
        f'Box {place} of picture {number} is {[x1, y1, x2, y2]}; expected finite x1 <= x2 and y1 <= y2.'
      )
    if x2 < 0 or y2 < 0 or x1 > w - 1 or y1 > h - 1:
      inside = box_geometry.clip(boxes[place], (h, w))
      raise PosejaxError(
        f'Box {place} of picture {number}, {[x1, y1, x2, y2]}, lies outside the picture of {w}x{h} '
        f'pixels (nearest inside: {inside.tolist()}).'
      )
