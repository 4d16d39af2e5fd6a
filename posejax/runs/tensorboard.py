"""TensorBoard events. All of clu is here."""

from collections.abc import Callable, Iterator
import glob
import os
import struct

# isort: split
# First, so that clu meets a TensorFlow that was set up.
from posejax.host_tensorflow import tf

# isort: split
from clu import metric_writers

from posejax import files


def open_writer(folder: str, is_logged: Callable[[int, str], bool]) -> metric_writers.SummaryWriter:
  """Return a writer to a folder, from which the events that are not `is_logged(step, tag)` go first."""
  for path in glob.glob(os.path.join(glob.escape(folder), 'events.out.tfevents.*')):
    _drop_events(path, is_logged)
  return metric_writers.SummaryWriter(folder)


def _records(path: str) -> Iterator[tuple[bytes, bytes]]:
  """Yield `(framed bytes, payload)` of a TFRecord file up to where a kill cut it off.

  A record is: length (uint64), its checksum (4 bytes), the payload, the payload's checksum (4).
  Source: tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
  """
  with open(path, 'rb') as file:
    content = file.read()
  at = 0
  while at + 12 <= len(content):
    (length,) = struct.unpack_from('<Q', content, at)
    end = at + 12 + length + 4
    if end > len(content):
      return
    yield content[at:end], content[at + 12 : end - 4]
    at = end


def _drop_events(path: str, is_logged: Callable[[int, str], bool]) -> None:
  kept, dropped = [], 0
  for framed, payload in _records(path):
    event = tf.compat.v1.Event.FromString(payload)
    # Each value has an event of its own; one without any tells the file's version.
    if all(is_logged(event.step, value.tag) for value in event.summary.value):
      kept.append(framed)
    else:
      dropped += 1
  whole = b''.join(kept)
  if dropped or len(whole) != os.path.getsize(path):
    files.replace(path, whole)
