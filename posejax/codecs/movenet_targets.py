"""What MoveNet's maps should be for a labelled person, and the losses that train them to it.

Targets have the names and shapes of the outputs (`posejax.codecs.movenet`), heatmaps as probabilities;
weights say, in shapes that broadcast to them, which cells count. A pair's target is given in all cells
near the place it is read from, because decoding may pick a neighbour.

Source: Zhou et al., "Objects as Points" (arXiv:1904.07850): one bump per thing, penalty-reduced focal
loss on heatmaps, L1 on pairs; offsets around the peak as `offset_peak_radius` in the CenterNet of
tensorflow/models research/object_detection/meta_architectures/center_net_meta_arch.py.
"""

import jax
import jax.numpy as jnp

from posejax.codecs import movenet
from posejax.types import Array

Maps = dict[str, jax.Array]

SIGMA = 1.25
"""Cells. Bumps of the published nets, averaged over people, fall off like a Gaussian of 1.2 to 1.5."""
NEAR = 2.0
"""Cells around a peak in which pairs are learnt."""
FOCUS, PENALTY = 2, 4
"""Powers in the focal loss: of what is still wrong, and of how far a cell is from a peak.

Source: alpha and beta of arXiv:1904.07850, equation 1.
"""
FACTORS = {
  'center': 1.0,
  'keypoint_heatmaps': 1.0,
  'keypoint_regression': 0.1,
  'keypoint_offsets': 1.0,
}
"""Of each map's loss in the sum. Source: arXiv:1904.07850, section 5 (0.1 for sizes, 1 for the rest)."""
HEATMAPS = ('center', 'keypoint_heatmaps')
MAPS = tuple(FACTORS)


def counts_of(name: str) -> str:
  """Return the name under which a codec's targets say which values of a map count."""
  return f'{name}_counts'


def encode(
  keypoints_crop: Array,
  visibility: Array,
  grid_hw: tuple[int, int],
  stride: int = 4,
  sigma: float = SIGMA,
) -> tuple[Maps, Maps]:
  """Return the targets for crops of one person each, and their weights.

  The person's centre is the middle of the labelled keypoints' extent; if that lies outside the crop,
  the nearest cell.

  Args:
    keypoints_crop: `[B, K, 2]`; ignored where not labelled, NaN included.
    visibility: `[B, K]`, above 0 where labelled.
    grid_hw: (h, w) of the outputs.
    stride: pixels of the crop per cell.
    sigma: standard deviation of the bumps in cells.

  Returns:
    `(targets, weights)` of the four maps. The heatmap of a keypoint that is not labelled does not
    count; nor does anything of a crop where nothing is labelled.
  """
  h, w = grid_hw
  size = jnp.array([w, h], jnp.float32)
  labelled = jnp.asarray(visibility) > 0
  points = jnp.where(labelled[..., None], jnp.asarray(keypoints_crop, jnp.float32), 0.0)
  keypoints = (points + 0.5) / stride
  low = jnp.where(labelled[..., None], keypoints, jnp.inf).min(axis=1)
  high = jnp.where(labelled[..., None], keypoints, -jnp.inf).max(axis=1)
  present = labelled.any(axis=-1)
  # The last place that is still in the last cell.
  center = jnp.clip(jnp.where(present[:, None], (low + high) / 2, 0.0), 0, size - 1e-3)
  drawn = labelled & jnp.all((keypoints >= 0) & (keypoints < size), axis=-1)

  x, y = jnp.arange(w, dtype=jnp.float32), jnp.arange(h, dtype=jnp.float32)
  grid = jnp.stack(jnp.meshgrid(x, y), -1)[:, :, None]
  to_joints = _flat(keypoints[:, None, None] - grid)
  targets = {
    'center': _bumps(jnp.floor(center)[:, None], present[:, None], grid_hw, sigma),
    'keypoint_heatmaps': _bumps(jnp.floor(keypoints), drawn, grid_hw, sigma),
    'keypoint_regression': to_joints,
    'keypoint_offsets': to_joints,
  }
  at_center = _near(center[:, None], present[:, None], grid_hw)
  # Alone in the crop, no keypoint of this kind can be another's.
  weights = {
    'center': present[:, None, None, None],
    'keypoint_heatmaps': labelled[:, None, None],
    'keypoint_regression': _twice(at_center & labelled[:, None, None]),
    'keypoint_offsets': _twice(_near(keypoints, drawn, grid_hw)),
  }
  return targets, {name: weight.astype(jnp.float32) for name, weight in weights.items()}


