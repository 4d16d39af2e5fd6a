"""Films through PyAV: one frame after the other, upright, with their own time stamps."""

from collections.abc import Generator, Iterator
from fractions import Fraction
import os
from typing import Any

import cv2
import numpy as np

from posejax.errors import PosejaxError
from posejax.infer.frames import channel, decoding, library
from posejax.infer.frames.frame import Frame, Reader

# Where neither time stamps nor a rate are told.
_DEFAULT_FPS = 25.0
# A larger step back in time is a clock that starts anew, as where broadcasts are joined.
_MAX_STEP_BACK = 1.0
_NUDGE = 0.001
# Demuxers that take text, pictures or noise for films.
_NO_FILMS = {'tty', 'image2', 'bin', 'xbin', 'adf', 'idf', 'concat', 'hls', 'dash'}


class FilmReader(Reader):
  """Read the first video stream of a film in constant memory, decoded ahead on a thread.

  Rotation and mirroring flags are applied, pixels that are not square are made so, and frames whose
  size changes on the way get the first one's. Sound is not read.

  Args:
    path: of the film.
    prefetch: frames that wait decoded.
    max_pixels: of one frame.

  Raises:
    PosejaxError: it is missing, empty or no film, has no video stream, or frames that are too large.
  """

  def __init__(self, path: str, prefetch: int = 4, max_pixels: int = decoding.MAX_PIXELS):
    av = library.load_av()
    self.name = path
    self.is_film = True
    self.num_broken = 0
    self.faults = []
    self._error_type = av.error.FFmpegError
    self._container = _open(av, path)
    try:
      self._stream = _video_stream(self._container, path)
      w, h = self._stream.codec_context.width, self._stream.codec_context.height
      if w * h > max_pixels:
        raise PosejaxError(
          f'{path}: frames of {w}x{h} are larger than the limit of {max_pixels / 1e6:g} megapixels.'
        )
    except PosejaxError:
      self._container.close()
      raise
    self._stream.thread_type = 'AUTO'
    rate = self._stream.average_rate or self._stream.guessed_rate
    self.fps = float(rate) if rate else None
    self.num_frames = self._stream.frames or self._by_length(av.time_base)
    self._max_pixels = max_pixels
    self._coded_size: tuple[int, int] | None = None
    self._rotation: int | None = None
    self._matrix: np.ndarray | None = None
    self._ahead = channel.Ahead(self._frames(), prefetch, f'reading {path}')

  def _by_length(self, time_base: int) -> int | None:
    length = self._container.duration
    if not length or length < 0 or not self.fps:
      return None
    return max(1, round(length / time_base * self.fps))

  def __next__(self) -> Frame:
    return next(self._ahead)

  def close(self) -> None:
    """End the thread and let go of the film."""
    self._ahead.close()
    self._container.close()

  def _frames(self) -> Generator[Frame, None, None]:
    clock = _Clock(1 / (self.fps or _DEFAULT_FPS))
    index = 0
    for decoded in self._decoded():
      yield Frame(self._image(decoded), clock.time(decoded.time), index, self.name)
      index += 1
    if index == 0:
      raise PosejaxError(
        f'{self.name}: not one frame of this film could be decoded '
        f'({self._stream.codec_context.name}). Convert it to H.264 in MP4.'
      )
    if self.num_broken:
      were = 'frame was' if self.num_broken == 1 else 'frames were'
      promised = f' of the {self._stream.frames} in its header' if self._stream.frames else ''
      self.faults.append(
        f'{self.name}: {self.num_broken} broken {were} left out; {index}{promised} were read.'
      )

  def _decoded(self) -> Iterator[Any]:
    """Yield whole frames; count the others."""
    packets = self._container.demux(self._stream)
    while True:
      try:
        packet = next(packets, None)
      except self._error_type as error:
        self.faults.append(f'{self.name}: it breaks off: {error.strerror}.')
        return
      if packet is None:
        return
      # A packet is marked where the file ends in its middle, or a broadcast lost a part of it.
      if packet.is_corrupt:
        self.num_broken += 1
        continue
      try:
        decoded = packet.decode()
      except self._error_type:
        self.num_broken += 1
        continue
      for frame in decoded:
        # A decoder conceals what it cannot read by parts of other frames, and says so.
        if frame.is_corrupt or frame.width * frame.height > self._max_pixels:
          self.num_broken += 1
        else:
          yield frame

  def _image(self, frame: Any) -> np.ndarray:
    if self._coded_size is None:
      self._coded_size = _square_pixels(frame, self._stream.sample_aspect_ratio)
    w, h = self._coded_size
    image = frame.reformat(width=w, height=h, format='rgb24').to_ndarray()
    # PyAV's `side_data` keeps its frame alive until the garbage collector comes: looked at once a turn.
    if frame.rotation != self._rotation:
      self._rotation = frame.rotation
      self._matrix = _display_matrix(frame)
    return _upright(image, self._matrix)


