"""The world behind: ground and sky or floor and wall, textures, clutter, light.

Textures are drawn once per process from a fixed seed and only cropped afterwards.
"""

import functools

import cv2
import numpy as np

from posejax.data.synthetic.outline import NUM_VERTICES

NUM_DRAWS = 40
"""How many uniform draws `plan` takes."""
_TILE = 512
MAX_SIDE = 500
"""The longest side of a picture that the textures cover."""
_MAX_CLUTTER = 9

# Colour ramps from a texture's dark to its light end, RGB.
_WALLS = np.array(
  [
    [(176, 204, 226), (224, 236, 242)], [(120, 168, 212), (206, 226, 240)],
    [(206, 196, 184), (240, 234, 224)], [(168, 176, 170), (214, 218, 210)],
    [(232, 196, 160), (250, 226, 190)], [(146, 122, 106), (196, 170, 150)],
    [(96, 108, 122), (150, 160, 170)], [(188, 150, 160), (230, 204, 206)],
    [(70, 96, 76), (146, 170, 120)], [(44, 50, 62), (92, 98, 112)],
    [(150, 80, 62), (196, 130, 104)], [(236, 236, 232), (252, 252, 250)],
  ], float,
)  # fmt: skip
_GROUNDS = np.array(
  [
    [(84, 118, 58), (150, 176, 92)], [(112, 140, 70), (176, 192, 110)],
    [(120, 118, 116), (166, 164, 160)], [(84, 86, 92), (122, 124, 130)],
    [(190, 166, 126), (226, 206, 168)], [(136, 98, 66), (182, 140, 98)],
    [(160, 126, 92), (206, 172, 134)], [(196, 196, 198), (230, 230, 230)],
    [(96, 74, 60), (140, 112, 90)], [(110, 136, 150), (160, 184, 194)],
  ], float,
)  # fmt: skip
_CLUTTER = np.array(
  [
    (96, 70, 52), (70, 104, 62), (52, 78, 52), (128, 146, 92), (150, 92, 66), (196, 152, 104),
    (90, 96, 106), (60, 66, 80), (168, 172, 176), (222, 214, 200), (206, 170, 136), (120, 84, 66),
    (74, 108, 150), (176, 74, 64), (228, 184, 92), (44, 46, 52), (222, 171, 127), (141, 92, 60),
  ], float,
)  # fmt: skip


def _stretch(cells: int) -> np.ndarray:
  """Return the matrix `[_TILE, cells]` that interpolates `cells` values smoothly over a tile."""
  place = np.arange(_TILE) * ((cells - 1) / _TILE)
  low = place.astype(int)
  blend = (1 - np.cos(np.pi * (place - low))) / 2
  matrix = np.zeros((_TILE, cells))
  matrix[np.arange(_TILE), low] = 1 - blend
  matrix[np.arange(_TILE), low + 1] = blend
  return matrix


def _noise(rng: np.random.Generator, scale: float, octaves: int = 3) -> np.ndarray:
  """Smooth noise `[_TILE, _TILE]` in 0..1 with features of `scale` pixels and finer ones.

  In NumPy's doubles, not OpenCV's floats, so that every processor draws the same pictures.
  """
  total = np.zeros((_TILE, _TILE))
  for octave in range(octaves):
    matrix = _stretch(max(3, int(_TILE / scale * 2**octave)))
    total += matrix @ rng.random((matrix.shape[1],) * 2) @ matrix.T * 0.5**octave
  total -= total.min()
  return total / total.max()


def _softened(values: np.ndarray) -> np.ndarray:
  """Blur by (1, 2, 1) / 4 along both axes."""
  for axis in (0, 1):
    values = (np.roll(values, 1, axis) + 2 * values + np.roll(values, -1, axis)) / 4
  return values