def _flat(places: jax.Array) -> jax.Array:
  """Return pairs (x, y) `[B, h, w, n, 2]` as maps of (y, x), `[B, h, w, 2 n]`."""
  return places[..., ::-1].reshape(*places.shape[:3], -1)


def _twice(values: jax.Array) -> jax.Array:
  """Return `[B, h, w, n]` with every channel twice, for its y and its x."""
  return jnp.repeat(values, 2, axis=-1)


def _bumps(cells: jax.Array, drawn: jax.Array, grid_hw, sigma: float) -> jax.Array:
  """Return Gaussians of height 1 on whole cells (x, y) `[B, n, 2]`, as `[B, h, w, n]`."""
  squared = jnp.moveaxis(movenet.squared_distances(cells, grid_hw), 1, -1)
  return jnp.where(drawn[:, None, None], jnp.exp(-squared / (2 * sigma**2)), 0.0)


def _near(places: jax.Array, counted: jax.Array, grid_hw) -> jax.Array:
  """Return which cells lie within `NEAR` of a place's own.

  Args:
    places: `[B, n, 2]`, (x, y) in cells from the crop's edge.
    counted: bool `[B, n]`, where False none does.
    grid_hw: (h, w).

  Returns:
    bool `[B, h, w, n]`.
  """
  squared = jnp.moveaxis(movenet.squared_distances(jnp.floor(places), grid_hw), 1, -1)
  return counted[:, None, None] & (squared <= NEAR**2)


def losses(outputs: movenet.Outputs, targets: Maps, weights: Maps) -> Maps:
  """Return every map's loss, float32 `[B]`, by its name.

  Heatmaps: the penalty-reduced focal loss, over the number of peaks that count. Pairs: the mean of
  `|output - target|` over what counts, in cells. Where nothing counts the loss is 0.

  Args:
    outputs: raw maps, by name; logits where targets are probabilities.
    targets: as `encode` returns them.
    weights: likewise.
  """
  found = {}
  for name, target in targets.items():
    output = jnp.asarray(outputs[name], jnp.float32)
    weight = jnp.broadcast_to(weights[name], target.shape)
    of_map = _focal if name in HEATMAPS else _l1
    found[name] = of_map(output, target, weight)
  return found


def loss(outputs: movenet.Outputs, targets: Maps, weights: Maps) -> jax.Array:
  """Return the sum of `losses`, each times its factor in `FACTORS`, float32 `[B]`."""
  return sum(FACTORS[name] * x for name, x in losses(outputs, targets, weights).items())


def codec_loss(outputs: movenet.Outputs, targets: Maps, weights: Array) -> jax.Array:
  """Return `loss` for what `posejax.codecs.MoveNet.encode` gave, float32 `[B]`."""
  del weights  # the counts say more
  maps = {name: targets[name] for name in MAPS}
  return loss(outputs, maps, {name: targets[counts_of(name)] for name in MAPS})


def _focal(logits: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
  p = jax.nn.sigmoid(logits)
  peak = target >= 1
  right = (1 - p) ** FOCUS * jax.nn.log_sigmoid(logits)
  wrong = (1 - target) ** PENALTY * p**FOCUS * jax.nn.log_sigmoid(-logits)
  axes = (1, 2, 3)
  peaks = (peak * weight).sum(axes)
  return -(weight * jnp.where(peak, right, wrong)).sum(axes) / jnp.maximum(peaks, 1)


def _l1(output: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
  axes = (1, 2, 3)
  error = jnp.where(weight > 0, jnp.abs(output - target), 0.0)
  return error.sum(axes) / jnp.maximum(weight.sum(axes), 1)
