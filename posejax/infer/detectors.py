"""Detectors of people: published nets by name, or runs of one's own."""

import numpy as np

from posejax.errors import PosejaxError, nearest
from posejax.infer import nanodet
from posejax.infer.predictor import Predictor
from posejax.infer.results import DetectFn
from posejax.tasks.detection.measures import PERSON

DETECTORS = {'nanodet': nanodet.detector}
"""Name on the command line -> what makes the detector."""


def create(name: str, threshold: float | None = None) -> DetectFn:
  """Return a detector of people: `picture -> (boxes [N, 4], scores [N])`.

  Args:
    name: of `DETECTORS`, or of any net that finds people by itself (`posejax.runs.nets`): a detection
      run's best checkpoint, its net in a file, or a published one.
    threshold: score of the boxes that are returned; the detector's own where None.

  Raises:
    PosejaxError: there is neither, the net is no detector or finds no people, or weights are missing.
  """
  if name in DETECTORS:
    return DETECTORS[name](**({} if threshold is None else {'threshold': threshold}))
  try:
    predictor = Predictor.load(name, **({} if threshold is None else {'min_score': threshold}))
  except PosejaxError as error:
    raise PosejaxError(f'--detector={name}: {error}{nearest(name, DETECTORS)}') from error
  names = predictor.labels.class_names
  if not predictor.task.finds_all:
    raise PosejaxError(
      f'{name} is no detector: it needs boxes itself. Train one, --config=configs/detect_rtmdet.py.'
    )
  if PERSON not in names:
    raise PosejaxError(f'{name} finds {", ".join(names)}, and no {PERSON!r} to look at.')
  person = names.index(PERSON)

  def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = [one for one in predictor(image).instances if one.label == person]
    boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
    return boxes, np.array([one.score for one in found], float)

  return detect
