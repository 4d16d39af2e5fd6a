"""Several drawn people and things in one larger picture, with their boxes: for detection."""

import numpy as np

from posejax import skeletons
from posejax.data.synthetic import background, occluders, render, things
from posejax.data.synthetic.outline import NUM_VERTICES
from posejax.data.synthetic.people import SPLITS, Stream, check_split
from posejax.errors import PosejaxError
from posejax.labels import LabelSpace
from posejax.types import Picture

VERSION = 2
"""Version of the drawing. Any change to what is drawn or labelled needs a new one."""
MAX_PEOPLE, MAX_THINGS = 6, 4
_EMPTY = 0.05  # of the scenes have no people
_FEWEST_SEEN = 3  # keypoints of somebody who can be told
_OCCLUDED = 0.4
_STEP_OUT = 0.2  # of a person's width may lie beyond the left edge (0.4 beyond the right)


class SyntheticScenes:
  """Random access to drawn scenes of up to `MAX_PEOPLE` people and `MAX_THINGS` things.

  `source[i]` is a Picture of `posejax.types` with everybody on it, boxes clipped to the picture, from
  the farthest person to the nearest and then things likewise; some show nobody, or nothing at all. Like
  `people.SyntheticPeople`, a pure function of (version, split, seed, i). Who or what is hidden but for a
  remnant is marked as a crowd is: nobody can be asked to find it.

  Attributes:
    label_space: people with COCO's 17 keypoints, which things lack, and `things.KINDS`.
    keypoint_classes: people.
    name: 'synthetic_scenes'.
    max_boxes: the most on a picture, none of them empty.
    fingerprint: changes whenever the pictures or labels do.
  """

  label_space = LabelSpace(('person', *things.KINDS), skeletons.COCO)
  keypoint_classes = ('person',)
  name = 'synthetic_scenes'
  max_boxes = MAX_PEOPLE + MAX_THINGS

  def __init__(
    self,
    split: str = 'train',
    seed: int = 0,
    num_examples: int | None = None,
    shape: tuple[int, int] = (192, 256),
  ):
    self._len = check_split(split, num_examples)
    if not all(32 <= side <= background.MAX_SIDE for side in shape):
      raise PosejaxError(
        f'shape={shape} must be (h, w) with sides of 32 to {background.MAX_SIDE} pixels.'
      )
    self.split, self.seed = split, int(seed) if split == 'train' else 0
    self.shape = shape
    self._stream = Stream(VERSION, SPLITS[split], self.seed, 1)
    self.fingerprint = f'{self.name}-v{VERSION}-{split}-seed{self.seed}-{shape[0]}x{shape[1]}'

  def __len__(self) -> int:
    return self._len

  def __getitem__(self, index: int) -> Picture:
    rng, layers, labels, look = self._compose(index)
    image = background.draw(look['draws'], self.shape, look['horizon'])
    background.clutter(rng, image, look['horizon'])
    for shadow in look['shadows']:
      background.shadow(image, *shadow)
    render.paint(image, layers)
    return {'image': background.light(rng, image), **labels}

  def labels(self, index: int) -> Picture:
    """Return the picture without its image, which is not painted."""
    return self._compose(index)[2]

  def layers(self, index: int) -> render.Layers:
    """Return what is painted for picture `index`; people are numbered as in the labels."""
    return self._compose(index)[1]

  def _compose(self, index: int):
    if not 0 <= index < self._len:
      raise IndexError(f'{self.fingerprint} has {self._len} scenes, asked for number {index}.')
    rng = self._stream.rng(int(index))
    h, w = self.shape
    u = rng.random(8)
    horizon = 0.25 + 0.4 * u[0]
    count = 0 if u[1] < _EMPTY else 1 + int((u[1] - _EMPTY) / (1 - _EMPTY) * MAX_PEOPLE)
    crowd = render.people(rng.random((count, render.NUM_DRAWS)))
    sun = render.sun(u[2], u[3])

    size = crowd.box[:, 2:] - crowd.box[:, :2]
    spots = rng.random((count, 3))
    # Nearer people are larger and stand lower; the farthest is drawn first.
    near = np.sort(spots[:, 0])
    scale = h * (0.2 + 0.22 * near + 0.05 * spots[:, 1])
    scale *= np.minimum(1, 0.9 * np.array([w, h]) / (size * scale[:, None])).min(1)
    extent = size * scale[:, None]
    foot = h * (horizon + 0.12 + (0.98 - horizon) * near)
    left = spots[:, 2] * (w - 0.6 * extent[:, 0]) - _STEP_OUT * extent[:, 0]
    offset = np.stack([left, foot - extent[:, 1]], -1) - crowd.box[:, :2] * scale[:, None]
    placed = np.tile(offset, 2) + crowd.box * scale[:, None]

    stacked = [render.person_layers(crowd, k, scale[k], offset[k], sun) for k in range(count)]
    kinds, near_things, outlines, thing_boxes = self._things(rng, horizon)
    stacked += [things.owned(one, count + j) for j, one in enumerate(outlines)]
    order = np.argsort(np.concatenate([near, near_things]), kind='stable')
    stacked = [stacked[i] for i in order]
    if u[4] < _OCCLUDED and count:
      target = placed[int(u[5] * count)]
      stacked.append(render.thing_layers(*occluders.sample(rng, target, self.shape)))
    # An outline beyond the picture where there is nothing at all.
    nothing = render.thing_layers(np.full((1, NUM_VERTICES, 2), -9.0), np.zeros((1, 3)))
    layers = render.stack(stacked or [nothing])

    keypoints = crowd.keypoints * scale[:, None, None] + offset[:, None]
    seen = [
      render.visibility(keypoints[k], crowd.own[k], k, layers, self.shape) for k in range(count)
    ]
    hidden = [(one == 2).sum() < _FEWEST_SEEN for one in seen]
    hidden += [not things.is_seen(box, count + j, layers) for j, box in enumerate(thing_boxes)]
    K, corners = self.label_space.skeleton.num_keypoints, (w - 1, h - 1, w - 1, h - 1)
    boxes = np.clip(np.concatenate([placed, thing_boxes]), 0, corners).astype(np.float32)
    labels = {
      'boxes': boxes,
      'labels': np.array([0] * count + [1 + kind for kind in kinds], np.int32),
      'crowd': np.array(hidden, bool),
      'keypoints': np.concatenate([keypoints, np.zeros((len(kinds), K, 2))]).astype(np.float32),
      'visibility': np.reshape([*seen, *np.zeros((len(kinds), K), int)], (-1, K)).astype(np.int32),
    }
    look = {
      'draws': rng.random(background.NUM_DRAWS),
      'horizon': horizon,
      'shadows': [render.shadow_under(box, sun, u[6]) for box in [*placed, *thing_boxes]],
    }
    return rng, layers, labels, look

  def _things(self, rng: np.random.Generator, horizon: float):
    """Return `(kinds, how near each is [n], layers, boxes [n, 4])`, the farthest first."""
    h, w = self.shape
    number = int(rng.random() * (MAX_THINGS + 1))
    draws = rng.random((number, things.NUM_DRAWS + 3))
    near = np.sort(draws[:, 0])
    made = []
    for (_, x, size, *u), depth in zip(draws, near, strict=True):
      foot = np.array([x * w, h * (horizon + 0.1 + (0.96 - horizon) * depth)])
      made.append(things.sample(np.array(u), foot, h * (0.07 + 0.1 * depth + 0.08 * size)))
    kinds, outlines, boxes = zip(*made, strict=True) if made else ((), (), ())
    return kinds, near, outlines, np.reshape(boxes, (-1, 4))
