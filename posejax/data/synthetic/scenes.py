"""Several drawn people in one larger picture, with their boxes: for detection."""

import numpy as np

from posejax import skeletons
from posejax.data.synthetic import background, occluders, render
from posejax.data.synthetic.people import SPLITS, VERSION, Stream, check_split
from posejax.types import Example

MAX_PEOPLE = 6
_OCCLUDED = 0.4
_LEAST_SHOWN = 0.35  # of a person's box must lie in the picture


class SyntheticScenes:
  """Random access to drawn scenes of one to `MAX_PEOPLE` people.

  `source[i]` holds `image` uint8 `[h, w, 3]` RGB, `boxes` float32 `[N, 4]` (xyxy, clipped to the
  picture), `keypoints` float32 `[N, 17, 2]` and `visibility` int32 `[N, 17]`, from the farthest
  person to the nearest. Like `people.SyntheticPeople`, a pure function of (version, split, seed, i);
  a person who is wholly hidden behind others is listed with every visibility at most 1.

  Attributes:
    skeleton: COCO's 17 keypoints.
    name: 'synthetic_scenes'.
    fingerprint: changes whenever the pictures or labels do.
  """

  skeleton = skeletons.COCO
  name = 'synthetic_scenes'

  def __init__(
    self,
    split: str = 'train',
    seed: int = 0,
    num_examples: int | None = None,
    shape: tuple[int, int] = (192, 256),
  ):
    self._len = check_split(split, num_examples)
    self.split, self.seed = split, int(seed) if split == 'train' else 0
    self.shape = shape
    self._stream = Stream(VERSION, SPLITS[split], self.seed, 1)
    self.fingerprint = f'{self.name}-v{VERSION}-{split}-seed{self.seed}-{shape[0]}x{shape[1]}'

  def __len__(self) -> int:
    return self._len

  def __getitem__(self, index: int) -> Example:
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
    extent = size * scale[:, None]
    scale *= np.minimum(1, 0.9 * np.array([w, h]) / extent).min(1)
    extent = size * scale[:, None]
    foot = h * (horizon + 0.12 + (0.98 - horizon) * near)
    left = -(1 - _LEAST_SHOWN) * extent[:, 0] * 0.3 + spots[:, 2] * (w - 0.6 * extent[:, 0])
    offset = np.stack([left, foot - extent[:, 1]], -1) - crowd.box[:, :2] * scale[:, None]
    placed = np.tile(offset, 2) + crowd.box * scale[:, None]

    image = background.draw(rng.random(background.NUM_DRAWS), self.shape, horizon)
    background.clutter(rng, image, horizon)
    stacked = []
    for k in range(count):
      stacked.append(render.person_layers(crowd, k, scale[k], offset[k], sun))
      background.shadow(image, *render.shadow_under(placed[k], sun, u[4]))
    if u[5] < _OCCLUDED:
      target = placed[int(u[6] * count)]
      stacked.append(render.thing_layers(*occluders.sample(rng, target, self.shape)))
    layers = render.stack(stacked)
    render.paint(image, layers)

    keypoints = crowd.keypoints * scale[:, None, None] + offset[:, None]
    seen = [
      render.visibility(keypoints[k], crowd.own[k], k, layers, self.shape) for k in range(count)
    ]
    return {
      'image': background.light(rng, image),
      'boxes': np.clip(placed, 0, (w - 1, h - 1, w - 1, h - 1)).astype(np.float32),
      'keypoints': keypoints.astype(np.float32),
      'visibility': np.stack(seen),
    }
