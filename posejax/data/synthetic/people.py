"""One drawn person per picture: the data set that needs no download."""

import numpy as np

from posejax import labels as label_spaces
from posejax import skeletons
from posejax.data.synthetic import background, occluders, render
from posejax.errors import PosejaxError
from posejax.types import Picture

VERSION = 1
"""Version of the drawing. Any change to what is drawn or labelled needs a new one."""
SHAPE = (160, 128)
"""(h, w) of a picture."""
NUM_EVAL = 512
NUM_TRAIN = 1_000_000

SPLITS = {'train': 0, 'eval': 1}
"""A split's number in its stream of randomness."""

_FILL = (0.58, 0.8)  # the person's extent as a share of the picture's height (width: x 0.98)
_OCCLUDED, _ACCOMPANIED, _CUT = 0.20, 0.15, 0.15
_CUT_SIDES = (0.5, 0.62, 0.81)  # cumulative: by the feet, the head, the right edge, else the left


class Stream:
  """Independent random generators, one per index, for (version, split, seed)."""

  def __init__(self, *numbers: int):
    self._key = np.random.SeedSequence(numbers).generate_state(2, np.uint64)

  def rng(self, index: int) -> np.random.Generator:
    """Return the generator of picture `index`; equal for equal arguments, on any thread."""
    return np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, 0, index]))


def check_split(split: str, num_examples: int | None) -> int:
  """Return the number of pictures of `split`, or raise PosejaxError."""
  if split not in SPLITS:
    raise PosejaxError(f"split must be 'train' or 'eval', got {split!r}.")
  if num_examples is None:
    return NUM_EVAL if split == 'eval' else NUM_TRAIN
  if num_examples < 1:
    raise PosejaxError(f'num_examples must be positive, got {num_examples}.')
  if split == 'eval' and num_examples > NUM_EVAL:
    raise PosejaxError(f'The eval split has {NUM_EVAL} people, asked for {num_examples}.')
  return int(num_examples)


class SyntheticPeople:
  """Random access to pictures of a drawn person each; `source[i]` is a Picture of `posejax.types`.

  Who stands beside the person is not annotated: `scenes.SyntheticScenes` is for detection.

  Picture `i` depends on (version, split, seed, i) alone: the same bytes in any order, on any thread.
  The `eval` split is frozen: 512 people whose labels and pixels are tested by hash; it has its own
  stream, which `seed` does not touch.

  Attributes:
    label_space: people with COCO's 17 keypoints.
    name: 'synthetic_people'.
    fingerprint: changes whenever the pictures or labels do.
  """

  label_space = label_spaces.people(skeletons.COCO)
  name = 'synthetic_people'

  def __init__(self, split: str = 'train', seed: int = 0, num_examples: int | None = None):
    self._len = check_split(split, num_examples)
    self.split, self.seed = split, int(seed) if split == 'train' else 0
    self._stream = Stream(VERSION, SPLITS[split], self.seed, 0)
    self.fingerprint = f'{self.name}-v{VERSION}-{split}-seed{self.seed}'

  def __len__(self) -> int:
    return self._len

  def __getitem__(self, index: int) -> Picture:
    rng, layers, labels, look = self._compose(index)
    image = background.draw(look['draws'], SHAPE, look['horizon'])
    background.clutter(rng, image, look['horizon'])
    if look['shadow'] is not None:
      background.shadow(image, *look['shadow'])
    render.paint(image, layers)
    return {'image': background.light(rng, image), **labels}

  def labels(self, index: int) -> Picture:
    """Return the picture without its image, which is not painted."""
    return self._compose(index)[2]

  def people(self) -> tuple[np.ndarray, dict[str, int]]:
    """Return what `posejax.data.sources.people.find` does: everybody, without drawing them."""
    return np.stack([np.arange(len(self)), np.zeros(len(self), int)], axis=1), {}

  def layers(self, index: int) -> render.Layers:
    """Return what is painted for picture `index`; the person in question is number 0."""
    return self._compose(index)[1]

  def _compose(self, index: int):
    if not 0 <= index < self._len:
      raise IndexError(f'{self.fingerprint} has {self._len} examples, asked for number {index}.')
    rng = self._stream.rng(int(index))
    h, w = SHAPE
    u = rng.random(24)
    others = (1 if u[1] < 0.75 else 2) if u[0] < _ACCOMPANIED else 0
    crowd = render.people(rng.random((1 + others, render.NUM_DRAWS)))

    box = crowd.box[0]
    size = box[2:] - box[:2]
    fill = _FILL[0] + (_FILL[1] - _FILL[0]) * u[2]
    scale = fill * min(h / size[1], 0.98 * w / size[0])
    middle = (np.array([w, h]) - 1) / 2 + (u[3:5] - 0.5) * (14, 12)
    if u[5] < _CUT:  # come closer and step out of the frame, most often by the feet
      scale *= 1.0 + 0.35 * u[6]
      beyond = (0.06 + 0.26 * u[8] - 0.5) * scale * size
      side = int(np.searchsorted(_CUT_SIDES, u[7], side='right'))
      axis = 1 if side < 2 else 0
      middle[axis] = (h, w)[1 - axis] - 1 + beyond[axis] if side % 2 == 0 else -beyond[axis]
    offset = middle - scale * (box[:2] + box[2:]) / 2
    sun = render.sun(u[9], u[10])

    behind, before = [], []
    for k in range(1, 1 + others):
      v = rng.random(4)
      side = (1 if v[0] < 0.5 else -1) * (0.45 + 0.35 * v[1])
      other = scale * (0.8 + 0.35 * v[2])
      apart = np.array([side * max(size[0], 0.45), (v[2] - 0.4) * 0.25]) * scale
      layers = render.person_layers(crowd, k, other, offset + apart, sun)
      (before if v[3] < 0.3 else behind).append(layers)
    stacked = [*behind, render.person_layers(crowd, 0, scale, offset, sun), *before]
    placed = np.concatenate([box[:2] * scale + offset, box[2:] * scale + offset])
    if u[11] < _OCCLUDED:
      stacked.append(render.thing_layers(*occluders.sample(rng, placed, SHAPE)))
    layers = render.stack(stacked)

    keypoints = crowd.keypoints[0] * scale + offset
    seen = render.visibility(keypoints, crowd.own[0], 0, layers, SHAPE)
    clipped = np.clip(placed, 0, (w - 1, h - 1, w - 1, h - 1))
    labels = {
      'boxes': clipped.astype(np.float32)[None],
      'labels': np.zeros(1, np.int32),
      'crowd': np.zeros(1, bool),
      'keypoints': keypoints.astype(np.float32)[None],
      'visibility': seen[None],
    }
    look = {
      'draws': rng.random(background.NUM_DRAWS),
      'horizon': 0.3 + 0.5 * u[12] if u[13] < 0.8 else 0.9,
      'shadow': None,
    }
    if u[14] < 0.8:
      look['shadow'] = render.shadow_under(placed, sun, u[15])
    return rng, layers, labels, look
