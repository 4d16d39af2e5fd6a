"""Drawn house-number digits: the labelled pictures that need no download."""

from typing import NamedTuple

import cv2
import numpy as np

from posejax.data.synthetic import glyphs
from posejax.data.synthetic.people import SPLITS, Stream, check_split
from posejax.labels import LabelSpace
from posejax.types import Picture

VERSION = 1
"""Version of the drawing. Any change to what is drawn or labelled needs a new one."""
SIDE = 32
"""Height and width of a picture."""
LABEL_SPACE = LabelSpace(tuple('0123456789'))

# How often each digit stands on a house, 0 to 9. Source: SVHN's 73,257 training digits
# (ufldl.stanford.edu/housenumbers, Netzer et al. 2011).
_COUNTS = np.array([4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659])
_OFTEN = np.cumsum(_COUNTS) / _COUNTS.sum()
_LENGTHS = np.array([0.07, 0.57, 0.92])  # cumulative: numbers of one, two, three digits, else four
_RESOLUTION = (11, 44)  # pixels across the window in the photograph it is cut from
_TINTS = (3, 9, 28)  # how far colours are from grey: most, some, few
_JPEG = int(cv2.IMWRITE_JPEG_QUALITY)


class SyntheticDigits:
  """Random access to drawn digits; `source[i]` has `image` and `label` (see `posejax.types`).

  Example `i` depends on (version, split, seed, i) alone: the same bytes in any order, on any thread.
  The `eval` split is frozen: 512 digits tested by hash, which `seed` does not touch.

  As in SVHN, the digit in the middle is the label, and its neighbours in the number stand at the
  edges of the picture.

  Attributes:
    label_space: the digits 0 to 9.
    name: 'synthetic_digits'.
    fingerprint: changes whenever pictures or labels do.
  """

  label_space = LABEL_SPACE
  name = 'synthetic_digits'

  def __init__(self, split: str = 'train', seed: int = 0, num_examples: int | None = None):
    self._len = check_split(split, num_examples)
    self.split, self.seed = split, int(seed) if split == 'train' else 0
    self._stream = Stream(VERSION, SPLITS[split], self.seed, 2)
    self.fingerprint = f'{self.name}-v{VERSION}-{split}-seed{self.seed}'

  def __len__(self) -> int:
    return self._len

  def __getitem__(self, index: int) -> Picture:
    rng = self._rng(index)
    label = _digit(rng)
    return {'image': _paint(rng, label), 'label': label}

  def labels(self, index: int) -> Picture:
    """Return the picture without its image, which is not painted."""
    return {'label': _digit(self._rng(index))}

  def _rng(self, index: int) -> np.random.Generator:
    if not 0 <= index < self._len:
      raise IndexError(f'{self.fingerprint} has {self._len} examples, asked for number {index}.')
    return self._stream.rng(int(index))


def _digit(rng: np.random.Generator) -> int:
  return int(np.searchsorted(_OFTEN, rng.random(), side='right'))


def _paint(rng: np.random.Generator, label: int) -> np.ndarray:
  """Return the picture, uint8 `[SIDE, SIDE, 3]`, of a number whose middle digit is `label`."""
  low, high = _RESOLUTION
  R = round(low * (high / low) ** rng.random())
  at = (np.arange(R) + 0.5) / R - 0.5
  x, y = np.meshgrid(at, at)
  shape = _number(rng, label, x, y)
  ground, ink = _colours(rng)
  image = _wall(rng, ground, ink, x, y)
  image = _write(rng, image, shape, ink)
  image = _light(rng, image, x, y)
  return _photograph(rng, image)


class _Shape(NamedTuple):
  """A number's outline on the grid: distances `[R, R]` and a pixel's side, in heights of a digit."""

  distance: np.ndarray
  pixel: float


def _number(rng: np.random.Generator, label: int, x: np.ndarray, y: np.ndarray) -> _Shape:
  """Lay a number out so that one of its digits, `label`, fills the window."""
  fonts = glyphs.load()
  font = int(rng.integers(len(fonts.strokes)))
  height = 0.6 + 0.42 * rng.random()
  narrow = float(np.clip(np.exp(rng.normal(-0.08, 0.18)), 0.55, 1.4))
  turn = np.deg2rad(rng.normal(0, 5 if rng.random() < 0.9 else 15))
  slant = rng.normal(0, 0.1)
  tilt = rng.normal(0, 0.12, 2)

  # From the window to the number's own plane, in heights.
  x, y = x - rng.normal(0, 0.035), y - rng.normal(0, 0.035)
  depth = 1 + tilt[0] * x + tilt[1] * y
  x, y = x / depth, y / depth
  x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
  x, y = (x + slant * y) / (height * narrow), y / height
  if rng.random() < 0.35:  # painted or bent by hand
    waves, phases = rng.uniform(2, 7, 2), rng.uniform(0, 2 * np.pi, 2)
    amount = 0.035 * rng.random()
    x, y = (
      x + amount * np.sin(waves[0] * y + phases[0]),
      y + amount * np.sin(waves[1] * x + phases[1]),
    )

  length = 1 + int(np.searchsorted(_LENGTHS, rng.random(), side='right'))
  place = int(rng.integers(length))
  gap = rng.uniform(0.03, 0.28)
  distance = _sample(fonts.fields[font, label], x, y)
  edge = 0.5 / (height * narrow) + 0.1
  for step, count in ((-1, place), (1, length - 1 - place)):
    end = fonts.widths[font, label] / 2
    for _ in range(count):
      digit = _digit(rng)
      middle = end + gap + fonts.widths[font, digit] / 2
      end = middle + fonts.widths[font, digit] / 2
      lift = rng.normal(0, 0.02)
      if middle - fonts.widths[font, digit] / 2 < edge:
        other = _sample(fonts.fields[font, digit], x - step * middle, y - lift)
        distance = np.maximum(distance, other)
  bolder = rng.uniform(-0.45 * fonts.strokes[font], 0.035)
  return _Shape(distance + bolder, 1 / (len(x) * height))


