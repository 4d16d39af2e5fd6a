"""A pinhole camera with lens distortion: points of the world to pixels. NumPy."""

import dataclasses
import functools

import numpy as np

from posejax.types import Array


@dataclasses.dataclass(frozen=True)
class Camera:
  """A calibrated camera.

  Attributes:
    intrinsics: `[3, 3]`, pixels; pixel centres at integer coordinates.
    distortion: (k1, k2, p1, p2, k3): radial, tangential and third radial coefficient.
    rotation: `[3, 3]` and
    translation: `[3]`, world to camera: `rotation @ point + translation`, z along the view.
    image_hw: (h, w) of its pictures.
  """

  intrinsics: np.ndarray
  distortion: np.ndarray
  rotation: np.ndarray
  translation: np.ndarray
  image_hw: tuple[int, int]

  @property
  def center(self) -> np.ndarray:
    """Where the camera stands in the world, `[3]`."""
    return -self.rotation.T @ self.translation

  @functools.cached_property
  def _largest_radius_squared(self) -> float:
    """How far from the axis (squared, at depth 1) the radial polynomial still grows.

    Beyond it the model folds back: points far outside the view would land inside the picture.
    """
    k1, k2, _, _, k3 = self.distortion
    # The derivative of r + k1 r^3 + k2 r^5 + k3 r^7, in r^2.
    roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1])
    real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
    return float(real.min()) if len(real) else np.inf

  def project(self, points: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels of points of the world, and which of them the camera model holds for.

    Args:
      points: `[..., 3]` in the calibration's unit of length.

    Returns:
      `(pixels [..., 2], valid bool [...])`: a point is valid before the camera and not so far aside
      that the distortion folds back; it may still lie outside the picture. Pixels of other points
      mean nothing (they are finite).

    Source: the camera model of OpenCV's `projectPoints` (Brown, 1966). The `projectPoints` of CMU's
    panoptic-toolbox computes y's tangential term from the already distorted x; against it pixels
    here differ by less than 0.1 where the tangential coefficients are as small as Panoptic's.
    """
    k1, k2, p1, p2, k3 = self.distortion
    seen = np.asarray(points, np.float64) @ self.rotation.T + self.translation
    depth = seen[..., 2]
    before = depth > 1e-9
    x, y = np.moveaxis(seen[..., :2] / np.where(before, depth, 1.0)[..., None], -1, 0)
    squared = x * x + y * y
    valid = before & (squared < self._largest_radius_squared)
    # What is not valid is moved onto the axis, where no power of the radius overflows.
    x, y, squared = (np.where(valid, value, 0.0) for value in (x, y, squared))
    radial = 1 + squared * (k1 + squared * (k2 + squared * k3))
    distorted = np.stack(
      [
        x * radial + 2 * p1 * x * y + p2 * (squared + 2 * x * x),
        y * radial + 2 * p2 * x * y + p1 * (squared + 2 * y * y),
        np.ones_like(x),
      ],
      axis=-1,
    )
    return (distorted @ self.intrinsics.T)[..., :2], valid
