"""The loop of a film: where to look in a frame, what the net finds there, and who that is."""

from collections.abc import Callable, Sequence

import numpy as np

from posejax.errors import PosejaxError
from posejax.infer.results import DetectFn, Instance
from posejax.infer.tracking.tracker import Tracker

PoseFn = Callable[[np.ndarray, np.ndarray | None], Sequence[Instance]]
"""`(image, boxes [N, 4]) -> instances`, in any order; where boxes are None, anywhere in the picture."""


class Follower:
  """Follows people with a top-down pose net through one film or camera.

  With a detector: it looks at every n-th frame, after a frame in which somebody got lost, and while
  nobody is there. In the other frames the boxes are those that the tracker predicts.

  Without one: the whole picture first, then the box that the tracker predicts, and the whole picture
  again when the person is lost. This follows the one person that a net finds in a whole picture.

  Boxes are people's, as nets are trained on; what `pose` shows of the picture around them is its own.

  Nets that find everybody in one go need no boxes and none of this: give their instances to
  `Tracker.update`.

  Example:
    follower = Follower(pose, detect, Tracker(labels.skeleton), every=5)
    for image, time in film:
      instances = follower(image, time)

  Attributes:
    tracker: with its ids.
    detected: whether the last frame's boxes came from the detector, or were the whole picture.
  """

  def __init__(
    self,
    pose: PoseFn,
    detect: DetectFn | None,
    tracker: Tracker,
    *,
    every: int = 5,
  ):
    """Start before the first frame.

    Args:
      pose: the net, with which boxes to look into.
      detect: the detector, whose boxes are all looked into; None where there is none.
      tracker: a fresh one.
      every: frames from one detection to the next, at most.
    """
    if every < 1:
      raise PosejaxError(f'every must be at least 1 frame, got {every}.')
    self.tracker = tracker
    self.detected = False
    self._pose, self._detect = pose, detect
    self._every = every
    self._since = every  # frames since the last detection

  def reset(self) -> None:
    """Forget everybody, for another film; ids go on."""
    self.tracker.reset()
    self._since = self._every

  def __call__(self, image: np.ndarray, time: float) -> tuple[Instance, ...]:
    """Return the people with ids who are in the next frame.

    Args:
      image: `[h, w, 3]`.
      time: of the frame in seconds, as for `Tracker.update`.
    """
    image_hw = image.shape[:2]
    boxes = self._look(image, time) if self._detect else self._around(time)
    found = self._pose(image, boxes) if boxes is None or len(boxes) else ()
    followed = self.tracker.update(found, time, image_hw)
    return tuple(one for one in followed if one.track_id is not None)

  def _look(self, image: np.ndarray, time: float) -> np.ndarray:
    """Return the detector's boxes where it is due, else the tracker's."""
    self._since += 1
    self.detected = self.tracker.needs_detection or self._since >= self._every
    if not self.detected:
      return self.tracker.predicted_boxes(time)[0]
    self._since = 0
    return np.asarray(self._detect(image)[0], np.float32)

  def _around(self, time: float) -> np.ndarray | None:
    """Return the tracker's boxes, or None where there are none."""
    boxes = self.tracker.predicted_boxes(time)[0]
    self.detected = not len(boxes)
    return None if self.detected else boxes
