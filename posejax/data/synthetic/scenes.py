"""Several drawn people in one larger picture, with their boxes: for detection."""

import numpy as np

from posejax import labels as label_spaces
from posejax import skeletons
from posejax.data.synthetic import background, occluders, render
from posejax.data.synthetic.people import SPLITS, VERSION, Stream, check_split
from posejax.errors import PosejaxError
from posejax.types import Picture

MAX_PEOPLE = 6
_OCCLUDED = 0.4
_STEP_OUT = 0.2  # of a person's width may lie beyond the left edge (0.4 beyond the right)


class SyntheticScenes:
  """Random access to drawn scenes of one to `MAX_PEOPLE` people.

  `source[i]` is a Picture of `posejax.types` with everybody on it, boxes clipped to the picture, from
  the farthest person to the nearest. Like `people.SyntheticPeople`, a pure function of (version,
  split, seed, i); a person who is wholly hidden behind others is listed with every visibility at most 1.

  Attributes:
    label_space: people with COCO's 17 keypoints.
    name: 'synthetic_scenes'.
    fingerprint: changes whenever the pictures or labels do.
  """

  label_space = label_spaces.people(skeletons.COCO)
  name = 'synthetic_scenes'

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
    count = 1 + int(u[1] * MAX_PEOPLE)
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
    if u[4] < _OCCLUDED:
      target = placed[int(u[5] * count)]
      stacked.append(render.thing_layers(*occluders.sample(rng, target, self.shape)))
    layers = render.stack(stacked)

    keypoints = crowd.keypoints * scale[:, None, None] + offset[:, None]
    seen = [
      render.visibility(keypoints[k], crowd.own[k], k, layers, self.shape) for k in range(count)
    ]
    labels = {
      'boxes': np.clip(placed, 0, (w - 1, h - 1, w - 1, h - 1)).astype(np.float32),
      'labels': np.zeros(count, np.int32),
      'crowd': np.zeros(count, bool),
      'keypoints': keypoints.astype(np.float32),
      'visibility': np.stack(seen),
    }
    look = {
      'draws': rng.random(background.NUM_DRAWS),
      'horizon': horizon,
      'shadows': [render.shadow_under(box, sun, u[6]) for box in placed],
    }
    return rng, layers, labels, look
