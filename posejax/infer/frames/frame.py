"""A frame, and what every source of frames can do."""

import abc
from collections.abc import Iterator
import dataclasses
from typing import Self

import numpy as np


@dataclasses.dataclass(frozen=True)
class Frame:
  """One picture of a source.

  Attributes:
    image: uint8 `[h, w, 3]` RGB, upright unless a picture's pixels were asked for as they lie.
    time: seconds since the source's first frame, by the film's own time stamps or the camera's clock;
      strictly increasing. Of pictures, which have no time, it is their index.
    index: 0, 1, 2, … within its source.
    name: of the picture file, film or camera that it comes from.
  """

  image: np.ndarray
  time: float
  index: int
  name: str


class Reader(abc.ABC, Iterator[Frame]):
  """An iterator over frames that can be closed before its end; all sources look like this.

  Broken pictures and frames are left out and told of in `faults`; the rest goes on.

  Attributes:
    name: of the source in messages.
    num_frames: how many there should be; None where nobody knows. Of a film it is what its header says
      or its length times its rate: right for a progress bar, and no promise.
    fps: frames a second, on average; None for pictures and where a film or camera does not say.
    is_film: whether the frames follow each other in time, so that people can be followed.
    num_broken: pictures or frames that were left out so far.
    faults: a sentence for each broken picture, or one for a film's broken frames when it has ended.
  """

  name: str
  num_frames: int | None
  fps: float | None
  is_film: bool
  num_broken: int
  faults: list[str]

  @abc.abstractmethod
  def __next__(self) -> Frame:
    """Return the next frame.

    Raises:
      PosejaxError: the source has nothing that can be decoded, or a camera gives no frames.
    """

  @abc.abstractmethod
  def close(self) -> None:
    """Let go of the file or camera and end the thread that reads ahead; may be called again."""

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_) -> None:
    self.close()
