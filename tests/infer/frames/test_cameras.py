import threading
import time

import cv2
import numpy as np
import pytest

from posejax.errors import PosejaxError
from posejax.infer.frames import cameras, inputs
from tests.infer.frames import drawn


def test_a_camera_that_is_not_there():
  (source,) = inputs.expand(['camera:97'])
  with pytest.raises(PosejaxError, match='camera:97'):
    inputs.open_input(source)


@pytest.fixture(name='capture')
def capture_fixture(tmp_path):
  """OpenCV on a film of 30 frames: a camera that is fast, and unplugged when the film ends."""
  return cv2.VideoCapture(drawn.film(tmp_path / 'film.mp4', [i / 25 for i in range(30)]))


def test_the_newest_frame_only_and_an_unplugged_camera_is_said(capture):
  with cameras.CameraReader(capture, 'camera:0') as reader:
    assert reader.is_film
    time.sleep(0.5)  # the camera has gone on to its last frame
    frame = next(reader)
    assert (frame.index, frame.time, frame.name) == (0, 0.0, 'camera:0')
    assert np.abs(frame.image.astype(int) - drawn.patches(29)).mean() < 5
    for _ in range(2):
      with pytest.raises(StopIteration):
        next(reader)
    (fault,) = reader.faults
    assert fault.startswith('camera:0: the camera gives no more frames, after 1. See')


def test_a_camera_that_never_gave_a_frame(tmp_path):
  reader = cameras.CameraReader(cv2.VideoCapture(str(tmp_path / 'none')), 'camera:0')
  with reader, pytest.raises(PosejaxError, match='camera:0: the camera gives no frames. See'):
    next(reader)


def test_times_increase_and_closing_ends_the_thread(capture):
  before = threading.active_count()
  with cameras.CameraReader(capture, 'camera:0') as reader:
    first = next(reader)
    assert first.image.shape == (*drawn.HW, 3)
    assert threading.active_count() == before + 1
  assert threading.active_count() == before
  assert not capture.isOpened()
  with pytest.raises(StopIteration):
    next(reader)