class _Clock:
  """Strictly increasing seconds from 0 out of a film's time stamps."""

  def __init__(self, step: float):
    self._step = step
    self._shift: float | None = None
    self._last = 0.0

  def time(self, stamp: float | None) -> float:
    if self._shift is None:
      self._shift = -(stamp or 0.0)
      return 0.0
    time = self._last + self._step if stamp is None else stamp + self._shift
    if time < self._last - _MAX_STEP_BACK:
      self._shift += self._last + self._step - time
      time = self._last + self._step
    self._last = max(time, self._last + _NUDGE)
    return self._last


def _open(av: Any, path: str) -> Any:
  try:
    size = os.stat(path).st_size
  except OSError as error:
    raise PosejaxError(f'{path}: cannot be read: {error.strerror}.') from error
  if size == 0:
    raise PosejaxError(f'{path}: the film is empty (0 bytes). Fetch it again or leave it out.')
  try:
    # An absolute path is never taken for a protocol, and what a playlist names on the net is not opened.
    container = av.open(
      os.path.abspath(path),
      container_options={'protocol_whitelist': 'file'},
      metadata_errors='replace',
    )
  except (av.error.FFmpegError, OSError) as error:
    reason = error.strerror or str(error)
  else:
    if not _NO_FILMS.intersection(container.format.name.split(',')):
      return container
    container.close()
    reason = f'it looks like {container.format.long_name}'
  raise PosejaxError(
    f'{path}: neither a picture nor a film that can be read: {reason}. Convert it, or leave it out.'
  )


def _video_stream(container: Any, path: str) -> Any:
  cover = 'attached_pic'
  streams = [s for s in container.streams.video if cover not in (s.disposition.name or '')]
  if not streams:
    others = sorted({stream.type for stream in container.streams})
    raise PosejaxError(
      f'{path}: it has no pictures ({", ".join(others) or "no stream at all"} only). '
      'Give a film with a video stream.'
    )
  if streams[0].codec_context is None:
    raise PosejaxError(
      f'{path}: there is no decoder for its video stream. Convert it to H.264 in MP4.'
    )
  return streams[0]


def _square_pixels(frame: Any, aspect: Fraction | None) -> tuple[int, int]:
  """Return the (w, h) at which a frame's pixels are square."""
  if not aspect or not 1 / 4 <= aspect <= 4:
    return frame.width, frame.height
  return round(frame.width * aspect), frame.height


def _display_matrix(frame: Any) -> np.ndarray:
  """Return a frame's display matrix, int32 `[9]`; the identity where it has none."""
  matrix = frame.side_data.get('DISPLAYMATRIX')
  if matrix is None:
    return np.eye(3, dtype=np.int32).ravel()
  return np.frombuffer(bytes(matrix), np.int32)


def _upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Turn a picture by a display matrix, to the nearest multiple of a right angle.

  Args:
    image: uint8 `[h, w, 3]`.
    matrix: int32 `[9]`, rows (a, b, u), (c, d, v), (x, y, w): the point (p, q) is shown at
      (a p + c q, b p + d q). Source: ISO/IEC 14496-12, section 8.3.2, and FFmpeg's `display.h`.
  """
  a, b, _, c, d = matrix[:5].tolist()
  if abs(a) < abs(c):
    image = cv2.transpose(image)
    a, d = c, b
  if a < 0 or d < 0:
    image = cv2.flip(image, -1 if a < 0 and d < 0 else 1 if a < 0 else 0)
  return image
