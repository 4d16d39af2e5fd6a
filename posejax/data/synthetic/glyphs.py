"""The shapes of drawn digits: distances to their outlines, from fonts and from strokes of our own.

A shape is kept as a field of signed distances, so that it can be drawn at any size, lighter or bolder,
with an outline or soft, by adding numbers to it.
"""

import functools
import importlib.util
import os
from typing import NamedTuple

import cv2
import numpy as np

from posejax.errors import PosejaxError

SIZE = 72
"""Side of a field in cells."""
PER_HEIGHT = 48
"""Cells per height of a digit."""

# Files of the fonts that matplotlib ships, and OpenCV's own by name, weight and what stands for zero
# ('sans' slashes its own). House numbers come as signs (sans), cast metal (serif, bold) and script
# (italic, old style).
_FILES = (
  'DejaVuSans', 'DejaVuSans-Bold', 'DejaVuSans-Oblique', 'DejaVuSans-BoldOblique',
  'DejaVuSerif', 'DejaVuSerif-Bold', 'DejaVuSerif-Italic', 'DejaVuSerif-BoldItalic',
  'STIXGeneral', 'STIXGeneralBol', 'STIXGeneralItalic', 'STIXGeneralBolIta',
  'cmb10', 'cmr10', 'cmss10', 'cmti10', 'cmtt10', 'cmmi10',
)  # fmt: skip
_OPENCV = (('sans', 300, 'O'), ('sans', 500, 'O'), ('sans', 800, 'O'), ('uni', 400, '0'))
_PIXELS = 2 * PER_HEIGHT  # the height of painted shapes: two pixels a cell

