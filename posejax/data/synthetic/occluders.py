"""Things that stand in front: boards, bars, branches with leaves. Convex outlines, like the people."""

import numpy as np

from posejax.data.synthetic.background import leaves
from posejax.data.synthetic.outline import NUM_VERTICES, hulls

_COLOURS = np.array(
  [
    (120, 86, 60), (92, 66, 48), (160, 164, 168), (84, 90, 98), (48, 52, 60), (196, 188, 172),
    (74, 108, 150), (160, 66, 60), (214, 172, 92), (70, 100, 66), (230, 228, 222), (110, 60, 44),
  ], float,
)  # fmt: skip
_LEAVES = np.array([(56, 92, 48), (84, 124, 58), (118, 146, 66), (140, 116, 52)], float)


def sample(rng: np.random.Generator, box: np.ndarray, shape: tuple[int, int]):
  """Draw one occluder over a part of the person in `box`.

  Returns:
    outlines: float `[n, NUM_VERTICES, 2]`.
    colours: float `[n, 3]`.
  """
  u = rng.random(8)
  h, w = shape
  corner, size = box[:2], box[2:] - box[:2]
  colour = _COLOURS[int(u[1] * len(_COLOURS))] + (u[2] - 0.5) * 30
  if u[0] < 0.36:  # a board or wall before the legs, or a box before a side
    if u[3] < 0.55:
      y = corner[1] + size[1] * (0.62 + 0.26 * u[4])
      x0, x1 = (
        (-2, w + 2) if u[5] < 0.5 else (corner[0] - 14 * u[6], corner[0] + size[0] * (0.5 + u[7]))
      )
      rectangle = (x0, y, x1, h + 2)
    else:
      middle = corner + size * (u[4:6] * (1.1, 0.8) + (-0.05, 0.1))
      half = (0.1 + 0.12 * u[6]) * size.max() * np.array([1, 0.6 + 0.6 * u[7]])
      rectangle = (*(middle - half), *(middle + half))
    return _rectangle(*rectangle)[None], colour[None]
  if u[0] < 0.68:  # one to three bars or poles
    count = 1 + int(u[3] * 2.5)
    middle = corner + size * rng.random((count, 2))
    angle = np.pi / 2 + (u[4] - 0.5) * 0.5 if u[5] < 0.6 else (u[4] - 0.5) * 0.8
    reach = np.array([np.cos(angle), np.sin(angle)]) * (h + w)
    ends = np.stack([middle - reach, middle + reach], 1)
    radii = np.full((count, 2), 1.5 + 3.5 * u[6])
    outlines, _ = hulls(ends, radii, np.ones(count), np.zeros(2))
    return outlines, np.repeat(colour[None], count, 0)
  count = 10 + int(u[3] * 14)
  centre = corner + size * (u[4:6] * (1.0, 0.9))
  draws = rng.random((count, 6))
  tone = _LEAVES[int(u[6] * len(_LEAVES))] + (draws[:, 5:] - 0.5) * 46
  return leaves(draws, centre, np.array([0.5, 0.3]) * (20 + size.max() * 0.5)), tone


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
  """A rectangle as an outline of `NUM_VERTICES` points, the last corner repeated."""
  corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
  return corners[np.minimum(np.arange(NUM_VERTICES), 3)]
