"""A drawn film with known people: they walk, pass each other, leave the picture and come back."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from posejax import skeletons
from posejax.data.synthetic import background, figure, outfit, outline, pose, render
from posejax.data.synthetic.people import VERSION, Stream
from posejax.errors import PosejaxError
from posejax.types import Example

_STREAM = 2  # of randomness; people have 0, scenes 1
_MIN_INSIDE = 4  # keypoints in the picture; with fewer a person counts as gone
_STRIDE = 1.35  # metres a double step, as a share of the legs' factor
_CAMERA = (figure.JOINT['camera'], figure.JOINT['pelvis'])
_KEYPOINT = outline.KEYPOINT_POINT


@dataclasses.dataclass(frozen=True)
class _Cast:
  """The people of a film: arrays start with the person, the farthest first.

  Attributes:
    factors, colours, worn, distance: as `render.people` makes them.
    scale: pixels a metre; foot: y of the ground under the person, in pixels.
    middle, reach, turns, phase: the person is at x = middle + reach sin(turns t + phase), pixels.
    habits: `[n, 6]`, uniform draws: how far and how the limbs swing.
  """

  factors: np.ndarray
  colours: np.ndarray
  worn: np.ndarray
  distance: np.ndarray
  scale: np.ndarray
  foot: np.ndarray
  middle: np.ndarray
  reach: np.ndarray
  turns: np.ndarray
  phase: np.ndarray
  habits: np.ndarray


class DrawnFilm:
  """Random access to the frames of a drawn film; `film[i]` is a pure function of the arguments.

  A frame holds `image` uint8 `[h, w, 3]` RGB, `time` in seconds, and, of everybody who is in the
  picture, from the farthest to the nearest: `ids` int64 `[N]`, from 1 and the same in all frames,
  `keypoints` float32 `[N, 17, 2]`, `visibility` int32 `[N, 17]` (0 outside the picture, 1 hidden, 2
  visible) and `boxes` float32 `[N, 4]` (xyxy, clipped to the picture).

  Everybody walks to and fro along a line of their own at one to one and a half metres a second; some
  lines are longer than the picture.

  Attributes:
    skeleton: COCO's 17 keypoints.
    times: float64 `[num_frames]`, seconds.
    shape: (h, w).
  """

  skeleton = skeletons.COCO

  def __init__(
    self,
    seed: int = 0,
    num_frames: int = 150,
    shape: tuple[int, int] = (180, 320),
    people: int = 3,
    times: np.ndarray | None = None,
  ):
    """Cast a film.

    Args:
      seed: of who is in it and how they walk.
      num_frames: its length.
      shape: (h, w) of a frame.
      people: how many take part.
      times: seconds, of each frame; 30 frames a second where None.
    """
    if not all(32 <= side <= background.MAX_SIDE for side in shape):
      raise PosejaxError(
        f'shape={shape} must be (h, w) with sides of 32 to {background.MAX_SIDE} pixels.'
      )
    if num_frames < 1 or people < 1:
      raise PosejaxError(
        f'A film needs at least one frame and one person, got num_frames={num_frames} and '
        f'people={people}.'
      )
    self.times = np.arange(num_frames) / 30 if times is None else np.asarray(times, np.float64)
    if self.times.shape != (num_frames,):
      raise PosejaxError(f'times has shape {self.times.shape}, expected ({num_frames},).')
    self.shape = (int(shape[0]), int(shape[1]))
    self._stream = Stream(VERSION, int(seed), _STREAM)
    rng = self._stream.rng(0)
    self._horizon = 0.3 + 0.2 * rng.random()
    self._sun = render.sun(*rng.random(2))
    self._cast = _cast(rng, people, self.shape)
    self._ids = 1 + rng.permutation(people)
    self._ground = None  # drawn with the first frame

  def __len__(self) -> int:
    return len(self.times)

  def __getitem__(self, index: int) -> Example:
    labels, layers, placed = self._compose(index)
    image = self._background().copy()
    for box in placed:
      background.shadow(image, *render.shadow_under(box, self._sun, 0.5))
    render.paint(image, layers)
    return {'image': background.light(self._stream.rng(2), image), **labels}

  def labels(self, index: int) -> Example:
    """Return the frame without its image, which is not painted."""
    return self._compose(index)[0]

  def _background(self) -> np.ndarray:
    if self._ground is None:
      rng = self._stream.rng(1)
      self._ground = background.draw(rng.random(background.NUM_DRAWS), self.shape, self._horizon)
      background.clutter(rng, self._ground, self._horizon)
    return self._ground

  def _compose(self, index: int) -> tuple[Example, render.Layers, np.ndarray]:
    time = float(self.times[index])
    cast, (h, w) = self._cast, self.shape
    crowd, offset = _at(cast, time)
    keypoints = crowd.keypoints * cast.scale[:, None, None] + offset[:, None]
    placed = np.tile(offset, 2) + crowd.box * cast.scale[:, None]
    layers = render.stack(
      [
        render.person_layers(crowd, k, cast.scale[k], offset[k], self._sun)
        for k in range(len(placed))
      ]
    )
    seen = np.stack(
      [
        render.visibility(keypoints[k], crowd.own[k], k, layers, self.shape)
        for k in range(len(placed))
      ]
    )
    inside = (seen > 0).sum(axis=1) >= _MIN_INSIDE
    labels = {
      'time': time,
      'ids': self._ids[inside],
      'keypoints': keypoints[inside].astype(np.float32),
      'visibility': seen[inside],
      'boxes': np.clip(placed, 0, (w - 1, h - 1, w - 1, h - 1))[inside].astype(np.float32),
    }
    return labels, layers, placed


def _cast(rng: np.random.Generator, people: int, shape: tuple[int, int]) -> _Cast:
  h, w = shape
  u = rng.random((people, 7))
  colours, worn = outfit.dress(rng.random((people, outfit.NUM_DRAWS)))
  factors = figure.proportions(rng.random((people, figure.NUM_DRAWS)))
  # Nearer people are larger and stand lower; the farthest is drawn first.
  near = np.sort(u[:, 0])
  scale = h * (0.3 + 0.12 * near)
  metres = w / scale
  # Every second person walks beyond both edges; the others turn in the picture.
  leaves = (np.arange(people) + int(rng.random() * 2)) % 2 == 0
  reach = np.where(leaves, 0.52 + 0.1 * u[:, 1], 0.26 + 0.1 * u[:, 1]) * metres
  speed = 1.0 + 0.5 * u[:, 2]
  return _Cast(
    factors=factors,
    colours=colours,
    worn=worn,
    distance=5.0 + 4.0 * (1 - near),
    scale=scale,
    foot=h * (0.84 + 0.13 * near),
    middle=w * (0.5 + 0.1 * (u[:, 3] - 0.5)),
    reach=reach * scale,
    turns=speed / reach,
    phase=2 * np.pi * (np.arange(people) / people + 0.15 * u[:, 4]) + 2 * np.pi * rng.random(),
    habits=np.concatenate([u[:, 5:], rng.random((people, 4))], axis=1),
  )


def _at(cast: _Cast, time: float) -> tuple[render.People, np.ndarray]:
  """Return the people at a time, and where in the picture `[n, 2]` their pelvises are."""
  place = cast.turns * time + cast.phase
  angles = _walk(cast, place)
  points, frames = figure.stand_up(angles, cast.factors)
  centres, radii, depth = outline.discs(points, cast.factors, cast.distance)
  # Farther parts are a little darker: the eye reads depth from it.
  colours = cast.colours * (1 - 0.35 * np.clip(depth, 0, 0.4))[..., None]
  keypoints = figure.project(points, cast.distance)[:, _KEYPOINT]
  around = np.where(cast.worn[..., None], radii, -1e3)[
    ..., None
  ]  # what is not worn reaches nowhere
  low, high = (centres - around).min((1, 2)), (centres + around).max((1, 2))
  crowd = render.People(
    centres, radii, depth, outline.own_parts(points, frames), colours, cast.worn, keypoints,
    np.concatenate([low, high], -1), points, frames, np.zeros(len(place), int),
  )  # fmt: skip
  x = cast.middle + cast.reach * np.sin(place)
  return crowd, np.stack([x, cast.foot - high[:, 1] * cast.scale], axis=-1)


def _walk(cast: _Cast, place: np.ndarray) -> np.ndarray:
  """Return the joints' angles `[n, joints, 3]` of people who walk, for `figure.stand_up`."""
  n, u = len(place), cast.habits
  # How far somebody has walked, there and back, sets the stride; the limbs rest where they turn.
  half_turns = np.floor(place / np.pi + 0.5)
  walked = 2 * half_turns + np.sin(place - np.pi * half_turns)
  stride = 2 * np.pi * walked * cast.reach / cast.scale / (_STRIDE * cast.factors[:, 4])
  pace = np.cos(place)  # forward to the right, 1 in the middle of the line, 0 where they turn
  vigour = np.minimum(1.4 * np.abs(pace), 1)
  phases = np.stack([stride, stride + np.pi], axis=1)  # left, right leg
  swing = (np.radians(20 + 10 * u[:, 0]) * vigour)[:, None] * np.sin(phases)
  lift = (np.radians(28 + 22 * u[:, 1]) * vigour)[:, None]
  knees = np.radians(6) + lift * np.maximum(np.sin(phases + 0.35 * np.pi), 0) ** 2
  arms = (np.radians(16 + 14 * u[:, 2]) * vigour)[:, None] * -np.sin(phases)

  angles = np.zeros((n, len(pose.JOINTS), 3))
  angles[:, _CAMERA[0], 0] = np.radians(-4)  # a little from above
  angles[:, _CAMERA[0], 2] = np.radians(50 + 30 * u[:, 3]) * np.tanh(2.5 * pace)  # turned to walk
  angles[:, _CAMERA[1], 0] = np.radians(4) * vigour  # leans forward
  angles[:, 2, 2] = np.radians(7) * vigour * np.sin(stride)  # the chest turns against the hips
  angles[:, 3, 2] = np.radians(18) * np.sin(0.7 * place + 6 * u[:, 4])  # looks about
  angles[:, 4:6, 0] = arms
  angles[:, 4:6, 1] = np.radians(8)
  angles[:, 6:8, 0] = np.radians(14 + 30 * u[:, 5:6]) + 0.4 * np.maximum(arms, 0)
  angles[:, 8:10, 0] = swing
  angles[:, 8:10, 1] = np.radians(2)
  angles[:, 10:12, 0] = -knees
  angles[:, 5::2, 1:] *= -1  # abduction and twist are counted outward on both sides
  return angles