# Strokes in units of a digit's height, y downwards from its top; each list is one smooth stroke, and a
# point that stands twice is a corner. Forms that the fonts above lack: ones without a foot, open fours,
# barred sevens, straight legs of sixes and nines.
_ONE = [[(0.0, 0.22), (0.1, 0.16), (0.2, 0.0), (0.2, 0.0), (0.2, 1.0)]]
_STROKES = (
  {
    0: [[(0.3, 0.0), (0.08, 0.2), (0.05, 0.5), (0.08, 0.8), (0.3, 1.0), (0.52, 0.8), (0.55, 0.5),
         (0.52, 0.2), (0.3, 0.0)]],
    1: [[(0.1, 0.0), (0.1, 1.0)]],
    2: [[(0.02, 0.25), (0.1, 0.06), (0.3, 0.0), (0.5, 0.08), (0.54, 0.27), (0.4, 0.55), (0.0, 1.0),
         (0.0, 1.0), (0.58, 1.0)]],
    3: [[(0.04, 0.0), (0.54, 0.0), (0.54, 0.0), (0.26, 0.4), (0.26, 0.4), (0.48, 0.48), (0.56, 0.7),
         (0.44, 0.94), (0.22, 1.0), (0.0, 0.88)]],
    4: [[(0.1, 0.0), (0.04, 0.6), (0.04, 0.6), (0.6, 0.6)], [(0.46, 0.0), (0.46, 1.0)]],
    5: [[(0.52, 0.0), (0.1, 0.0), (0.1, 0.0), (0.06, 0.44), (0.06, 0.44), (0.3, 0.36), (0.52, 0.48),
         (0.56, 0.7), (0.44, 0.93), (0.2, 1.0), (0.0, 0.86)]],
    6: [[(0.42, 0.0), (0.1, 0.5), (0.02, 0.72), (0.12, 0.95), (0.3, 1.0), (0.5, 0.92), (0.56, 0.7),
         (0.46, 0.48), (0.28, 0.42), (0.1, 0.5)]],
    7: [[(0.0, 0.0), (0.56, 0.0), (0.56, 0.0), (0.16, 1.0)]],
    8: [[(0.3, 0.46), (0.08, 0.34), (0.1, 0.08), (0.3, 0.0), (0.5, 0.08), (0.52, 0.34), (0.3, 0.46),
         (0.04, 0.62), (0.06, 0.92), (0.3, 1.0), (0.54, 0.92), (0.56, 0.62), (0.3, 0.46)]],
    9: [[(0.18, 1.0), (0.46, 0.56), (0.56, 0.3), (0.47, 0.06), (0.28, 0.0), (0.08, 0.08),
         (0.02, 0.3), (0.1, 0.5), (0.28, 0.58), (0.46, 0.5)]],
  },
  {
    0: [[(0.24, 0.0), (0.04, 0.14), (0.0, 0.4), (0.0, 0.6), (0.04, 0.86), (0.24, 1.0), (0.44, 0.86),
         (0.48, 0.6), (0.48, 0.4), (0.44, 0.14), (0.24, 0.0)]],
    1: _ONE,
    2: [[(0.0, 0.2), (0.14, 0.02), (0.4, 0.02), (0.5, 0.24), (0.36, 0.5), (0.12, 0.72), (0.0, 1.0),
         (0.0, 1.0), (0.52, 1.0)]],
    3: [[(0.02, 0.12), (0.24, 0.0), (0.46, 0.1), (0.46, 0.36), (0.2, 0.47), (0.2, 0.47), (0.46, 0.56),
         (0.52, 0.78), (0.38, 0.97), (0.16, 1.0), (0.0, 0.86)]],
    4: [[(0.4, 1.0), (0.4, 0.0), (0.4, 0.0), (0.0, 0.7), (0.0, 0.7), (0.56, 0.7)]],
    5: [[(0.46, 0.0), (0.06, 0.0), (0.06, 0.0), (0.04, 0.48), (0.04, 0.48), (0.24, 0.38), (0.44, 0.5),
         (0.46, 0.84), (0.24, 1.0), (0.0, 0.88)]],
    6: [[(0.44, 0.1), (0.26, 0.0), (0.06, 0.18), (0.0, 0.6), (0.08, 0.92), (0.26, 1.0), (0.44, 0.92),
         (0.48, 0.7), (0.38, 0.48), (0.2, 0.46), (0.02, 0.64)]],
    7: [[(0.0, 0.0), (0.5, 0.0), (0.5, 0.0), (0.28, 0.4), (0.18, 1.0)]],
    8: [[(0.24, 0.45), (0.06, 0.32), (0.08, 0.08), (0.24, 0.0), (0.4, 0.08), (0.42, 0.32),
         (0.24, 0.45), (0.02, 0.64), (0.04, 0.92), (0.24, 1.0), (0.44, 0.92), (0.46, 0.64),
         (0.24, 0.45)]],
    9: [[(0.04, 0.9), (0.22, 1.0), (0.42, 0.82), (0.48, 0.4), (0.4, 0.08), (0.22, 0.0), (0.04, 0.08),
         (0.0, 0.3), (0.1, 0.52), (0.28, 0.54), (0.46, 0.36)]],
  },
  {
    0: [[(0.35, 0.0), (0.1, 0.14), (0.0, 0.5), (0.1, 0.86), (0.35, 1.0), (0.6, 0.86), (0.7, 0.5),
         (0.6, 0.14), (0.35, 0.0)]],
    1: [[(0.04, 0.16), (0.26, 0.0), (0.26, 0.0), (0.22, 1.0)]],
    2: [[(0.04, 0.24), (0.2, 0.03), (0.46, 0.05), (0.56, 0.26), (0.44, 0.52), (0.2, 0.82), (0.06, 0.98),
         (0.14, 0.88), (0.3, 0.92), (0.5, 1.0), (0.64, 0.9)]],
    3: [[(0.06, 0.14), (0.26, 0.0), (0.5, 0.1), (0.48, 0.34), (0.22, 0.44), (0.5, 0.52), (0.58, 0.76),
         (0.42, 0.98), (0.14, 0.98), (0.02, 0.8)]],
    4: [[(0.22, 0.0), (0.0, 0.56), (0.0, 0.56), (0.58, 0.52)], [(0.44, 0.26), (0.36, 1.0)]],
    5: [[(0.6, 0.02), (0.16, 0.0), (0.16, 0.0), (0.08, 0.42), (0.08, 0.42), (0.4, 0.4), (0.56, 0.64),
         (0.42, 0.94), (0.14, 0.98), (0.0, 0.84)]],
    6: [[(0.5, 0.02), (0.2, 0.24), (0.04, 0.62), (0.12, 0.94), (0.34, 1.0), (0.54, 0.84), (0.5, 0.58),
         (0.3, 0.5), (0.1, 0.66)]],
    7: [[(0.0, 0.1), (0.06, 0.0), (0.58, 0.04), (0.58, 0.04), (0.2, 1.0)],
        [(0.14, 0.5), (0.54, 0.48)]],
    8: [[(0.52, 0.08), (0.3, 0.0), (0.1, 0.14), (0.22, 0.4), (0.5, 0.62), (0.5, 0.9), (0.26, 1.0),
         (0.04, 0.86), (0.1, 0.6), (0.4, 0.4), (0.56, 0.2), (0.48, 0.06)]],
    9: [[(0.54, 0.12), (0.32, 0.0), (0.08, 0.12), (0.04, 0.36), (0.24, 0.5), (0.46, 0.36), (0.54, 0.12),
         (0.5, 0.5), (0.4, 1.0)]],
  },
)  # fmt: skip
_STROKE_WIDTH = 0.13


