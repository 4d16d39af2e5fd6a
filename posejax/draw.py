"""Pictures for people: keypoints, limbs, boxes, heatmaps and contact sheets on numpy images.

Everything takes and returns uint8 RGB `[H, W, 3]`; only what is called `paint` draws in place.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from posejax import files
from posejax.skeletons import Skeleton
from posejax.types import Array

# The figure's own left is warm, its right is cool, so that a swap is seen at a glance.
SIDE_COLORS = {'left': (255, 120, 30), 'right': (40, 150, 255), 'middle': (90, 220, 90)}
_COLORS = (
  (255, 230, 0), (0, 220, 255), (255, 90, 200), (120, 255, 80), (255, 150, 50), (150, 140, 255),
)  # fmt: skip
_SHIFT = 4  # OpenCV draws with 4 fractional bits, so that half pixels are visible.
_MOST = 2**28  # its numbers have 32 bits
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def color_of(number: int) -> tuple[int, int, int]:
  """Return the colour of a class or a track: six that are told apart on any ground."""
  return _COLORS[number % len(_COLORS)]


def fixed(x: float, y: float) -> tuple[int, int]:
  """Return a point in OpenCV's fixed-point numbers, as `paint_line` and `paint_dot` take it."""
  return tuple(min(max(round(v * 2**_SHIFT), -_MOST), _MOST) for v in (float(x), float(y)))


def limb_color(skeleton: Skeleton, a: int, b: int) -> tuple[int, int, int]:
  """Return the colour of the limb between two keypoints: of the side that they are of."""
  sides = {skeleton.side(a), skeleton.side(b)} - {'middle'}
  return SIDE_COLORS[sides.pop() if len(sides) == 1 else 'middle']


def paint_line(
  canvas: np.ndarray,
  a: tuple[int, int],
  b: tuple[int, int],
  *,
  color: tuple[int, int, int],
  thickness: int,
) -> None:
  """Draw a limb in place, between `fixed` ends."""
  cv2.line(canvas, a, b, color, thickness, cv2.LINE_AA, _SHIFT)


def paint_dot(
  canvas: np.ndarray, center: tuple[int, int], *, color: tuple[int, int, int], thickness: int
) -> None:
  """Draw a keypoint in place at a `fixed` point, with a white rim, as large as limbs are thick."""
  radius = _radius(thickness)
  cv2.circle(canvas, center, radius, color, -1, cv2.LINE_AA, _SHIFT)
  cv2.circle(canvas, center, radius, (255, 255, 255), 1, cv2.LINE_AA, _SHIFT)


def _radius(thickness: int) -> int:
  return round(1.4 * thickness * 2**_SHIFT)


def enlarge(image: np.ndarray, keypoints: Array | None, factor: int):
  """Return picture and points `factor` times as large, pixel centres on pixel centres' images.

  A point at (0, 0), the centre of the first pixel, moves to the centre of its enlarged block.
  """
  h, w = image.shape[:2]
  large = cv2.resize(image, (w * factor, h * factor), interpolation=cv2.INTER_NEAREST)
  if keypoints is None:
    return large, None
  return large, (np.asarray(keypoints, np.float64) + 0.5) * factor - 0.5


