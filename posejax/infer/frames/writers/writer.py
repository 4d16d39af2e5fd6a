"""What writers of films and GIFs share: a thread, a bounded queue, a file whole or not there."""

import abc
import math
from typing import Any, Self

import cv2
import numpy as np

from posejax import files
from posejax.infer.frames import channel, library

_GROUND = 40  # the dark grey of contact sheets


class Writer(abc.ABC):
  """Write frames to a file, encoded behind the giver's back.

  The first frame's size is the film's; another one's is scaled to fit into it and centred. The file
  appears under its name when `close` has returned, and not at all where nothing was written or an
  exception left the `with` block. Sound is not written.

  Args:
    path: of the file.
    depth: frames that may wait to be encoded; `write` blocks while there are as many.

  Raises:
    PosejaxError: PyAV is missing, or the folder is.
  """

  def __init__(self, path: str, depth: int = 4):
    self._av = library.load_av()
    self._file = files.Replacement(path)
    self._container: Any = None
    self._size: tuple[int, int] | None = None
    self._last_time = -math.inf
    self._closed = False
    self._depth = depth
    self._behind: channel.Behind | None = None

  def write(self, image: np.ndarray, time: float) -> None:
    """Hand over a frame.

    Args:
      image: uint8 `[h, w, 3]` RGB; it must not be changed afterwards.
      time: seconds, larger than the frame's before.

    Raises:
      PosejaxError: an earlier frame could not be written; the disk is full.
      ValueError: the image is of another form, or time does not increase.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
      raise ValueError(f'expected uint8 [h, w, 3], got {image.dtype} {image.shape}')
    if not time > self._last_time or math.isinf(time):
      raise ValueError(f'the time {time} does not come after {self._last_time}')
    if self._closed:
      raise ValueError('the writer is closed')
    self._last_time = time
    if self._behind is None:
      self._behind = channel.Behind(self._consume, self._depth, f'writing {self._file.path}')
    try:
      self._behind.put((image, time))
    except self._errors as error:
      self.abandon()
      raise files.explain(self._file.path, error) from error

  def close(self) -> None:
    """Finish the file and put it in its place; may be called again.

    Raises:
      PosejaxError: it could not be written; nothing is left of it.
    """
    if self._closed:
      return
    self._closed = True
    if self._behind is None:
      return
    try:
      self._behind.finish()
      self._finish()
      self._container.close()
      self._file.commit()
    except self._errors as error:
      raise files.explain(self._file.path, error) from error
    finally:
      self._remove()

  def abandon(self) -> None:
    """Stop and leave no file."""
    if not self._closed and self._behind is not None:
      self._behind.abandon()
      self._remove()
    self._closed = True

  def __enter__(self) -> Self:
    return self

  def __exit__(self, error_type: type[BaseException] | None, *_) -> None:
    if error_type is None:
      self.close()
    else:
      self.abandon()

  @property
  def _errors(self) -> tuple[type[BaseException], ...]:
    return (OSError, self._av.error.FFmpegError)

  def _remove(self) -> None:
    try:
      if self._container is not None:
        self._container.close()
    except self._errors:
      pass  # A trailer on a full disk; the file goes anyway.
    self._file.discard()

  def _consume(self, item: tuple[np.ndarray, float]) -> None:
    image, time = item
    if self._container is None:
      self._container = self._av.open(self._file.temporary, 'w', **self._container_options())
      self._size = self._open(*image.shape[:2])
    self._encode(fit(image, self._size), time)

  def _container_options(self) -> dict[str, Any]:
    return {}

  @abc.abstractmethod
  def _open(self, h: int, w: int) -> tuple[int, int]:
    """Add a stream for frames of a size to the container; return the (h, w) to scale frames to."""

  @abc.abstractmethod
  def _encode(self, image: np.ndarray, time: float) -> None:
    """Encode a frame of the size that `_open` returned."""

  @abc.abstractmethod
  def _finish(self) -> None:
    """Encode what the encoder still holds."""


def fit(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
  """Return a picture scaled to fit into (h, w), sides in proportion, centred on dark grey."""
  h, w = image.shape[:2]
  if (h, w) == hw:
    return image
  scale = min(hw[0] / h, hw[1] / w)
  size = min(hw[1], max(1, round(w * scale))), min(hw[0], max(1, round(h * scale)))
  way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
  scaled = cv2.resize(image, size, interpolation=way)
  top, left = (hw[0] - size[1]) // 2, (hw[1] - size[0]) // 2
  bottom, right = hw[0] - size[1] - top, hw[1] - size[0] - left
  return cv2.copyMakeBorder(
    scaled, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(_GROUND,) * 3
  )
