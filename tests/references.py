"""Slow, literal NumPy forms of the published algorithms, one keypoint and one cell at a time.

Written from their description and unlike the package, so that both are wrong together only by bad
luck. Heatmaps of one keypoint are [h, w]; points are (x, y); sizes are (h, w).
"""

import math

import cv2
import numpy as np


def three_point_matrix(center, size, rotation_degrees, crop_hw):
  """The MSRA crop: three points of the picture onto three points of the crop."""
  H, W = crop_hw
  angle = math.radians(rotation_degrees)
  half = size[0] / 2
  # The vector (0, -half) turned by the angle, and that one turned back by a right angle.
  up = np.array([half * math.sin(angle), -half * math.cos(angle)])
  left_of_up = np.array([up[1], -up[0]])
  source = np.stack([center, center + up, center + up + left_of_up])
  target = np.array([[W / 2, H / 2], [W / 2, H / 2 - W / 2], [0, H / 2 - W / 2]])
  return cv2.getAffineTransform(source.astype(np.float32), target.astype(np.float32))


def udp_matrix(center, size, rotation_degrees, crop_hw):
  """The UDP crop step by step: to the centre, turn, to the region's corner, scale per axis."""
  H, W = crop_hw
  # UDP's own code turns clockwise for positive angles.
  angle = -math.radians(rotation_degrees)
  to_center = np.array([[1, 0, -center[0]], [0, 1, -center[1]], [0, 0, 1]])
  turn = np.array(
    [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
  )
  to_corner = np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1]])
  scale = np.diag([(W - 1) / size[0], (H - 1) / size[1], 1])
  return (scale @ to_corner @ turn @ to_center)[:2]


def stride(codec_name, crop_hw, heatmap_hw):
  """Pixels of the crop per cell, (x, y)."""
  less = 1 if codec_name == 'udp' else 0
  (H, W), (h, w) = crop_hw, heatmap_hw
  return (W - less) / (w - less), (H - less) / (h - less)


def encode(codec_name, keypoint, labelled, crop_hw, heatmap_hw, sigma):
  """One keypoint's target and weight, cell by cell."""
  h, w = heatmap_hw
  target = np.zeros((h, w))
  step = stride(codec_name, crop_hw, heatmap_hw)
  if not labelled:
    return target, 0.0
  mean_x, mean_y = keypoint[0] / step[0], keypoint[1] / step[1]
  radius = 3 * sigma
  if codec_name == 'dark':
    patch_x, patch_y = mean_x, mean_y
  else:
    patch_x, patch_y = int(mean_x + 0.5), int(mean_y + 0.5)
  if codec_name == 'msra':
    mean_x, mean_y = patch_x, patch_y
  if patch_x - radius >= w or patch_y - radius >= h:
    return target, 0.0
  if patch_x + radius + 1 < 0 or patch_y + radius + 1 < 0:
    return target, 0.0
  for y in range(h):
    for x in range(w):
      inside = abs(x - patch_x) <= radius and abs(y - patch_y) <= radius
      if inside or codec_name == 'dark':
        squared = (x - mean_x) ** 2 + (y - mean_y) ** 2
        target[y, x] = math.exp(-squared / (2 * sigma**2))
  return target, 1.0


def decode(codec_name, heatmap, crop_hw, sigma):
  """One heatmap's keypoint in crop pixels and its score."""
  h, w = heatmap.shape
  best, px, py = -math.inf, 0, 0
  for y in range(h):
    for x in range(w):
      if heatmap[y, x] > best:
        best, px, py = heatmap[y, x], x, y
  if best <= 0:
    return np.zeros(2), best
  point = np.array([px, py], float)
  point += {'msra': _quarter, 'dark': _dark_step, 'udp': _udp_step}[codec_name](
    heatmap, px, py, sigma
  )
  return point * stride(codec_name, crop_hw, heatmap.shape), best


def _quarter(heatmap, px, py, sigma):
  h, w = heatmap.shape
  if not (1 < px < w - 1 and 1 < py < h - 1):
    return np.zeros(2)
  right = heatmap[py, px + 1] - heatmap[py, px - 1]
  down = heatmap[py + 1, px] - heatmap[py - 1, px]
  return np.array([np.sign(right) * 0.25, np.sign(down) * 0.25])