def draw_skeleton(
  image: np.ndarray,
  keypoints: Array,
  skeleton: Skeleton,
  shown: Array | None = None,
  hidden: Array | None = None,
  thickness: int | None = None,
) -> np.ndarray:
  """Draw limbs and keypoints: the figure's left warm, its right cool, the middle green.

  Args:
    image: uint8 `[H, W, 3]`.
    keypoints: `[K, 2]` in pixels of `image`.
    skeleton: names the limbs and sides.
    shown: bool `[K]`, which keypoints are drawn; all where None. A limb needs both its ends.
    hidden: bool `[K]`, which keypoints are drawn as rings around black (labelled but not visible).
    thickness: of limbs in pixels; by the picture's size where None.
  """
  image = np.ascontiguousarray(image).copy()
  K = skeleton.num_keypoints
  keypoints = np.asarray(keypoints, np.float64)
  shown = np.ones(K, bool) if shown is None else np.asarray(shown, bool)
  hidden = np.zeros(K, bool) if hidden is None else np.asarray(hidden, bool)
  if thickness is None:
    thickness = max(1, round(max(image.shape[:2]) / 160))
  for a, b in skeleton.limb_indices:
    if shown[a] and shown[b]:
      ends = fixed(*keypoints[a]), fixed(*keypoints[b])
      paint_line(image, *ends, color=limb_color(skeleton, a, b), thickness=thickness)
  for k in np.flatnonzero(shown):
    center = fixed(*keypoints[k])
    color = SIDE_COLORS[skeleton.side(k)]
    if hidden[k]:
      radius = _radius(thickness)
      cv2.circle(image, center, radius, (0, 0, 0), -1, cv2.LINE_AA, _SHIFT)
      cv2.circle(image, center, radius, color, max(1, thickness // 2), cv2.LINE_AA, _SHIFT)
    else:
      paint_dot(image, center, color=color, thickness=thickness)
  return image


def draw_box(
  image: np.ndarray, box: Array, color: tuple[int, int, int] = (255, 230, 0), label: str = ''
) -> np.ndarray:
  """Draw a box (xyxy, corners at pixel centres) and a label at its upper left."""
  image = np.ascontiguousarray(image).copy()
  paint_box(image, box, color, label)
  return image


def paint_box(canvas: np.ndarray, box: Array, color: tuple[int, int, int], label: str) -> None:
  """Draw a box as `draw_box` does, in place: a copy for each of many costs more than drawing."""
  thickness = max(1, round(max(canvas.shape[:2]) / 320))
  corners = fixed(*box[:2]), fixed(*box[2:])
  cv2.rectangle(canvas, *corners, color, thickness, cv2.LINE_AA, _SHIFT)
  if label:
    width = cv2.getTextSize(label, _FONT, 0.4, 1)[0][0]
    x = max(min(round(float(box[0])) + 2, canvas.shape[1] - width - 2), 0)
    y = max(round(float(box[1])) - 3, 9)
    _paint_text(canvas, label, (x, y), color)


def write(
  image: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int] = (255, 255, 255)
) -> np.ndarray:
  """Write `text` with its lower left corner at `at`, outlined so that it reads on any ground."""
  image = np.ascontiguousarray(image).copy()
  _paint_text(image, text, at, color)
  return image


def _paint_text(
  canvas: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int]
) -> None:
  # Not a thicker text below: OpenCV 5 sets that wider.
  around = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
  for dx, dy in around:
    cv2.putText(canvas, text, (at[0] + dx, at[1] + dy), _FONT, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
  cv2.putText(canvas, text, at, _FONT, 0.4, color, 1, cv2.LINE_AA)


def overlay_heatmaps(
  image: np.ndarray, heatmaps: Array, cell: tuple[float, float] = (1.0, 1.0), factor: int = 1
) -> np.ndarray:
  """Lay the largest value over all keypoints over a picture, black to yellow.

  Args:
    image: uint8 `[H, W, 3]`.
    heatmaps: `[h, w, K]`; values are clipped to [0, 1], NaN to 0.
    cell: (x, y) pixels from one cell to the next, of which the first is on the first pixel's centre;
      `posejax.codecs.base.Codec.map_cell`.
    factor: by which `enlarge` has enlarged the picture since.
  """
  H, W = image.shape[:2]
  # Of a net that has gone astray: what is no number is nothing seen.
  finite = np.nan_to_num(np.asarray(heatmaps, np.float32), posinf=1)
  strongest = np.clip(finite.max(axis=-1), 0, 1)
  first = (factor - 1) / 2
  to_image = np.float64([[cell[0] * factor, 0, first], [0, cell[1] * factor, first]])
  level = cv2.warpAffine(strongest, to_image, (W, H), borderMode=cv2.BORDER_REPLICATE)
  colored = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
  return (0.4 * image + 0.6 * colored).astype(np.uint8)


def contact_sheet(
  rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] = (), gap: int = 4
) -> np.ndarray:
  """Join pictures into a sheet: rows of equal-height pictures, a title above each column.

  Pictures smaller than the largest of their column or row are centred on dark grey.
  """
  columns = max(len(row) for row in rows)
  heights = [max(image.shape[0] for image in row) for row in rows]
  widths = [max(row[c].shape[1] for row in rows if c < len(row)) for c in range(columns)]
  top = 18 if titles else 0
  sheet = np.full(
    (top + sum(heights) + gap * (len(rows) + 1), sum(widths) + gap * (columns + 1), 3), 40, np.uint8
  )
  y = top + gap
  for row, height in zip(rows, heights, strict=True):
    x = gap
    for image, width in zip(row, widths, strict=False):
      h, w = image.shape[:2]
      dy, dx = y + (height - h) // 2, x + (width - w) // 2
      sheet[dy : dy + h, dx : dx + w] = image
      x += width + gap
    y += height + gap
  x = gap
  for title, width in zip(titles, widths, strict=False):
    sheet = write(sheet, title, (x, 13))
    x += width + gap
  return sheet


def legend() -> np.ndarray:
  """Return a strip that says what the colours and rings of `draw_skeleton` mean."""
  strip = np.full((22, 620, 3), 40, np.uint8)
  x = 8
  for side, text in (
    ('left', "the person's own left"),
    ('right', 'own right'),
    ('middle', 'middle'),
  ):
    cv2.circle(strip, (x + 4, 11), 5, SIDE_COLORS[side], -1, cv2.LINE_AA)
    strip = write(strip, text, (x + 14, 15), SIDE_COLORS[side])
    x += 30 + cv2.getTextSize(text, _FONT, 0.4, 1)[0][0]
  white = (255, 255, 255)
  for filled, text in ((-1, 'visible'), (1, 'hidden'), (None, '(not labelled: not drawn)')):
    if filled is not None:
      cv2.circle(strip, (x + 4, 11), 5, (0, 0, 0), -1, cv2.LINE_AA)
      cv2.circle(strip, (x + 4, 11), 5, white, filled, cv2.LINE_AA)
      x += 14
    strip = write(strip, text, (x, 15), white)
    x += 16 + cv2.getTextSize(text, _FONT, 0.4, 1)[0][0]
  return strip


def save(path: str, image: np.ndarray) -> None:
  """Write a picture as PNG or JPEG by its name, whole or not at all.

  Raises:
    OSError: it could not be written.
  """
  ok, encoded = cv2.imencode('.' + path.rsplit('.', 1)[-1], np.ascontiguousarray(image[..., ::-1]))
  if not ok:
    raise OSError(f'{path}: OpenCV cannot encode this kind of file; use .png or .jpg.')
  with files.replacing(path) as temporary, open(temporary, 'wb') as file:
    file.write(encoded.tobytes())
