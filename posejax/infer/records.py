"""Results as files: COCO's results form, and CSV. Written as they come, whole or not there."""

import csv
import json
import os
from typing import Any

from posejax import files
from posejax.infer.results import Result, to_coco
from posejax.labels import LabelSpace


def image_id(name: str) -> int | str:
  """Return what a picture is called in results: its number where its name is one, as COCO's are."""
  stem = os.path.splitext(os.path.basename(name))[0]
  return int(stem) if stem.isascii() and stem.isdigit() else os.path.basename(name)


class _File:
  """A text file that takes its target's place when it is closed, and leaves nothing behind before."""

  def __init__(self, path: str):
    self._replacement = files.Replacement(path)
    path = self._replacement.temporary
    self._file = self._guarded(lambda: open(path, 'w', newline=''))  # noqa: SIM115

  def _guarded(self, action) -> Any:
    try:
      return action()
    except OSError as error:
      self.abandon()
      raise files.explain(self._replacement.path, error) from error

  def _text(self, text: str) -> None:
    self._guarded(lambda: self._file.write(text))

  def close(self) -> None:
    """Put the file where it belongs."""
    self._guarded(self._file.close)
    self._guarded(self._replacement.commit)

  def abandon(self) -> None:
    """Remove what was written."""
    if file := getattr(self, '_file', None):
      file.close()
    self._replacement.discard()


class CocoResults(_File):
  """A JSON list of results in COCO's form, one entry an instance, as `COCO.loadRes` reads it."""

  def __init__(self, path: str, labels: LabelSpace):
    super().__init__(path)
    self._category_ids = labels.category_ids
    self._count = 0
    self._text('[')

  def write(self, result: Result, of: Any, time: float | None = None) -> None:
    """Append a picture's instances.

    Args:
      result: of the picture.
      of: the picture's `image_id`; of a film the frame's number.
      time: of a film's frame, in seconds.
    """
    for entry in to_coco(result, of, self._category_ids):
      if time is not None:
        entry['time'] = round(time, 6)
      self._text(('\n ' if self._count == 0 else ',\n ') + json.dumps(entry, allow_nan=False))
      self._count += 1

  def close(self) -> None:
    """End the list and put the file where it belongs."""
    self._text('\n]\n')
    super().close()


class Csv(_File):
  """A table with a row for every keypoint, or for every instance where there are none."""

  def __init__(self, path: str, labels: LabelSpace):
    super().__init__(path)
    self._labels = labels
    self._rows = csv.writer(self._file)
    head = ['image', 'time', 'instance', 'track_id', 'label', 'score', 'x1', 'y1', 'x2', 'y2']
    self._row([*head, *(['keypoint', 'x', 'y', 'keypoint_score'] if labels.skeleton else [])])

  def _row(self, values: list) -> None:
    self._guarded(lambda: self._rows.writerow(values))

  def write(self, result: Result, of: Any, time: float | None = None) -> None:
    """Append a picture's instances; see `CocoResults.write`."""
    for number, one in enumerate(result.instances):
      row = [of, '' if time is None else round(time, 6), number]
      row += ['' if one.track_id is None else one.track_id]
      row += [self._labels.class_names[one.label], round(one.score, 4)]
      row += [round(float(v), 2) for v in one.box]
      if one.keypoints is None:
        self._row(row)
        continue
      points = zip(self._labels.keypoints, one.keypoints, one.keypoint_scores, strict=True)
      for name, (x, y), score in points:
        self._row([*row, name, round(float(x), 2), round(float(y), 2), round(float(score), 4)])
