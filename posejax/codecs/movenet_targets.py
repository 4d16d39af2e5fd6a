"""What MoveNet's maps should be for labelled people, and the losses that train them to it.

Targets have the names and shapes of the outputs (`posejax.codecs.movenet` and `movenet_multi`), heatmaps
as probabilities; weights say, in shapes that broadcast to them, which cells count. A pair's target is
given in all cells near the place it is read from, because decoding may pick a neighbour.

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
  'keypoint_offsets': 1.0,
  'keypoint_regression': 0.1,
  'box_offset': 1.0,
  'box_scale': 0.1,
}
"""Of each map's loss in the sum. Source: arXiv:1904.07850, section 5 (0.1 for sizes, 1 for the rest)."""
HEATMAPS = ('center', 'keypoint_heatmaps')
SINGLE = ('center', 'keypoint_heatmaps', 'keypoint_regression', 'keypoint_offsets')
"""The maps of one person; several have boxes too."""


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
  labelled = jnp.asarray(visibility) > 0
  points = jnp.where(labelled[..., None], jnp.asarray(keypoints_crop, jnp.float32), 0.0)
  low = jnp.where(labelled[..., None], points, jnp.inf).min(axis=1)
  high = jnp.where(labelled[..., None], points, -jnp.inf).max(axis=1)
  present = labelled.any(axis=-1)
  boxes = jnp.where(present[:, None], jnp.concatenate([low, high], -1), 0.0)
  targets, weights = _person(points, labelled, boxes, present, grid_hw, stride, sigma)
  # Alone in the crop, no keypoint of this kind can be another's.
  weights['keypoint_heatmaps'] = labelled[:, None, None].astype(jnp.float32)
  weights['center'] = present[:, None, None, None].astype(jnp.float32)
  counts = _counts(weights)
  return {name: targets[name] for name in SINGLE}, {name: counts[name] for name in SINGLE}


def encode_multi(
  keypoints_crop: Array,
  visibility: Array,
  boxes_crop: Array,
  present: Array,
  grid_hw: tuple[int, int],
  stride: int = 4,
  sigma: float = SIGMA,
) -> tuple[Maps, Maps]:
  """Return the targets for pictures of several people, and their weights.

  A person's centre is the middle of the box. Where the places of two people are near, a cell's pairs
  are those of the nearer.

  Args:
    keypoints_crop: `[B, P, K, 2]`; ignored where not labelled.
    visibility: `[B, P, K]`, above 0 where labelled.
    boxes_crop: `[B, P, 4]` xyxy.
    present: `[B, P]`, 0 where there is no such person.
    grid_hw: (h, w) of the outputs.
    stride: pixels of the crop per cell.
    sigma: standard deviation of the bumps in cells.

  Returns:
    `(targets, weights)` of the six maps. In the box of a person, the heatmap of a keypoint that is not
    labelled there does not count.
  """
  present = jnp.asarray(present) > 0
  labelled = (jnp.asarray(visibility) > 0) & present[..., None]
  points = jnp.where(labelled[..., None], jnp.asarray(keypoints_crop, jnp.float32), 0.0)
  boxes = jnp.where(present[..., None], jnp.asarray(boxes_crop, jnp.float32), 0.0)

  def add(merged, person):
    return _merge(merged, _person(*person, grid_hw, stride, sigma)), None

  people = tuple(jnp.moveaxis(a, 1, 0) for a in (points, labelled, boxes, present))
  first = _person(*(a[0] for a in people), grid_hw, stride, sigma)
  (targets, weights), _ = jax.lax.scan(add, first, tuple(a[1:] for a in people))
  return targets, _counts(weights)


def _counts(weights: Maps) -> Maps:
  """Return 1 where nearness is above 0: it told whose pairs a cell has, and now that it has any."""
  return {n: x if n in HEATMAPS else (x > 0).astype(jnp.float32) for n, x in weights.items()}


