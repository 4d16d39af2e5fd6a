"""Put a picture together: people as ordered outlines, what hides what, and the painting."""

import dataclasses

import cv2
import numpy as np

from posejax.data.synthetic import figure, outfit, outline, pose

NUM_DRAWS = pose.NUM_DRAWS + figure.NUM_DRAWS + outfit.NUM_DRAWS + 3
"""How many uniform draws one person takes."""
_SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_OTHER = len(outline.PARTS)
"""Part number of everything that is not a part of a person."""


@dataclasses.dataclass
class People:
  """People in metres: every array starts with the person.

  Attributes:
    centres, radii: discs `[n, parts, 4, 2]`, `[n, parts, 4]`.
    depth: painter's key `[n, parts]`, larger is farther.
    own: bool `[n, keypoints, parts]`, see `outline.own_parts`.
    colours: `[n, parts, 3]`; worn: bool `[n, parts]`.
    keypoints: `[n, keypoints, 2]`; box: `[n, 4]` of the worn outlines.
    points: `[n, points, 3]` and frames `[n, joints, 3, 3]` in the camera frame.
    stance: int `[n]`, a position in `pose.STANCES`.
  """

  centres: np.ndarray
  radii: np.ndarray
  depth: np.ndarray
  own: np.ndarray
  colours: np.ndarray
  worn: np.ndarray
  keypoints: np.ndarray
  box: np.ndarray
  points: np.ndarray
  frames: np.ndarray
  stance: np.ndarray


def people(u: np.ndarray) -> People:
  """Make people from uniform draws `[n, NUM_DRAWS]`."""
  a = pose.NUM_DRAWS
  b = a + figure.NUM_DRAWS
  c = b + outfit.NUM_DRAWS
  angles, stance = pose.sample(u[:, :a])
  factors = figure.proportions(u[:, a:b])
  points, frames = figure.stand_up(angles, factors)
  distance = 4.0 + 6.0 * u[:, c]
  centres, radii, depth = outline.discs(points, factors, distance)
  colours, worn = outfit.dress(u[:, b:c])
  # Farther parts are a little darker: the eye reads depth from it.
  colours = colours * (1 - 0.35 * np.clip(depth, 0, 0.4))[..., None]
  keypoints = figure.project(points, distance)[:, outline.KEYPOINT_POINT]
  reach = np.where(worn[..., None], radii, -1e3)[..., None]  # what is not worn reaches nowhere
  low = (centres - reach).min((1, 2))
  high = (centres + reach).max((1, 2))
  return People(
    centres, radii, depth, outline.own_parts(points, frames), colours, worn, keypoints,
    np.concatenate([low, high], -1), points, frames, stance,
  )  # fmt: skip


@dataclasses.dataclass
class Layers:
  """Outlines in the order of painting, far to near, in image pixels.

  Attributes:
    outer: `[T, V, 2]`, painted in `shade`; inner: `[T, V, 2]`, painted in `tone` on top of it.
    shade, tone: `[T, 3]`, RGB 0..255. A detail has the same polygon and colour twice.
    part: int `[T]`, the part of the person, `len(outline.PARTS)` for things.
    person: int `[T]`, -1 for things.
    single: bool `[T]`: painted in one tone.
  """

  outer: np.ndarray
  inner: np.ndarray
  shade: np.ndarray
  tone: np.ndarray
  part: np.ndarray
  person: np.ndarray
  single: np.ndarray


def person_layers(
  crowd: People, index: int, scale: float, offset: np.ndarray, sun: np.ndarray
) -> Layers:
  """Order one person's outlines, placed at `scale` pixels per metre and `offset` pixels.

  `sun` [2] points in the picture towards the light; its length is how far the light side shifts.
  """
  parts = np.flatnonzero(crowd.worn[index])
  parts = parts[np.argsort(-crowd.depth[index, parts], kind='stable')]
  centres = crowd.centres[index, parts] * scale + offset
  radii = crowd.radii[index, parts] * scale
  single = outline.DETAILS[parts]
  outer, inner = outline.hulls(centres, radii, np.where(single, 1.0, 0.66), sun)
  tone = crowd.colours[index, parts]
  shade = np.where(single[:, None], tone, tone * 0.76 - 4)
  return Layers(outer, inner, shade, tone, parts, np.full(len(parts), index), single)


def sun(turn: float, height: float) -> np.ndarray:
  """Return where the light comes from in the picture, `[2]`, from two uniform draws."""
  return np.array([0.8 * np.cos(turn * 2 * np.pi), -0.28 - 0.52 * height])


def shadow_under(box: np.ndarray, sun: np.ndarray, width: float) -> tuple[float, ...]:
  """Return the arguments of `background.shadow` for the person in `box`; `width` in 0..1."""
  span = max(box[2] - box[0], 0.16 * (box[3] - box[1])) * (0.5 + 0.2 * width)
  centre = (box[0] + box[2]) / 2 - sun[0] * span * 0.3
  return centre - span, centre + span, box[3] - 2, 0.16 * span + 0.06 * (box[3] - box[1])


def thing_layers(outlines: np.ndarray, colours: np.ndarray) -> Layers:
  """Wrap occluders' outlines `[n, V, 2]` and colours `[n, 3]` as layers."""
  n = len(outlines)
  middle = outlines.mean(1, keepdims=True)
  inner = middle + (outlines - middle) * np.where(np.ptp(outlines, axis=1) > 8, 0.93, 0.6)[:, None]
  return Layers(
    outlines, inner, colours * 0.72, colours, np.full(n, _OTHER), np.full(n, -1), np.zeros(n, bool)
  )


def stack(layers: list[Layers]) -> Layers:
  """Put layers on top of each other, the last nearest."""
  if len(layers) == 1:
    return layers[0]
  names = [f.name for f in dataclasses.fields(Layers)]
  return Layers(*(np.concatenate([getattr(layer, n) for layer in layers]) for n in names))


def visibility(
  keypoints: np.ndarray, own: np.ndarray, person: int, layers: Layers, shape: tuple[int, int]
) -> np.ndarray:
  """Return int32 `[keypoints]`: 2 where the topmost outline is the keypoint's own, 1 where another
  lies over it, 0 outside the picture's pixels.
  """
  h, w = shape
  inside = ((keypoints >= 0) & (keypoints <= (w - 1, h - 1))).all(-1)
  top = outline.topmost(keypoints, layers.outer)
  part = np.minimum(layers.part[top], _OTHER - 1)
  seen = (layers.person[top] == person) & own[np.arange(len(own)), part] & (top >= 0)
  return np.where(inside, np.where(seen, 2, 1), 0).astype(np.int32)


def paint(image: np.ndarray, layers: Layers):
  """Paint layers into a uint8 RGB image, in place."""
  outers, inners = (
    np.rint(p * (1 << _SHIFT)).astype(np.int32) for p in (layers.outer, layers.inner)
  )
  shades, tones = (c.clip(0, 255).tolist() for c in (layers.shade, layers.tone))
  for outer, inner, shade, tone, single in zip(
    outers, inners, shades, tones, layers.single.tolist(), strict=True
  ):
    if not single:
      cv2.fillConvexPoly(image, outer, shade, cv2.LINE_AA, _SHIFT)
    cv2.fillConvexPoly(image, inner, tone, cv2.LINE_AA, _SHIFT)