def _smooth(heatmap, sigma):
  kernel = {2: 11, 3: 17}[sigma]
  border = kernel // 2
  padded = np.pad(heatmap.astype(np.float64), border)
  smooth = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
  return smooth * heatmap.max() / smooth.max()


def _dark_step(heatmap, px, py, sigma):
  h, w = heatmap.shape
  if not (1 < px < w - 2 and 1 < py < h - 2):
    return np.zeros(2)
  L = np.log(np.maximum(_smooth(heatmap, sigma), 1e-10))
  # The second derivative as the central difference of central differences.
  along_x, along_y = np.zeros_like(L), np.zeros_like(L)
  along_x[:, 1:-1] = (L[:, 2:] - L[:, :-2]) / 2
  along_y[1:-1] = (L[2:] - L[:-2]) / 2
  gradient = np.array([along_x[py, px], along_y[py, px]])
  xx = (along_x[py, px + 1] - along_x[py, px - 1]) / 2
  yy = (along_y[py + 1, px] - along_y[py - 1, px]) / 2
  xy = (along_x[py + 1, px] - along_x[py - 1, px]) / 2
  return _solve(np.array([[xx, xy], [xy, yy]]), gradient, heatmap.shape)


def _udp_step(heatmap, px, py, sigma):
  L = np.pad(np.log(np.clip(_smooth(heatmap, sigma), 1e-3, 50)), 1, mode='edge')
  x, y = px + 1, py + 1
  gradient = np.array([(L[y, x + 1] - L[y, x - 1]) / 2, (L[y + 1, x] - L[y - 1, x]) / 2])
  xx = (L[y, x + 1] - L[y, x]) - (L[y, x] - L[y, x - 1])
  yy = (L[y + 1, x] - L[y, x]) - (L[y, x] - L[y - 1, x])
  # The mean of the mixed difference in the quadrant below right and of that above left.
  below = (L[y + 1, x + 1] - L[y + 1, x]) - (L[y, x + 1] - L[y, x])
  above = (L[y, x] - L[y, x - 1]) - (L[y - 1, x] - L[y - 1, x - 1])
  xy = (below + above) / 2
  epsilon = np.finfo(np.float32).eps
  return _solve(np.array([[xx + epsilon, xy], [xy, yy + epsilon]]), gradient, heatmap.shape)


def _solve(hessian, gradient, shape):
  if np.linalg.det(hessian) == 0:
    return np.zeros(2)
  step = -np.linalg.solve(hessian, gradient)
  return step if np.abs(step).max() <= max(shape) else np.zeros(2)


def torso_size(keypoints, visibility, diagonals):
  """Length of the first labelled diagonal, or None."""
  for a, b in diagonals:
    if visibility[a] > 0 and visibility[b] > 0:
      return math.dist(keypoints[a], keypoints[b])
  return None


def pck(predicted, keypoints, visibility, boxes, diagonals, threshold, size_name, only=None):
  """Share of labelled keypoints within threshold, one at a time; `only` names one keypoint."""
  hits = total = 0
  for i in range(len(keypoints)):
    if size_name == 'box':
      x1, y1, x2, y2 = boxes[i]
      size = max(x2 - x1, y2 - y1)
    else:
      size = torso_size(keypoints[i], visibility[i], diagonals)
    if size is None:
      continue
    for k in range(keypoints.shape[1]):
      if visibility[i, k] > 0 and only in (None, k):
        total += 1
        hits += math.dist(predicted[i, k], keypoints[i, k]) / size <= threshold
  return hits / total


def heatmap_mse(predicted, target, weights, foreground_weight=1.0):
  """Loss of one example, [h, w, K] each, cell by cell."""
  h, w, K = target.shape
  total = 0.0
  for k in range(K):
    for y in range(h):
      for x in range(w):
        emphasis = 1 + (foreground_weight - 1) * target[y, x, k]
        total += weights[k] * emphasis * (predicted[y, x, k] - target[y, x, k]) ** 2
  return total / (h * w * K)