@functools.cache
def _textures() -> tuple[np.ndarray, ...]:
  """uint8 `[_TILE, _TILE]` grey textures, the smooth ones first; read-only."""
  rng = np.random.Generator(np.random.Philox(20))
  y, x = np.mgrid[:_TILE, :_TILE].astype(float)
  maps = [_noise(rng, s) for s in (160, 80, 40, 20, 8)]
  maps += [_noise(rng, 240, 1), _noise(rng, 120, 5)]
  soft = _noise(rng, 120)
  maps += [0.75 * (0.5 + 0.5 * np.sin(x / p)) + 0.25 * soft for p in (1.6, 3.0, 7.0)]  # stripes
  maps += [0.7 * (np.sin(y / p) > 0) + 0.3 * soft for p in (5.0, 2.5)]  # boards
  maps += [0.7 * ((x // p + y // p) % 2) + 0.3 * soft for p in (9, 20)]  # checks
  shifted = x + (y // 10 % 2) * 12
  maps += [0.8 * ((y % 10 > 1) & (shifted % 24 > 1)) + 0.2 * soft]  # bricks
  grey = [np.uint8(255 * np.clip(_softened(m), 0, 1)) for m in maps]
  for g in grey:
    g.setflags(write=False)
  return tuple(grey)


@functools.cache
def _grain() -> tuple[np.ndarray, ...]:
  """uint8 `[_TILE, _TILE, 3]` half-normal noise of rising strength; read-only."""
  rng = np.random.Generator(np.random.Philox(21))
  levels = []
  for strength in (2.0, 4.0, 7.0):
    noise = np.uint8(np.clip(np.maximum(rng.normal(0, strength, (_TILE, _TILE, 3)), 0), 0, 255))
    noise.setflags(write=False)
    levels.append(noise)
  return tuple(levels)


@functools.cache
def _shades() -> tuple[np.ndarray, ...]:
  """uint8 `[_TILE, _TILE, 3]` soft ramps and spots of light, to multiply by; read-only."""
  rng = np.random.Generator(np.random.Philox(22))
  y, x = np.mgrid[:_TILE, :_TILE] / _TILE - 0.5
  shades = []
  for k in range(12):
    angle = 2 * np.pi * k / 12
    ramp = 0.5 + x * np.cos(angle) + y * np.sin(angle)
    shade = 255 - 120 * np.clip(0.8 * ramp + 0.3 * _noise(rng, 200, 1), 0, 1)
    shades.append(np.repeat(np.uint8(shade)[..., None], 3, -1))
    shades[-1].setflags(write=False)
  return tuple(shades)


@functools.cache
def _blob() -> np.ndarray:
  """uint8 `[32, 96, 3]` soft dark ellipse, a shadow to multiply by; read-only."""
  y, x = np.mgrid[-1:1:32j, -1:1:96j]
  soft = np.uint8(255 - 130 * np.clip(1.25 - 1.25 * np.hypot(x, y), 0, 1))
  soft = np.repeat(soft[..., None], 3, -1)
  soft.setflags(write=False)
  return soft


def _crop(tile: np.ndarray, shape: tuple[int, int], u0: float, u1: float) -> np.ndarray:
  top, left = int(u0 * (_TILE - shape[0])), int(u1 * (_TILE - shape[1]))
  return tile[top : top + shape[0], left : left + shape[1]]


_RAMP = np.linspace(0, 1, 256)[:, None]
_LEVELS = np.arange(256.0)


def _coloured(grey: np.ndarray, ends: np.ndarray) -> np.ndarray:
  ramp = ends[0] + (ends[1] - ends[0]) * _RAMP
  return cv2.applyColorMap(grey, np.clip(ramp, 0, 255).astype(np.uint8)[:, None])


def draw(u: np.ndarray, shape: tuple[int, int], horizon: float) -> np.ndarray:
  """Draw a background without people.

  Args:
    u: float `[NUM_DRAWS]` uniform draws.
    shape: (h, w), at most `MAX_SIDE` each.
    horizon: where the ground begins, as a share of the height.
  """
  h, w = shape
  textures = _textures()
  smooth = textures[:7]
  image = np.empty((h, w, 3), np.uint8)
  middle = int(np.clip(horizon, 0, 1) * h) if u[0] < 0.85 else h
  ramps = _WALLS[int(u[1] * len(_WALLS))], _GROUNDS[int(u[2] * len(_GROUNDS))]
  tint = (u[3:6] - 0.5) * 28
  choice = smooth if u[6] < 0.45 else textures
  if middle > 0:
    grey = _crop(choice[int(u[7] * len(choice))], (middle, w), u[8], u[9])
    image[:middle] = _coloured(grey, ramps[0] + tint)
  if middle < h:
    choice = smooth if u[10] < 0.7 else textures
    grey = _crop(choice[int(u[11] * len(choice))], (h - middle, w), u[12], u[13])
    image[middle:] = _coloured(grey, ramps[1] - tint)
  return image


def clutter(rng: np.random.Generator, image: np.ndarray, horizon: float):
  """Draw poles, trees, boxes, discs, lines and limb-like bars into the background, in place."""
  h, w = image.shape[:2]
  count = int(rng.random() * (_MAX_CLUTTER + 1))
  if not count:
    return
  u = rng.random((count, 9))
  colours = _CLUTTER[(u[:, 0] * len(_CLUTTER)).astype(int)] + (u[:, 1:2] - 0.5) * 40
  colours = np.clip(colours, 0, 255).astype(int).tolist()
  ground = horizon * h
  for (kind, x, y, a, b, c, d), colour in zip(u[:, 2:].tolist(), colours, strict=True):
    dark = [int(v * 0.75) for v in colour]
    px, py = int(x * w), int(y * h)
    if kind < 0.22:  # a pole or trunk standing on the ground, perhaps with a crown
      width, foot = 2 + int(7 * a * a), int(ground + (h - ground) * b * 0.6)
      top = int(h * (0.5 * c - 0.2))
      cv2.rectangle(image, (px, top), (px + width, foot), colour, -1)
      cv2.rectangle(image, (px + width * 2 // 3, top), (px + width, foot), dark, -1)
      if d < 0.4:
        leaf = [int(40 + 40 * a), int(80 + 60 * b), int(40 + 30 * c)]
        radius = 10 + int(18 * b)
        cv2.circle(image, (px, top + radius), radius, leaf, -1, cv2.LINE_AA)
        cv2.circle(image, (px + radius // 2, top + radius // 2), radius, leaf, -1, cv2.LINE_AA)
    elif kind < 0.42:  # a box, window or picture
      bw, bh = 6 + int(46 * a), 6 + int(46 * b)
      cv2.rectangle(image, (px, py), (px + bw, py + bh), dark, -1)
      cv2.rectangle(image, (px + 2, py + 2), (px + bw - 2, py + bh - 2), colour, -1)
    elif kind < 0.58:  # a bush, ball or lamp
      axes = (3 + int(20 * a), 3 + int(16 * b))
      cv2.ellipse(image, (px, py), axes, c * 180, 0, 360, colour, -1, cv2.LINE_AA)
    elif kind < 0.74:  # a branch or cable
      end = (int(px + (a - 0.5) * w), int(py + (b - 0.5) * h))
      cv2.line(image, (px, py), end, colour, 1 + int(2 * c), cv2.LINE_AA)
    else:  # a bar as thick and as long as a limb
      angle, length = 2 * np.pi * a, 14 + 34 * b
      end = (int(px + length * np.cos(angle)), int(py + length * np.sin(angle)))
      width = 4 + int(8 * c)
      cv2.line(image, (px, py), end, dark, width, cv2.LINE_AA)
      cv2.line(
        image, (px - 1, py - 1), (end[0] - 1, end[1] - 1), colour, max(1, width - 3), cv2.LINE_AA
      )


def shadow(image: np.ndarray, x0: float, x1: float, y: float, height: float):
  """Darken a soft ellipse on the ground from x0 to x1, centred at y, in place."""
  h, w = image.shape[:2]
  left, right = int(x0), int(x1)
  top, bottom = int(y - height / 2), int(y + height / 2)
  cl, cr, ct, cb = max(left, 0), min(right, w), max(top, 0), min(bottom, h)
  if cr - cl < 2 or cb - ct < 2:
    return
  soft = cv2.resize(_blob(), (right - left, bottom - top))
  soft = soft[ct - top : cb - top, cl - left : cr - left]
  region = image[ct:cb, cl:cr]
  cv2.multiply(region, soft, dst=region, scale=1 / 255)


def light(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
  """Apply a light gradient, blur, grain, brightness and contrast to the finished picture."""
  u = rng.random(12).tolist()
  shape = image.shape[:2]
  if u[0] < 0.7:
    shades = _shades()
    shade = _crop(shades[int(u[1] * len(shades))], shape, u[2], u[3])
    image = cv2.multiply(image, shade, scale=1.12 / 255)
  if u[4] < 0.3:
    image = cv2.GaussianBlur(image, (3, 3), 0.4 + 0.6 * u[5])
  contrast, bright = 0.8 + 0.4 * u[6], (u[7] - 0.5) * 44
  curve = (_LEVELS - 128) * contrast + (128 + bright)
  image = cv2.LUT(image, curve.clip(0, 255).astype(np.uint8))
  if u[8] < 0.7:
    grain = _grain()[int(u[9] * 3)]
    image = cv2.add(image, _crop(grain, shape, u[10], u[11]))
    image = cv2.subtract(image, _crop(grain, shape, u[11], u[10]))
  return image


def leaves(u: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
  """Return ellipse outlines `[n, NUM_VERTICES, 2]` around `centre` from draws `[n, 5]`."""
  angle = np.arange(NUM_VERTICES) * (2 * np.pi / NUM_VERTICES)
  long, short = 3 + 6 * u[:, 2:3], 1.6 + 2.4 * u[:, 3:4]
  x, y = long * np.cos(angle), short * np.sin(angle)
  c, s = np.cos(2 * np.pi * u[:, 4:5]), np.sin(2 * np.pi * u[:, 4:5])
  middle = centre + (u[:, :2] - 0.5) * spread
  return np.stack([c * x - s * y + middle[:, :1], s * x + c * y + middle[:, 1:2]], -1)
