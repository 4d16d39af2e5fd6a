"""Detectors of people: published nets by name, or runs of one's own."""

import numpy as np

from posejax import files
from posejax.errors import PosejaxError, nearest
from posejax.infer import published
from posejax.infer.predictor import DetectFn, Predictor
from posejax.runs import net_file
from posejax.tasks.detection.measures import PERSON

DETECTORS = {'nanodet': published.nanodet_detector}
"""Name on the command line -> what makes the detector."""


def create(name: str, threshold: float | None = None) -> DetectFn:
  """Return a detector of people: `picture -> (boxes [N, 4], scores [N])`.

  Args:
    name: of `DETECTORS`, or the work directory of a detection run, whose best checkpoint is taken, or its
      net in a file.
    threshold: score of the boxes that are returned; the detector's own where None.

  Raises:
    PosejaxError: there is neither, the run is no detector's or finds no people, or weights are missing.
  """
  if name in DETECTORS:
    return DETECTORS[name](**({} if threshold is None else {'threshold': threshold}))
  if not net_file.is_one(name) and not files.is_folder(name):
    raise PosejaxError(
      f'--detector={name} is neither the folder of a run nor a published detector.'
      + nearest(name, DETECTORS)
    )
  return _of_run(name, threshold)


def _of_run(run: str, threshold: float | None) -> DetectFn:
  predictor = Predictor.load(run, threshold=threshold)
  names = predictor.labels.class_names
  if not predictor.task.finds_all:
    raise PosejaxError(
      f'{run} is no detector: it needs boxes itself. Train one, --config=configs/detect_rtmdet.py.'
    )
  if PERSON not in names:
    raise PosejaxError(f'{run} finds {", ".join(names)}, and no {PERSON!r} to look at.')
  person = names.index(PERSON)

  def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = [one for one in predictor(image).instances if one.label == person]
    boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
    return boxes, np.array([one.score for one in found], float)

  return detect
