"""`posejax predict`: pictures, films and cameras through a net, into a folder."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import itertools
import logging
import os
import time
from typing import Any

import numpy as np
from tqdm import tqdm

from posejax.errors import PosejaxError
from posejax.infer import overlay, records
from posejax.infer.box_files import BoxFile
from posejax.infer.frames.frame import Frame, Reader
from posejax.infer.frames.inputs import Input, open_input
from posejax.infer.frames.writers.film import FilmWriter
from posejax.infer.frames.writers.gif import GifWriter
from posejax.infer.frames.writers.picture import write_picture
from posejax.infer.predictor import MIN_SCORE, Predictor
from posejax.infer.results import Result
from posejax.infer.tracking.follow import Follower
from posejax.infer.tracking.one_euro import Smoothing
from posejax.infer.tracking.tracker import Tracker

_LOG = logging.getLogger(__name__)
_DETECT_EVERY = 5  # frames of a film
_GIF_SECONDS = 0.5  # that a picture of a folder is shown for


@dataclasses.dataclass(frozen=True)
class Options:
  """What is written, and how people are found.

  Attributes:
    out: folder to write to.
    boxes: where to look on pictures; None leaves it to the predictor's detector, and without one looks
      at whole pictures. A film's next box is where the last pose was.
    track: whether people keep ids from frame to frame, and their points are smoothed.
    smooth: whether they are smoothed.
    csv, gif, heatmaps: what is written beside overlays and JSON.
    overlays: whether pictures and films are drawn.
    max_frames: of each film or camera; all where None.
  """

  out: str
  boxes: BoxFile | None = None
  track: bool = True
  smooth: bool = True
  csv: bool = False
  gif: bool = False
  heatmaps: bool = False
  overlays: bool = True
  max_frames: int | None = None


@dataclasses.dataclass
class Summary:
  """What came of it.

  Attributes:
    frames: pictures and frames that went through the net.
    people: instances on them.
    seconds: that it took.
    faults: a sentence for everything that was left out.
    written: paths.
    interrupted: whether Ctrl-C ended it; what was done until then is written.
  """

  frames: int = 0
  people: int = 0
  seconds: float = 0.0
  faults: list[str] = dataclasses.field(default_factory=list)
  written: list[str] = dataclasses.field(default_factory=list)
  interrupted: bool = False


def annotate(inputs: list[Input], predictor: Predictor, options: Options) -> Summary:
  """Write what a net finds on every input; a broken one is told of, and the rest goes on.

  Pictures give `<name>.jpg` each and one `predictions.json` together; a film gives `<name>.mp4` and
  `<name>.json`. What would be called as another file is, gets a number.

  Pictures are turned upright. Where boxes lie on their pixels as these lie, so do the results.

  Raises:
    PosejaxError: the folder cannot be written to, or inputs lie in it, which would be overwritten; or
      there are boxes and films, or boxes of none of the pictures.
  """
  _check(inputs, predictor, options)
  try:
    os.makedirs(options.out, exist_ok=True)
  except OSError as error:
    raise PosejaxError(f'{options.out}: cannot be made: {error.strerror}.') from error
  summary, names, began = Summary(), _Names(), time.monotonic()
  upright = options.boxes is None or options.boxes.upright
  for source in inputs:
    try:
      with contextlib.closing(open_input(source, upright)) as reader:
        try:
          _one(reader, source, predictor, options, summary, names)
        finally:
          summary.faults += reader.faults
    except PosejaxError as error:
      summary.faults.append(str(error))
    except KeyboardInterrupt:
      summary.interrupted = True
      break
  summary.seconds = time.monotonic() - began
  return summary


def _check(inputs: list[Input], predictor: Predictor, options: Options) -> None:
  if options.boxes is not None and predictor.task.finds_all:
    raise PosejaxError(
      f'{predictor.name} finds everything on a picture by itself; leave --boxes={options.boxes.path} out.'
    )
  if options.heatmaps and predictor.task.codec is None:
    raise PosejaxError(f'{predictor.name} has no heatmaps to show; leave --heatmaps out.')
  for source in inputs:
    if options.boxes is not None and source.kind != 'pictures':
      raise PosejaxError(
        f'{source.name}: boxes of {options.boxes.path} are of pictures; of a film or camera the next box '
        'is where the last pose was. Predict it by a command of its own, without --boxes.'
      )
    for path in source.paths:
      if os.path.realpath(os.path.dirname(path) or '.') == os.path.realpath(options.out):
        raise PosejaxError(
          f'{path} lies in the folder to write to, where it could be overwritten; name another --out.'
        )
  if options.boxes is not None:
    _check_names([path for source in inputs for path in source.paths], options.boxes)


def _check_names(paths: list[str], boxes: BoxFile) -> None:
  without = [path for path in paths if boxes.image_id(path) not in boxes.boxes]
  if len(without) == len(paths):
    raise PosejaxError(
      f'{boxes.path}: none of its {len(boxes)} boxes is on one of the {len(paths)} pictures; {paths[0]} '
      f'is looked for as {boxes.image_id(paths[0])!r}. Do the file and the pictures belong together?'
    )
  if without:
    _LOG.warning('%s: no boxes for %d of %d pictures.', boxes.path, len(without), len(paths))


class _Names:
  """Names of files to write, each once: two inputs may be called alike in different folders."""

  def __init__(self):
    self._taken: set[str] = set()

  def __call__(self, name: str) -> str:
    stem = os.path.splitext(os.path.basename(name.rstrip(os.sep)))[0].replace(':', '-') or 'input'
    free, number = stem, 2
    while free in self._taken:
      free, number = f'{stem}-{number}', number + 1
    self._taken.add(free)
    return free


def _one(
  reader: Reader, source: Input, predictor, options: Options, summary: Summary, names
) -> None:
  find = _finder(reader, predictor, options, summary)
  base = names(source.name) if reader.is_film else names('predictions')
  with contextlib.ExitStack() as stack:
    outputs = _Outputs(stack, reader, base, predictor, options, summary)
    for frame in _shown(reader, options.max_frames):
      try:
        found = find(frame)
      except PosejaxError as error:  # of its boxes
        if reader.is_film:
          raise
        summary.faults.append(f'{frame.name}: {error}')
        continue
      summary.frames += 1
      summary.people += len(found.instances)
      outputs.take(frame, found, names)


def _finder(
  reader: Reader, predictor: Predictor, options: Options, summary: Summary
) -> Callable[[Frame], Result]:
  if not (reader.is_film and options.track and predictor.labels.skeleton):

    def on_its_own(frame: Frame) -> Result:
      boxes = scores = None
      if options.boxes is not None:  # of pictures only, see _check
        boxes, scores, faults = options.boxes.on(frame.name, frame.image.shape[:2])
        summary.faults += faults
      return predictor(frame.image, boxes, scores)

    return on_its_own

  def pose(image: np.ndarray, boxes: np.ndarray | None):
    return predictor(image, boxes).instances

  smoothing = Smoothing() if options.smooth else None
  # Heatmaps' maxima are no probabilities: 0.3 is sure. Who is found on a picture is there on a film.
  finds_all = predictor.task.finds_all
  sure = predictor.min_score if finds_all else MIN_SCORE
  tracker = Tracker(predictor.labels.skeleton, high_score=sure, new_score=sure, smoothing=smoothing)
  if finds_all:

    def tracked(frame: Frame) -> Result:
      image_hw = frame.image.shape[:2]
      people = tracker.update(predictor(frame.image).instances, frame.time, image_hw)
      return Result(image_hw, tuple(one for one in people if one.track_id is not None))

    return tracked
  if predictor.detector:
    predictor.warm_up()  # a pause in a film is a pause in a camera's
  follower = Follower(pose, predictor.detector, tracker, every=_DETECT_EVERY)

  def followed(frame: Frame) -> Result:
    return Result(frame.image.shape[:2], follower(frame.image, frame.time))

  return followed


def _shown(reader: Reader, most: int | None) -> Iterator[Frame]:
  """Yield frames under a progress bar: frames/s and time left."""
  most = most if reader.is_film else None
  total = reader.num_frames if most is None else min(most, reader.num_frames or most)
  with tqdm(total=total, desc=reader.name, unit='frame', dynamic_ncols=True) as bar:
    for frame in itertools.islice(reader, most):
      yield frame
      bar.update()


class _Outputs:
  """The files of one input, closed when its stack is left and removed where that is by an error."""

  def __init__(self, stack, reader: Reader, base: str, predictor, options: Options, summary):
    self._options, self._predictor, self._summary = options, predictor, summary
    self._film = reader.is_film
    self._ids: dict[Any, str] = {}
    path = os.path.join(options.out, base)
    self._records = [self._open(stack, records.CocoResults, f'{path}.json', predictor.labels)]
    if options.csv:
      self._records.append(self._open(stack, records.Csv, f'{path}.csv', predictor.labels))
    self._writers = []
    if self._film and options.overlays:
      self._writers.append(self._open(stack, FilmWriter, f'{path}.mp4'))
    if options.gif:
      self._writers.append(self._open(stack, GifWriter, f'{path}.gif'))

  def _open(self, stack: contextlib.ExitStack, kind: Callable, path: str, *arguments) -> Any:
    made = kind(path, *arguments)

    def leave(exception_type, exception, traceback):
      # Ctrl-C ends a camera: what it has seen is kept.
      if exception_type is None or issubclass(exception_type, KeyboardInterrupt):
        made.close()
        if os.path.exists(path):  # a film without frames is no file
          self._summary.written.append(path)
      else:
        made.abandon()

    stack.push(leave)
    return made

  def take(self, frame: Frame, found: Result, names: _Names) -> None:
    """Write what was found on a picture or frame."""
    options = self._options
    of = frame.index if self._film else self._image_id(frame.name)
    for file in self._records:
      file.write(found, of, frame.time if self._film else None)
    if not (options.overlays or options.gif):
      return
    heat = self._predictor.heat(frame.image, found) if options.heatmaps else None
    drawn = overlay.draw_result(frame.image, found, self._predictor.labels, heat=heat)
    for writer in self._writers:
      writer.write(drawn, frame.time if self._film else frame.index * _GIF_SECONDS)
    if not self._film and options.overlays:
      path = os.path.join(options.out, f'{names(frame.name)}.jpg')
      write_picture(path, drawn)
      self._summary.written.append(path)

  def _image_id(self, name: str) -> Any:
    boxes = self._options.boxes
    number = records.image_id(name) if boxes is None else boxes.image_id(name)
    # Of two pictures that are called alike in different folders, the second is called by its path.
    return number if self._ids.setdefault(number, name) == name else name
