"""Cameras through OpenCV: always the newest frame, never a queue of stale ones."""

import os
import re
import sys
import threading
import time
from typing import NoReturn

import cv2
import numpy as np

from posejax.errors import PosejaxError
from posejax.infer.frames.frame import Frame, Reader

_TRIES = 5
_PAUSE = 0.2  # seconds between them


def open_camera(number: int) -> 'CameraReader':
  """Open a camera by its number.

  Raises:
    PosejaxError: there is none, or it is in use.
  """
  name = f'camera:{number}'
  if sys.platform == 'linux' and not os.path.exists(f'/dev/video{number}'):
    found = sorted(int(n) for n in re.findall(r'\bvideo([0-9]+)\b', ' '.join(os.listdir('/dev'))))
    there = ', '.join(f'camera:{n}' for n in found) if found else 'no camera at all'
    raise PosejaxError(f'{name}: there is no /dev/video{number}; this machine has {there}.')
  capture = cv2.VideoCapture(number)
  if not capture.isOpened():
    capture.release()
    raise PosejaxError(
      f'{name}: the camera cannot be opened. See that no other program uses it and that you may read '
      f'/dev/video{number}.'
    )
  # The driver's own queue would show the past.
  capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
  return CameraReader(capture, name)


class CameraReader(Reader):
  """Give the newest frame of a camera each time one is asked for; frames in between are dropped.

  A thread keeps reading, so that a slow consumer is never behind. A frame is given once. A camera that is
  unplugged ends it, and `faults` says so.

  Args:
    capture: an opened camera.
    name: of it in messages.
  """

  def __init__(self, capture: cv2.VideoCapture, name: str):
    self.name = name
    self.num_frames = None
    self.fps = capture.get(cv2.CAP_PROP_FPS) or None
    self.is_film = True
    self.num_broken = 0
    self.faults = []
    self._capture = capture
    self._newest: tuple[np.ndarray, float] | None = None
    self._changed = threading.Condition()
    self._closed = threading.Event()
    self._lost = False
    self._start: float | None = None
    self._index = 0
    self._thread = threading.Thread(target=self._grab, name=f'reading {name}', daemon=True)
    self._thread.start()

  def _grab(self) -> None:
    failures = 0
    while not self._closed.is_set() and failures < _TRIES:
      ok, image = self._capture.read()
      if not ok:
        failures += 1
        self._closed.wait(_PAUSE)
        continue
      failures = 0
      with self._changed:
        self._newest = image, time.monotonic()
        self._changed.notify_all()
    with self._changed:
      self._lost = True
      self._changed.notify_all()

  def __next__(self) -> Frame:
    with self._changed:
      self._changed.wait_for(lambda: self._newest or self._lost)
      newest, self._newest = self._newest, None
    if self._closed.is_set():
      raise StopIteration
    if newest is None:
      # What was seen until then is the user's: as of a film that breaks off, it is kept.
      self._end()
    image, now = newest
    if self._start is None:
      self._start = now
    frame = Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), now - self._start, self._index, self.name)
    self._index += 1
    return frame

  def _end(self) -> NoReturn:
    remedy = 'See that it is plugged in, and start again.'
    if self._index == 0:
      raise PosejaxError(f'{self.name}: the camera gives no frames. {remedy}')
    if not self.faults:
      self.faults.append(
        f'{self.name}: the camera gives no more frames, after {self._index}. {remedy}'
      )
    raise StopIteration

  def close(self) -> None:
    """End the thread and let go of the camera."""
    self._closed.set()
    self._thread.join()
    self._capture.release()
