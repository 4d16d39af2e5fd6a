"""Films drawn for tests with PyAV alone, so that readers are not tested by our own writers."""

from fractions import Fraction

import av
import numpy as np

PATCHES = [(220, 40, 30), (30, 200, 60), (20, 40, 230), (240, 240, 240)]
"""Colours of the upper left, upper right, lower left and lower right quarter."""
HW = (64, 96)


def patches(index=0, hw=HW):
  """Return four coloured quarters and a grey bar that moves to the right with `index`."""
  h, w = hw
  image = np.zeros((h, w, 3), np.uint8)
  for k, color in enumerate(PATCHES):
    rows = slice(0, h // 2) if k < 2 else slice(h // 2, h)
    columns = slice(0, w // 2) if k % 2 == 0 else slice(w // 2, w)
    image[rows, columns] = color
  middle = slice(h // 2 - 4, h // 2 + 4)
  image[middle, : 1 + index % w] = 128
  return image


def film(
  path, times, codec='libx264', image_fn=patches, options=None, prepare=None, container_options=None
):
  """Write a film whose frames are `image_fn(i)` shown at `times[i]` seconds.

  `prepare(stream)` may set what else a stream has.
  """
  with av.open(str(path), 'w', container_options=container_options or {}) as container:
    stream = container.add_stream(codec, rate=25, options=options or {})
    first = image_fn(0)
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = 'yuv420p'
    stream.codec_context.time_base = Fraction(1, 1000)
    if prepare:
      prepare(stream)
    for i, time in enumerate(times):
      frame = av.VideoFrame.from_ndarray(image_fn(i))
      frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return str(path)


def sound(path, seconds=0.2):
  """Write a file with a tone and no pictures."""
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('aac', rate=16000)
    stream.layout = 'mono'
    tone = np.sin(np.arange(int(seconds * 16000)) / 10).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(tone, format='fltp', layout='mono')
    frame.sample_rate, frame.pts = 16000, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return str(path)


def packets(path):
  """Return (position, size) of a film's video packets in its file."""
  with av.open(str(path)) as container:
    return [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