@dataclasses.dataclass(frozen=True)
class Noise:
  """How far a net is from the truth, for `imagine`.

  Attributes:
    jitter: standard deviation of a coordinate, as a share of the person's size (mean box side).
    missed: share of people who are not found.
    false: false alarms a frame, on average.
    unsure: share of people whose score is low, 0.2 to 0.5.
  """

  jitter: float = 0.02
  missed: float = 0.05
  false: float = 0.1
  unsure: float = 0.05


def imagine(
  frame: Mapping[str, np.ndarray],
  rng: np.random.Generator,
  shape: tuple[int, int],
  noise: Noise | None = None,
) -> Example:
  """Return what an imperfect net would find in a frame of a film, in random order.

  Args:
    frame: from `DrawnFilm.labels`.
    rng: draws the mistakes.
    shape: (h, w) of the frame.
    noise: how many and how large they are.

  Returns:
    `ids` int64 `[N]`, 0 for false alarms, `keypoints` float32 `[N, 17, 2]`, `keypoint_scores` float32
    `[N, 17]`, `visible` bool `[N, 17]` (false outside the picture), `boxes` float32 `[N, 4]` and
    `scores` float32 `[N]`.
  """
  noise = noise or Noise()
  h, w = shape
  found = np.flatnonzero(rng.random(len(frame['ids'])) >= noise.missed)
  boxes, keypoints = frame['boxes'][found], frame['keypoints'][found]
  sizes = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1)
  keypoints = keypoints + rng.normal(0, noise.jitter, keypoints.shape) * sizes[:, None, None]
  boxes = boxes + rng.normal(0, noise.jitter, boxes.shape) * sizes[:, None]
  scores = rng.uniform(0.6, 0.95, len(found))
  unsure = rng.random(len(found)) < noise.unsure
  scores[unsure] = rng.uniform(0.2, 0.5, unsure.sum())

  alarms = rng.poisson(noise.false)
  sides = rng.uniform(0.15, 0.6, (alarms, 2)) * h
  low = rng.uniform(0, 1, (alarms, 2)) * np.maximum((w, h) - sides, 1)
  inside = rng.uniform(0, 1, (alarms, keypoints.shape[1], 2))
  keypoints = np.concatenate([keypoints, low[:, None] + inside * sides[:, None]])
  boxes = np.concatenate([boxes, np.concatenate([low, low + sides], axis=1)])
  scores = np.concatenate([scores, rng.uniform(0.3, 0.8, alarms)])
  ids = np.concatenate([frame['ids'][found], np.zeros(alarms, np.int64)])

  visible = np.concatenate([frame['visibility'][found] > 0, np.ones(inside.shape[:2], bool)])
  order = rng.permutation(len(ids))
  return {
    'ids': ids[order],
    'keypoints': keypoints[order].astype(np.float32),
    'keypoint_scores': np.where(visible, scores[:, None], 0.05)[order].astype(np.float32),
    'visible': visible[order],
    'boxes': boxes[order].astype(np.float32),
    'scores': scores[order].astype(np.float32),
  }
