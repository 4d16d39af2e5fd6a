"""Films that browsers play: H.264 in MP4, the frames' own times kept."""

from collections.abc import Collection
from fractions import Fraction
import logging
from typing import Any

import cv2
import numpy as np

from posejax.errors import PosejaxError
from posejax.infer.frames.writers.writer import Writer

_LOG = logging.getLogger(__name__)
# Ticks a second of MPEG's clock: every usual rate is a whole number of them.
_TICKS = 90_000
_NOMINAL_FPS = 30
# Encoders in the order of preference and their options: good pictures at a speed that leaves the cores to
# the net. All of them play in browsers; builds of FFmpeg without x264 have one of the others.
ENCODERS = {
  # How motion is refined costs most of the preset. As superfast does it: a quarter less time and the same
  # quality, in files a tenth to a half larger; superfast itself makes them twice that.
  'libx264': {'crf': '20', 'preset': 'veryfast', 'x264-params': 'subme=1'},
  'libopenh264': {'b': '4000000'},
  'h264_videotoolbox': {'b': '4000000'},
  'libvpx-vp9': {'crf': '32', 'b': '0', 'deadline': 'realtime', 'cpu-used': '8', 'row-mt': '1'},
}


def choose_encoder(available: Collection[str]) -> str:
  """Return the first of `ENCODERS` that a build of FFmpeg has; log where that is not x264.

  Raises:
    PosejaxError: it has none.
  """
  names = [name for name in ENCODERS if name in available]
  if not names:
    raise PosejaxError(
      f'This build of PyAV has none of the encoders {", ".join(ENCODERS)}, so that no film can be '
      "written. Install the usual one: pip install --force-reinstall 'posejax[video]'."
    )
  if names[0] != 'libx264':
    _LOG.warning('This build of PyAV has no libx264: films are written by %s.', names[0])
  return names[0]


class FilmWriter(Writer):
  """Write frames as a film that browsers play: H.264, yuv420p, MP4 with its index in front.

  Times are kept to 1/90000 s, whatever the rate or rates. A last column or row is repeated where the
  size is odd, which H.264 has not; a pixel stays at its place. Colours are marked as BT.709.

  Args:
    path: of the file; an MP4 whatever its name.
    depth: frames that may wait to be encoded.

  Raises:
    PosejaxError: PyAV or an encoder is missing, or the folder is.
  """

  def __init__(self, path: str, depth: int = 4):
    super().__init__(path, depth)
    self.encoder = choose_encoder(self._av.codecs_available)
    self._held: tuple[np.ndarray, int] | None = None
    self._duration = _TICKS // _NOMINAL_FPS
    self._first: int | None = None

  def _container_options(self) -> dict[str, Any]:
    return {'format': 'mp4', 'container_options': {'movflags': '+faststart'}}

  def _open(self, h: int, w: int) -> tuple[int, int]:
    stream = self._container.add_stream(
      self.encoder, rate=_NOMINAL_FPS, options=dict(ENCODERS[self.encoder])
    )
    stream.width, stream.height = w + w % 2, h + h % 2
    stream.pix_fmt = 'yuv420p'
    context = stream.codec_context
    context.time_base = Fraction(1, _TICKS)
    context.flags |= int(self._av.codec.context.Flags.frame_duration)
    # 1 is BT.709, and of ranges the narrow one, in ITU-T H.273 and FFmpeg's enumerations.
    context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
    self._stream = stream
    return h, w

  def _encode(self, image: np.ndarray, time: float) -> None:
    # How long a frame is shown is known when the next one comes.
    tick = round(time * _TICKS)
    if self._held is not None:
      self._duration = max(1, tick - self._held[1])
      tick = self._held[1] + self._duration
      self._encode_held()
    self._held = image, tick

  def _encode_held(self) -> None:
    image, tick = self._held
    h, w = image.shape[:2]
    if h % 2 or w % 2:
      image = cv2.copyMakeBorder(image, 0, h % 2, 0, w % 2, cv2.BORDER_REPLICATE)
    frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image)).reformat(
      format='yuv420p', dst_colorspace='ITU709', dst_color_range='MPEG'
    )
    if self._first is None:
      self._first = tick
    frame.pts, frame.time_base = tick - self._first, Fraction(1, _TICKS)
    frame.duration = self._duration
    self._container.mux(self._stream.encode(frame))

  def _finish(self) -> None:
    self._encode_held()
    self._container.mux(self._stream.encode())
