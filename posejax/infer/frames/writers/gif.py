"""GIFs: small, looping, a palette for each frame."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from posejax.infer.frames.writers.writer import Writer

_TICKS = 100  # a second: GIF's unit of time
# A fixed pattern of dots stays where it is from frame to frame, and compresses; spread errors crawl.
# Not with `diff_mode=rectangle`, which leaves what has not changed in the numbers of the palette before.
_DITHER = 'new=1:dither=bayer:bayer_scale=4'


class GifWriter(Writer):
  """Write frames as a GIF that loops, scaled down to a width, at no more than a rate.

  Args:
    path: of the file; a GIF whatever its name.
    max_width: pixels; smaller frames stay as they are.
    max_fps: frames that come faster are left out.
    depth: frames that may wait to be encoded.

  Raises:
    PosejaxError: PyAV is missing, or the folder is.
  """

  def __init__(self, path: str, max_width: int = 480, max_fps: float = 12.5, depth: int = 4):
    super().__init__(path, depth)
    self._max_width = max_width
    self._step = 1 / max_fps
    self._first: float | None = None
    self._due = 0.0
    self._tick = -1

  def _container_options(self) -> dict[str, Any]:
    return {'format': 'gif'}

  def _open(self, h: int, w: int) -> tuple[int, int]:
    if w > self._max_width:
      h, w = max(1, round(h * self._max_width / w)), self._max_width
    self._stream = self._container.add_stream('gif', rate=_TICKS)
    self._stream.width, self._stream.height = w, h
    self._stream.pix_fmt = 'pal8'
    self._graph = self._av.filter.Graph()
    source = self._graph.add_buffer(
      width=w, height=h, format='rgb24', time_base=Fraction(1, _TICKS)
    )
    split = self._graph.add('split')
    palette = self._graph.add('palettegen', 'stats_mode=single:reserve_transparent=0')
    use = self._graph.add('paletteuse', _DITHER)
    sink = self._graph.add('buffersink')
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    self._graph.configure()
    return h, w

  def _encode(self, image: np.ndarray, time: float) -> None:
    if self._first is None:
      self._first = time
    time -= self._first
    # Half a tick early is in time.
    if time < self._due - 0.5 / _TICKS:
      return
    self._due = max(self._due + self._step, time)
    last, self._tick = self._tick, max(self._tick + 1, round(time * _TICKS))
    # The last frame is shown as long as the one before it.
    self._duration = self._tick - last
    frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image))
    frame.pts, frame.time_base = self._tick, Fraction(1, _TICKS)
    self._graph.push(frame)
    self._pull()

  def _pull(self) -> None:
    while True:
      try:
        frame = self._graph.pull()
      except (self._av.error.BlockingIOError, self._av.error.EOFError):
        return
      self._mux(self._stream.encode(frame))

  def _finish(self) -> None:
    self._graph.push(None)
    self._pull()
    self._mux(self._stream.encode())

  def _mux(self, packets: Sequence[Any]) -> None:
    for packet in packets:
      packet.duration = self._duration
      self._container.mux(packet)
