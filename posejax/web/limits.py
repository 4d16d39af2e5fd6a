"""How much of everything clients may ask for."""

import dataclasses

from posejax.errors import PosejaxError


@dataclasses.dataclass(frozen=True)
class Limits:
  """Bounds that keep a server up, whatever is sent to it. All must be positive.

  Attributes:
    request_bytes: of a request's body.
    picture_pixels: of one picture, by the size its header declares.
    pictures: in one request.
    instances: named for one picture, the surest first.
    requests: with a body answered at the same time, each in a thread of its own, and as many without;
      more are sent away. What of them is received at the same time has their bytes together.
    batch: pictures given to the net together.
    batch_milliseconds: that a picture waits for others which are just being decoded.
    waiting: pictures that wait for the net; more are sent away.
    waiting_pixels: of all pictures that wait for the net or are in it, and of all that are being decoded.
    receive_seconds: that a client may take to send its request.
    answer_seconds: that the net may take until a request is given up.
    drain_seconds: between being told to stop and stopping.
  """

  request_bytes: int = 24 * 2**20
  picture_pixels: int = 50_000_000
  pictures: int = 16
  instances: int = 100
  requests: int = 32
  batch: int = 8
  batch_milliseconds: float = 4.0
  waiting: int = 64
  waiting_pixels: int = 200_000_000
  receive_seconds: float = 30.0
  answer_seconds: float = 30.0
  drain_seconds: float = 10.0

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not value > 0:
        raise PosejaxError(f'The limit {field.name} must be positive, got {value}.')
