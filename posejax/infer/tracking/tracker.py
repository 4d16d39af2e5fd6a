"""Give people ids that stay the same from frame to frame, however the net orders them."""

from collections.abc import Sequence
import math

import numpy as np

from posejax.errors import PosejaxError
from posejax.geometry import boxes as box_geometry
from posejax.infer.results import Instance
from posejax.infer.tracking import associate
from posejax.infer.tracking.one_euro import Smoothing
from posejax.infer.tracking.track import Sighting, Track, sighting, sightings, tracks_at
from posejax.skeletons import Skeleton

_NEAR = 0.5  # sizes: as far from where one is expected the second chance reaches at once
_NEAR_PER_SECOND = 1.0  # sizes a second: and so much farther with time, about a walk


class Tracker:
  """Follows people through one film or camera; `update` once a frame.

  Two stages pair tracks with instances, as in ByteTrack: sure instances first, with everybody who was
  seen or is lost; then unsure ones, with who was seen in the last frame. Alike are those whose boxes
  overlap and whose poses agree, in the place where a Kalman filter expects them. Who is left over gets
  a second chance by place and size. Ids are integers from 1 in the order of appearance, never used
  twice, and no positions in a list. A person gets one with the second sighting (in a film's first
  frame at once), so that a single false alarm has none.

  Example:
    tracker = Tracker(labels.skeleton)
    for image, time in film:
      result = predictor(image)
      instances = tracker.update(result.instances, time, image.shape[:2])

  Attributes:
    skeleton: of the instances' keypoints; None where they have none.
    lost_anyone: whether a person with an id, seen in the update before, was not found in the last one.

  Source: of stages and scores, Zhang et al., "ByteTrack", ECCV 2022 (ifzhang/ByteTrack
  yolox/tracker/byte_tracker.py).
  """

  def __init__(
    self,
    skeleton: Skeleton | None,
    *,
    high_score: float = 0.5,
    low_score: float = 0.1,
    new_score: float = 0.6,
    min_similarity: float = 0.2,
    min_similarity_low: float = 0.5,
    lost_seconds: float = 2.0,
    same_similarity: float = 0.7,
    merge_seconds: float = 0.5,
    min_keypoints: int = 3,
    smoothing: Smoothing | None = Smoothing(),  # noqa: B008, it is frozen
  ):
    """Start without anybody.

    Args:
      skeleton: of the keypoints that `update` gets; None where instances have boxes only.
      high_score: instances scored so or higher are paired first.
      low_score: those below are nobody.
      new_score: from here on an unknown instance is a new person. The defaults of scores are made for
        a calibrated detector's; heatmaps' maxima are often lower.
      min_similarity: the least at which a sure instance is taken for a track, in [0, 1].
      min_similarity_low: the same for an unsure instance.
      lost_seconds: for so long somebody unseen keeps the id. ByteTrack's is 1 (30 frames).
      same_similarity: two figures with at least this OKS may be one person (without keypoints, IoU).
      merge_seconds: two tracks that are so alike for so long become one, with the older id.
      min_keypoints: an instance with fewer visible keypoints is nobody.
      smoothing: of keypoints and boxes; None leaves them as the net gave them.
    """
    self.skeleton = skeleton
    self.lost_anyone = False
    self._high_score, self._low_score, self._new_score = high_score, low_score, new_score
    self._min_similarity, self._min_similarity_low = min_similarity, min_similarity_low
    self._lost_seconds = lost_seconds
    self._same_similarity, self._merge_seconds = same_similarity, merge_seconds
    self._min_keypoints = min_keypoints
    self._smoothing = smoothing
    self._sigmas = skeleton.sigmas if skeleton else ()
    self._next_id = 1
    self._forget()

  def reset(self) -> None:
    """Forget everybody, for another film: time may start anew. Ids go on and are not used again."""
    self._forget()

  def _forget(self) -> None:
    self._tracks: list[Track] = []
    self._time: float | None = None
    self._image_hw: tuple[int, int] | None = None
    self._alike_since: dict[tuple[int, int], float] = {}  # by the ids of two tracks
    self.lost_anyone = False

  @property
  def needs_detection(self) -> bool:
    """Whether predicted boxes don't do for the next frame: somebody got lost, or nobody is there."""
    return self.lost_anyone or not any(t.found for t in self._tracks)

  def update(
    self, instances: Sequence[Instance], time: float, image_hw: tuple[int, int]
  ) -> tuple[Instance, ...]:
    """Return the instances of the next frame with ids and, where that is on, smoothed.

    Args:
      instances: all that was found in the frame, in any order.
      time: of the frame in seconds; at the same time as the frame before, nobody moves.
      image_hw: (h, w) of the frame.

    Returns:
      The instances in their order. `track_id` is None for those who are nobody yet; they are not
      smoothed. Keypoints that are not visible are not smoothed, and their past is forgotten.

    Raises:
      PosejaxError: the time is not finite or lies before the frame before's; or instances have
        another number of keypoints than the skeleton.
    """
    self._check(instances, time)
    is_first = self._time is None
    self._time, self._image_hw = time, (int(image_hw[0]), int(image_hw[1]))
    # In an order of their own, so that ids don't depend on the list's.
    numbered = sorted(enumerate(instances), key=lambda pair: _order(pair[1]))
    found = {n: sighting(one, self._min_keypoints) for n, one in numbered}
    sure = [n for n, s in found.items() if s and s.instance.score >= self._high_score]
    unsure = [
      n for n, s in found.items() if s and self._low_score <= s.instance.score < self._high_score
    ]
    before = [t for t in self._tracks if t.found and t.id is not None]
    owner = self._pair(found, sure, unsure, time)
    for track in self._tracks:
      if track not in owner.values():
        track.miss()
    self.lost_anyone = any(not t.found for t in before)
    self._tracks = [
      t
      for t in self._tracks
      if t.found or (t.id is not None and time - t.kalman.time <= self._lost_seconds)
    ]
    self._start(found, sure, unsure, owner, time)
    self._merge(time)
    for track in self._tracks:
      if track.id is None and (is_first or track.count >= 2):
        track.id = self._next_id
        self._next_id += 1
    smoothed = {n: t.smooth() for n, t in owner.items() if t in self._tracks}
    return tuple(smoothed.get(n, one) for n, one in enumerate(instances))

  def predicted_boxes(self, time: float) -> tuple[np.ndarray, tuple[int | None, ...]]:
    """Return where to look for everybody who was found in the last frame.

    A box holds the latest pose, moved on and padded to 1.25 times its extent, and the box that the
    Kalman filter expects. People whose box lies outside the picture are left out: they have left.

    Args:
      time: of the next frame, not before the last.

    Returns:
      boxes: float32 `[N, 4]`, xyxy; parts of them may lie outside the picture.
      ids: N; None for who has none yet.
    """
    if self._time is not None and not time >= self._time:
      raise PosejaxError(_backwards(time, self._time))
    tracks = [t for t in self._tracks if t.found]
    found = np.array([t.box_at(time) for t in tracks], np.float32).reshape(-1, 4)
    if self._image_hw is None:
      return found, ()
    inside = box_geometry.area(box_geometry.clip(found, self._image_hw)) > 0
    return found[inside], tuple(t.id for t, kept in zip(tracks, inside, strict=True) if kept)

  def _check(self, instances: Sequence[Instance], time: float) -> None:
    if not math.isfinite(time):
      raise PosejaxError(f'The time of a frame must be a finite number of seconds, got {time}.')
    if self._time is not None and time < self._time:
      raise PosejaxError(_backwards(time, self._time))
    K = self.skeleton.num_keypoints if self.skeleton else 0
    for one in instances:
      if one.keypoints is not None and np.shape(one.keypoints) != (K, 2):
        kind = f'skeleton {self.skeleton.name!r}' if self.skeleton else 'no skeleton'
        raise PosejaxError(
          f'An instance has keypoints {np.shape(one.keypoints)}, and the tracker was made for {kind} '
          f"({K} keypoints); give Tracker the skeleton of the net's label space."
        )

  def _pair(
    self, found: dict[int, Sighting], sure: list[int], unsure: list[int], time: float
  ) -> dict[int, Track]:
    """Let tracks see their instances; return each such instance's track."""
    owner: dict[int, Track] = {}

    def pair(tracks, numbers, measure, threshold):
      tracks = [t for t in tracks if t not in owner.values()]
      numbers = [n for n in numbers if n not in owner]
      if not tracks or not numbers:
        return
      alike = measure(tracks, self._figures([found[n] for n in numbers]))
      for i, j in associate.assign(alike, threshold):
        owner[numbers[j]] = tracks[i]

    def similarity(tracks, figures):
      return associate.similarity(self._expected(tracks, time), figures, self._sigmas)

    def nearness(tracks, figures):
      # Somebody hidden goes on; somebody who has left comes back where last seen.
      reach = np.array([_NEAR + _NEAR_PER_SECOND * (time - t.kalman.time) for t in tracks])
      places = self._expected(tracks, time), self._figures([t.last for t in tracks])
      return np.maximum(*(associate.nearness(place, figures, reach) for place in places))

    known = [t for t in self._tracks if t.id is not None]
    pair(known, sure, similarity, self._min_similarity)
    pair([t for t in known if t.found], unsure, similarity, self._min_similarity_low)
    pair(known, sure, nearness, 1e-9)
    pair([t for t in self._tracks if t.id is None], sure, similarity, self._min_similarity)
    self._release(owner, found, time)
    for number, track in owner.items():
      track.see(found[number], time)
    return owner

  def _release(self, owner: dict[int, Track], found: dict[int, Sighting], time: float) -> None:
    """Take one of two equal instances from its track where the tracks are not on one person.

    A net that looks into the box of somebody hidden finds who stands in front, twice. The track that
    expected that pose less has lost its person.
    """
    if len(owner) < 2:
      return
    numbers, tracks = list(owner), list(owner.values())
    figures, expected = self._figures([found[n] for n in numbers]), self._expected(tracks, time)
    same = associate.sameness(figures, figures, self._sigmas) >= self._same_similarity
    same &= associate.sameness(expected, expected, self._sigmas) < self._same_similarity
    fit = np.diagonal(associate.similarity(expected, figures, self._sigmas))
    for i, j in zip(*np.nonzero(np.triu(same, 1)), strict=True):
      owner.pop(numbers[i if fit[i] < fit[j] else j], None)

  def _start(
    self,
    found: dict[int, Sighting],
    sure: list[int],
    unsure: list[int],
    owner: dict[int, Track],
    time: float,
  ) -> None:
    """Start a track for every sure instance that is nobody known, nor somebody known found twice."""
    for n in (*sure, *unsure):
      if n in owner or found[n].instance.score < self._new_score:
        continue
      others = self._figures([found[m] for m in owner])
      same = associate.sameness(self._figures([found[n]]), others, self._sigmas)
      if (same < self._same_similarity).all():
        owner[n] = Track(found[n], time, self._smoothing)
        self._tracks.append(owner[n])

  def _merge(self, time: float) -> None:
    """Drop the younger of two tracks that have been on one person for a while; one without id at once."""
    tracks = sorted((t for t in self._tracks if t.found), key=lambda t: t.id or math.inf)
    # Of two of whom one is not found nothing is known: their time runs on.
    found, known = {t.id for t in tracks}, {t.id for t in self._tracks}
    since = {
      ids: began
      for ids, began in self._alike_since.items()
      if known.issuperset(ids) and not found.issuperset(ids)
    }
    self._alike_since, before = since, self._alike_since
    if len(tracks) < 2:
      return
    figures = self._expected(tracks, time)
    alike = associate.sameness(figures, figures, self._sigmas) >= self._same_similarity
    gone = []
    for i, older in enumerate(tracks):
      for j in range(i + 1, len(tracks)):
        younger = tracks[j]
        if not alike[i, j] or older.id is None:
          continue
        if younger.id is None:
          gone.append(younger)
          continue
        began = since[older.id, younger.id] = before.get((older.id, younger.id), time)
        if time - began >= self._merge_seconds:
          gone.append(younger)
    self._tracks = [t for t in self._tracks if t not in gone]

  def _figures(self, seen: list[Sighting]) -> associate.Figures:
    return sightings(seen, len(self._sigmas))

  def _expected(self, tracks: list[Track], time: float) -> associate.Figures:
    return tracks_at(tracks, time, len(self._sigmas))


def _order(instance: Instance) -> tuple:
  """Return what instances are sorted by, the surest first, then from left to right."""
  values = [-instance.score, *np.ravel(instance.box), instance.label]
  points = () if instance.keypoints is None else np.ravel(instance.keypoints)
  return np.nan_to_num(np.array(values, np.float64)).tolist(), np.asarray(points).tobytes()


def _backwards(time: float, last: float) -> str:
  return (
    f"The frame's time {time} s lies before the last one's, {last} s: give frames in the order of time, "
    'or call reset() before another film.'
  )
