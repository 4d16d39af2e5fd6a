"""Picture files, one after the other."""

from collections.abc import Generator, Sequence

from posejax.errors import PosejaxError
from posejax.infer.frames import channel, decoding
from posejax.infer.frames.frame import Frame, Reader


class PictureReader(Reader):
  """Read picture files in the given order, decoded ahead on a thread.

  A picture that cannot be read is left out, counted and named in `faults`; `index` counts those that
  could be read.

  Args:
    paths: of the files.
    name: of all of them in messages.
    prefetch: pictures that wait decoded.
    max_pixels, upright: of one picture; see `decode_picture`.
  """

  def __init__(
    self,
    paths: Sequence[str],
    name: str = 'pictures',
    prefetch: int = 2,
    max_pixels: int = decoding.MAX_PIXELS,
    upright: bool = True,
  ):
    self.name = name
    self.num_frames = len(paths)
    self.fps = None
    self.is_film = False
    self.num_broken = 0
    self.faults = []
    self._paths = paths
    self._max_pixels, self._upright = max_pixels, upright
    self._ahead = channel.Ahead(self._frames(), prefetch, f'reading {name}')

  def _frames(self) -> Generator[Frame, None, None]:
    index = 0
    for path in self._paths:
      try:
        image = decoding.read_picture(path, self._max_pixels, self._upright)
      except PosejaxError as error:
        self.num_broken += 1
        self.faults.append(str(error))
        continue
      yield Frame(image, float(index), index, path)
      index += 1

  def __next__(self) -> Frame:
    return next(self._ahead)

  def close(self) -> None:
    """End the thread."""
    self._ahead.close()
