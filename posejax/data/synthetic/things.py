"""Things that stand about: balls, crates and cones. Convex outlines, like the people."""

import dataclasses

import numpy as np

from posejax.data.synthetic import render
from posejax.data.synthetic.outline import NUM_VERTICES, topmost

KINDS = ('ball', 'crate', 'cone')
NUM_DRAWS = 8
"""How many uniform draws a thing takes."""
_BALLS = np.array(
  [(214, 64, 54), (58, 110, 196), (236, 196, 62), (240, 240, 236), (96, 170, 84)], float
)
_CRATES = np.array([(150, 108, 66), (182, 142, 94), (112, 82, 56), (120, 126, 132)], float)
_CONES = np.array([(236, 112, 40), (222, 70, 46), (240, 206, 58)], float)
_WHITE = np.array([236.0, 236, 230])
_INNER = np.array([(0, 0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)])
"""Points of a thing by which it is told whether it is seen, in halves of its box."""


def sample(u: np.ndarray, foot: np.ndarray, size: float) -> tuple[int, render.Layers, np.ndarray]:
  """Draw one thing.

  Args:
    u: float `[NUM_DRAWS]` uniform draws.
    foot: (x, y) of the middle of where it stands.
    size: pixels from foot to top.

  Returns:
    `(number of its kind, its outlines far to near, box [4] of the outermost)`.
  """
  kind = int(u[0] * len(KINDS))
  palette = (_BALLS, _CRATES, _CONES)[kind]
  colour = palette[int(u[1] * len(palette))] + (u[2] - 0.5) * 36
  make = (_ball, _crate, _cone)[kind]
  outlines, colours = make(u[3:], colour)
  outlines = outlines * size + foot
  box = np.concatenate([outlines.min((0, 1)), outlines.max((0, 1))])
  return kind, render.thing_layers(outlines, np.clip(colours, 0, 255)), box


def owned(layers: render.Layers, number: int) -> render.Layers:
  """Return the layers of a thing as those of the instance with this number."""
  return dataclasses.replace(layers, person=np.full(len(layers.person), number))


def is_seen(box: np.ndarray, number: int, layers: render.Layers) -> bool:
  """Return whether two of five points of a thing are topmost; outside the picture counts as seen."""
  points = (box[:2] + box[2:]) / 2 + _INNER * (box[2:] - box[:2]) / 2
  top = topmost(points, layers.outer)
  return bool(((layers.person[top] == number) & (top >= 0)).sum() >= 2)


def _ball(u: np.ndarray, colour: np.ndarray):
  angle = np.arange(NUM_VERTICES) * (2 * np.pi / NUM_VERTICES)
  circle = np.stack([np.cos(angle), np.sin(angle)], -1) / 2
  turn = u[0] * np.pi
  rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
  stripe = (circle * (0.98, 0.3 + 0.3 * u[1])) @ rotation.T
  return np.stack([circle, stripe]) - (0, 0.5), np.stack([colour, _WHITE - 40 * u[2]])


def _crate(u: np.ndarray, colour: np.ndarray):
  half = (0.8 + 0.7 * u[0]) / 2
  parts = [_polygon([(-half, -1), (half, -1), (half, 0), (-half, 0)])]
  for k in range(3):
    y = -0.9 + 0.3 * k
    parts.append(
      _polygon(
        [(-half + 0.06, y), (half - 0.06, y), (half - 0.06, y + 0.2), (-half + 0.06, y + 0.2)]
      )
    )
  return np.stack(parts), np.stack([colour * 0.8, colour * 1.1, colour, colour * 1.05])


def _cone(u: np.ndarray, colour: np.ndarray):
  wide, high, low = 0.34 + 0.12 * u[0], -1.0, -0.08

  def ring(y1: float, y2: float) -> np.ndarray:
    (a, b) = (0.05 + (0.8 * wide - 0.05) * (y - high) / (low - high) for y in (y1, y2))
    return _polygon([(-a, y1), (a, y1), (b, y2), (-b, y2)])

  foot = _polygon([(-wide, -0.1), (wide, -0.1), (wide, 0), (-wide, 0)])
  outlines = np.stack([foot, ring(high, low), ring(-0.62, -0.4)])
  return outlines, np.stack([colour * 0.7, colour, _WHITE - 30 * u[1]])


def _polygon(corners: list[tuple[float, float]]) -> np.ndarray:
  """Return an outline of `NUM_VERTICES` points, the last corner repeated."""
  corners = np.array(corners, float)
  return corners[np.minimum(np.arange(NUM_VERTICES), len(corners) - 1)]