def _sample(field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Return a field's values at points in heights from its middle, between cells linearly."""
  last = glyphs.SIZE - 1
  column = np.clip(x * glyphs.PER_HEIGHT + last / 2, 0, last - 1e-6)
  row = np.clip(y * glyphs.PER_HEIGHT + last / 2, 0, last - 1e-6)
  j, i = column.astype(int), row.astype(int)
  a, b = column - j, row - i
  above = field[i, j] * (1 - a) + field[i, j + 1] * a
  below = field[i + 1, j] * (1 - a) + field[i + 1, j + 1] * a
  return above * (1 - b) + below * b


def _tint(rng: np.random.Generator, strengths: tuple[float, float, float]) -> np.ndarray:
  """Return a colour's deviation from grey, RGB: mostly little, and from blue to orange."""
  u = rng.random()
  strength = strengths[0 if u < 0.5 else 1 if u < 0.85 else 2]
  blue, green = rng.normal(0, strength), rng.normal(0, 0.4 * strength)
  return np.array([-blue - green / 2 - 1, green, blue - green / 2 + 4])


def _colours(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Return the wall's colour and the digits', RGB 0..255."""
  level = float(np.clip(rng.normal(115, 55), 10, 245))
  contrast = float(np.clip(np.exp(rng.normal(np.log(90), 0.42)), 18, 200))
  lighter = rng.random() < (255 - level) / 255
  ground = level + _tint(rng, _TINTS)
  ink = level + (contrast if lighter else -contrast) + _tint(rng, (2, 6, 30))
  return np.clip(ground, 0, 255), np.clip(ink, 0, 255)


def _wall(rng, ground, ink, x, y) -> np.ndarray:
  """Return `[R, R, 3]`: the wall or the plate, what lies beside it, its frame and its grain."""
  R = len(x)
  image = np.broadcast_to(ground, (R, R, 3)).copy()
  if rng.random() < 0.45:
    for _ in range(1 + int(rng.random() < 0.4)):
      angle = np.pi / 2 * rng.integers(4) + np.deg2rad(rng.normal(0, 8))
      beyond = np.cos(angle) * x + np.sin(angle) * y - rng.uniform(0.3, 0.56)
      other = np.clip(rng.uniform(20, 225) + _tint(rng, _TINTS), 0, 255)
      image = _blend(image, other, np.clip(0.5 + beyond * R, 0, 1))
      if rng.random() < 0.35:  # a plate's frame
        inset, width = rng.uniform(0.02, 0.08), rng.uniform(0.01, 0.04)
        image = _blend(image, ink, np.clip(0.5 + (width - np.abs(beyond + inset)) * R, 0, 1))
  if rng.random() < 0.1:  # bricks, boards, blinds
    across = x if rng.random() < 0.3 else y
    wave = np.sin(rng.uniform(8, 40) * across + rng.uniform(0, 2 * np.pi))
    image += (rng.normal(0, 25) * (wave > rng.uniform(-0.5, 0.9)))[..., None]
  if rng.random() < 0.5:
    image += _cloud(rng, R, abs(rng.normal(0, 9)))[..., None]
  return image


def _cloud(rng: np.random.Generator, R: int, amount: float) -> np.ndarray:
  """Return smooth noise `[R, R]` of standard deviation up to `amount`."""
  cells = int(rng.integers(2, 12))
  place = np.arange(R) * ((cells - 1) / max(R - 1, 1))
  matrix = np.clip(1 - np.abs(place[:, None] - np.arange(cells)), 0, 1)
  return matrix @ rng.normal(0, amount, (cells, cells)) @ matrix.T


def _blend(image: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> np.ndarray:
  return image + cover[..., None] * (colour - image)


def _write(rng, image: np.ndarray, shape: _Shape, ink: np.ndarray) -> np.ndarray:
  """Put the number on the wall: its shadow, outline, face and wear."""
  R = len(image)

  def cover(grown=0.0, soft=1.0):
    return np.clip(0.5 + (shape.distance + grown) / (soft * shape.pixel), 0, 1)

  if rng.random() < 0.3:
    shift = np.rint(rng.normal(0, 0.045, 2) * R).astype(int)
    dark = np.roll(cover(0.01, soft=rng.uniform(1, 4)), shift, (0, 1))
    image = image * (1 - rng.uniform(0.15, 0.75) * dark)[..., None]
  if rng.random() < 0.15:
    edge = np.clip(rng.uniform(0, 255) + _tint(rng, _TINTS), 0, 255)
    image = _blend(image, edge, cover(rng.uniform(0.015, 0.06)))
  face = np.broadcast_to(ink, image.shape)
  if rng.random() < 0.3:
    face = face + _cloud(rng, R, abs(rng.normal(0, 18)))[..., None]
  if rng.random() < 0.15:  # metal, bevelled
    slope = np.diff(shape.distance, axis=int(rng.integers(2)), append=0) / shape.pixel
    face = face + rng.normal(0, 40) * np.clip(slope, -1, 1)[..., None]
  opacity = cover()
  if rng.random() < 0.04:  # only its outline is painted
    opacity = opacity * (1 - cover(-rng.uniform(0.02, 0.05)))
  if rng.random() < 0.12:
    opacity = opacity * np.clip(rng.uniform(0.4, 1) + _cloud(rng, R, 0.3), 0, 1)
  return _blend(image, face, opacity)


def _light(rng, image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """Light the scene unevenly, and let something stand before it."""
  R = len(image)
  if rng.random() < 0.6:
    slope = rng.normal(0, 0.2, 2)
    image = image * (1 + slope[0] * x + slope[1] * y)[..., None]
  if rng.random() < 0.15:  # the edge of a cast shadow, or of sunlight
    angle = rng.uniform(0, 2 * np.pi)
    beyond = np.cos(angle) * x + np.sin(angle) * y - rng.uniform(-0.4, 0.4)
    image = (
      image
      * (1 + rng.uniform(-0.6, 0.5) * np.clip(0.5 + beyond * rng.uniform(3, R), 0, 1))[..., None]
    )
  if rng.random() < 0.06:  # a twig, a cable, a bar
    angle = rng.uniform(0, 2 * np.pi)
    from_axis = np.abs(np.cos(angle) * x + np.sin(angle) * y - rng.uniform(-0.5, 0.5))
    bar = np.clip(rng.uniform(10, 240) + _tint(rng, _TINTS), 0, 255)
    image = _blend(image, bar, np.clip(0.5 + (rng.uniform(0.01, 0.06) - from_axis) * R, 0, 1))
  if rng.random() < 0.25:  # haze, or a dark corner
    image = rng.uniform(50, 210) + rng.uniform(0.4, 0.9) * (image - image.mean())
  return image


def _photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
  """Blur, grain and compress `[R, R, 3]` as a camera does, and enlarge it to uint8 `[SIDE, SIDE, 3]`."""
  R = len(image)
  blur = (0.2 + abs(rng.normal(0, 1.1))) * R / SIDE
  along = blur * (1 if rng.random() < 0.8 else rng.uniform(1, 3))
  rows, columns = (_gauss(R, b) for b in ((blur, along) if rng.random() < 0.5 else (along, blur)))
  blurred = _apply(rows, columns, image)
  if rng.random() < 0.2:  # sharpened by the camera, with halos
    wide = _gauss(R, 1.2)
    blurred = blurred + rng.uniform(0.3, 1.5) * (blurred - _apply(wide, wide, blurred))
  grain = abs(rng.normal(0, 3.5))
  blurred += rng.normal(0, grain, (R, R, 1)) + rng.normal(0, 0.4 * grain, (R, R, 3))
  pixels = np.clip(np.rint(blurred), 0, 255).astype(np.uint8)
  if rng.random() < 0.5:
    quality = int(rng.integers(35, 95))
    pixels = cv2.imdecode(cv2.imencode('.jpg', pixels, [_JPEG, quality])[1], cv2.IMREAD_COLOR)
  way = cv2.INTER_AREA if R > SIDE else (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
  return cv2.resize(pixels, (SIDE, SIDE), interpolation=way)


def _gauss(R: int, sigma: float) -> np.ndarray:
  """Return the matrix `[R, R]` that blurs along an axis; borders weigh what there is."""
  apart = np.arange(R)[:, None] - np.arange(R)
  weights = np.exp(-0.5 * (apart / max(sigma, 0.3)) ** 2)
  return weights / weights.sum(1, keepdims=True)


def _apply(rows: np.ndarray, columns: np.ndarray, image: np.ndarray) -> np.ndarray:
  """Multiply `[R, R, 3]` by a matrix along each axis."""
  R = len(image)
  return np.matmul(columns, (rows @ image.reshape(R, -1)).reshape(R, R, 3))