class Glyphs(NamedTuple):
  """All shapes, read-only; F fonts.

  Attributes:
    fields: float64 `[F, 10, SIZE, SIZE]`: distance to the outline in heights, positive inside. The
      digit's box is centred on the middle of the field.
    widths: `[F, 10]`: of the digit's box, in heights.
    strokes: `[F]`: half the width of the font's thickest stroke, in heights.
  """

  fields: np.ndarray
  widths: np.ndarray
  strokes: np.ndarray


@functools.cache
def load() -> Glyphs:
  """Return the shapes; drawn once per process.

  Raises:
    PosejaxError: matplotlib's fonts are not where it keeps them.
  """
  # A face must outlive all others: OpenCV recognises faces by their address.
  faces = [(cv2.FontFace(path), 0, '0') for path in _font_paths()]
  faces += [(cv2.FontFace(name), *rest) for name, *rest in _OPENCV]
  masks = [
    [_painted(character, face, weight) for character in f'{zero}123456789']
    for face, weight, zero in faces
  ]
  masks += [[_stroked(font[digit]) for digit in range(10)] for font in _STROKES]
  fields = np.array([[_field(mask) for mask in font] for font in masks])
  widths = np.array([[mask.shape[1] / mask.shape[0] for mask in font] for font in masks])
  shapes = Glyphs(fields, widths, fields.max((1, 2, 3)))
  for array in shapes:
    array.setflags(write=False)
  return shapes


def _font_paths() -> list[str]:
  # Found without importing matplotlib, which takes a second.
  package = importlib.util.find_spec('matplotlib')
  folder = os.path.join(os.path.dirname(package.origin if package else ''), 'mpl-data/fonts/ttf')
  paths = [os.path.join(folder, f'{name}.ttf') for name in _FILES]
  for path in paths:
    if not os.path.isfile(path):
      raise PosejaxError(
        f'{path} is missing: digits are drawn with the fonts of matplotlib >= 3.9.'
      )
  return paths


def _painted(text: str, face: cv2.FontFace, weight: int) -> np.ndarray:
  """Return the uint8 mask of a character, cut to its box."""
  image = np.zeros((3 * _PIXELS, 3 * _PIXELS, 3), np.uint8)
  cv2.putText(
    image, text, (_PIXELS, 2 * _PIXELS), (255, 255, 255), face, int(1.3 * _PIXELS), weight
  )
  return _cut(image[..., 0])


def _stroked(strokes: list[list[tuple[float, float]]]) -> np.ndarray:
  """Return the uint8 mask of strokes, cut to its box."""
  image = np.zeros((2 * _PIXELS, 2 * _PIXELS), np.uint8)
  for stroke in strokes:
    points = np.rint((_smooth(np.array(stroke)) + 0.4) * _PIXELS).astype(np.int32)
    cv2.polylines(image, [points], False, 255, round(_STROKE_WIDTH * _PIXELS), cv2.LINE_AA)
  return _cut(image)


def _smooth(points: np.ndarray, steps: int = 12) -> np.ndarray:
  """Return points on the Catmull-Rom curve through `[N, 2]`; a point given twice is a corner."""
  padded = np.concatenate([points[:1], points, points[-1:]])
  t = np.arange(steps)[:, None] / steps
  curve = []
  for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
    # Towards a corner the curve arrives straight.
    before = (c - a) / 2 if (a != b).any() else c - b
    after = (d - b) / 2 if (c != d).any() else c - b
    curve.append(
      (2 * t**3 - 3 * t**2 + 1) * b
      + (t**3 - 2 * t**2 + t) * before
      + (3 * t**2 - 2 * t**3) * c
      + (t**3 - t**2) * after
    )
  return np.concatenate([*curve, points[-1:]])


def _cut(mask: np.ndarray) -> np.ndarray:
  """Return a mask cut to its box and brought to `_PIXELS` rows."""
  inside = mask > 127
  rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
  mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
  width = round(mask.shape[1] * _PIXELS / mask.shape[0])
  return cv2.resize(mask, (width, _PIXELS), interpolation=cv2.INTER_LINEAR)


def _field(mask: np.ndarray) -> np.ndarray:
  """Return the signed distances `[SIZE, SIZE]` of a mask cut to its box, in heights."""
  inside = np.pad(mask > 127, _PIXELS).astype(np.uint8)
  # The precise mask is a hundred times as slow; this one is a few hundredths of the distance off.
  inwards, outwards = (
    cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_5) for side in (inside, 1 - inside)
  )
  # Measured between pixel centres; the outline runs between them.
  signed = inwards - outwards
  signed -= 0.5 * np.sign(signed)
  cells = np.arange(SIZE) * 2 - (SIZE - 1)
  rows, columns = (cells + side // 2 for side in inside.shape)
  return np.float64(signed[np.ix_(rows, columns)]) / _PIXELS