def _merge(one: tuple[Maps, Maps], other: tuple[Maps, Maps]) -> tuple[Maps, Maps]:
  targets, weights = {}, {}
  for name in one[0]:
    (a, b), (near_a, near_b) = (one[0][name], other[0][name]), (one[1][name], other[1][name])
    if name in HEATMAPS:
      targets[name] = jnp.maximum(a, b)
      weights[name] = jnp.minimum(near_a, near_b)
    else:
      targets[name] = jnp.where(near_b > near_a, b, a)
      weights[name] = jnp.maximum(near_a, near_b)
  return targets, weights


def _person(points, labelled, boxes, present, grid_hw, stride, sigma) -> tuple[Maps, Maps]:
  """Return one person's targets and weights, `[B, h, w, C]` each.

  A pair's weight says how near its place is, and is 0 where the pair does not count.
  """
  h, w = grid_hw
  B = len(labelled)
  size = jnp.array([w, h], jnp.float32)
  corners = (boxes.reshape(B, 2, 2) + 0.5) / stride
  middle = corners.mean(axis=1)
  # The last place that is still in the last cell.
  center = jnp.clip(middle, 0, size - 1e-3)
  keypoints = (points + 0.5) / stride
  drawn = labelled & jnp.all((keypoints >= 0) & (keypoints < size), axis=-1)

  bumps = _bumps(jnp.floor(center)[:, None], present[:, None], grid_hw, sigma)
  joints = _bumps(jnp.floor(keypoints), drawn, grid_hw, sigma)
  at_center = _nearness(center[:, None], present[:, None], grid_hw)
  at_joints = _nearness(keypoints, drawn, grid_hw)
  x, y = jnp.arange(w, dtype=jnp.float32), jnp.arange(h, dtype=jnp.float32)
  grid = jnp.stack(jnp.meshgrid(x, y), -1)[:, :, None]
  to_joints = _flat(keypoints[:, None, None] - grid)
  extent = _flat(
    jnp.broadcast_to((corners[:, 1] - corners[:, 0])[:, None, None, None], (B, h, w, 1, 2))
  )
  within = (grid[:, :, 0] + 1 > corners[:, None, None, 0]) & (
    grid[:, :, 0] < corners[:, None, None, 1]
  )
  unknown = within.all(-1, keepdims=True) & present[:, None, None, None] & ~labelled[:, None, None]

  targets = {
    'center': bumps,
    'keypoint_heatmaps': joints,
    'keypoint_regression': to_joints,
    'keypoint_offsets': to_joints,
    'box_offset': _flat(middle[:, None, None, None] - grid),
    'box_scale': extent,
  }
  weights = {
    'center': jnp.ones((B, h, w, 1)),
    'keypoint_heatmaps': jnp.where(unknown, 0.0, 1.0),
    'keypoint_regression': _twice(at_center * labelled[:, None, None]),
    'keypoint_offsets': _twice(at_joints),
    'box_offset': _twice(at_center),
    'box_scale': _twice(at_center),
  }
  return targets, weights


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


def _nearness(places: jax.Array, counted: jax.Array, grid_hw) -> jax.Array:
  """Return how near a cell's middle is to a place, 1 at most, 0 for cells beyond `NEAR` of its own.

  Args:
    places: `[B, n, 2]`, (x, y) in cells from the crop's edge.
    counted: bool `[B, n]`, where False all is 0.
    grid_hw: (h, w).

  Returns:
    `[B, h, w, n]`.
  """

  def squared(cells):
    return jnp.moveaxis(movenet.squared_distances(cells, grid_hw), 1, -1)

  within = squared(jnp.floor(places)) <= NEAR**2
  return jnp.where(counted[:, None, None] & within, jnp.exp(-squared(places - 0.5)), 0.0)


def losses(outputs: movenet.Outputs, targets: Maps, weights: Maps) -> Maps:
  """Return every map's loss, float32 `[B]`, by its name.

  Heatmaps: the penalty-reduced focal loss, over the number of peaks that count. Pairs: the mean of
  `|output - target|` over what counts, in cells. Where nothing counts the loss is 0.

  Args:
    outputs: raw maps, by name; logits where targets are probabilities.
    targets: as `encode` or `encode_multi` returns them.
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
  maps = {name: targets[name] for name in SINGLE}
  return loss(outputs, maps, {name: targets[counts_of(name)] for name in SINGLE})


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
