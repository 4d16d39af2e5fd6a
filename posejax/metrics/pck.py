"""PCK: the share of labelled keypoints predicted close enough, and mean errors in pixels.

A keypoint is right at threshold t if its Euclidean distance to the label is at most (`<=`) t times
the figure's size, all in pixels of the original image. Two sizes:

* `torso`: the first of the skeleton's torso diagonals whose ends are both labelled (and apart):
  left shoulder to right hip, else right shoulder to left hip. An example with neither is left out of
  the torso figures and counted in `examples/without_torso`.
* `box`: the longer side of the example's box.

Every figure pools all labelled keypoints (visibility above 0): hits divided by keypoints.
"""

import jax
import jax.numpy as jnp
import numpy as np

from posejax.skeletons import Skeleton
from posejax.types import Array

# Whole percents, so that a threshold is looked up by its value and a distance that lies exactly on
# it is compared without rounding.
_PERCENTS = np.arange(1, 21)
_REPORTED = (20, 5)

Sums = dict[str, Array]


def pck_sums(
  predicted_image: Array,
  keypoints_image: Array,
  visibility: Array,
  boxes: Array,
  mask: Array,
  skeleton: Skeleton,
) -> Sums:
  """Return what `summarize_pck` needs of one batch; add up over batches and shards key by key.

  Args:
    predicted_image: `[B, K, 2]`, image frame.
    keypoints_image: `[B, K, 2]`, image frame.
    visibility: `[B, K]`, above 0 where labelled.
    boxes: `[B, 4]` xyxy, image frame.
    mask: `[B]`, 0 for padding, whose other values don't matter.
    skeleton: tells the torso; without one there are no torso sums.

  Returns:
    float32 sums; hits are `[20, K]` by threshold (0.01, 0.02 … 0.20) and keypoint.
  """
  mask = jnp.asarray(mask) > 0
  counted = (jnp.asarray(visibility) > 0) & mask[:, None]
  predicted_image, keypoints_image, boxes = (
    jnp.asarray(array, jnp.float32) for array in (predicted_image, keypoints_image, boxes)
  )
  difference = jnp.where(counted[..., None], predicted_image - keypoints_image, 0.0)
  distance = jnp.sqrt((difference**2).sum(axis=-1))
  box_size = jnp.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
  sums = {
    'examples': _count(mask),
    'keypoints': _count(counted),
    'distance': distance.sum(axis=0),
    'absolute': jnp.abs(difference).sum(axis=(0, 2)),
    'box_hits': _hits(distance, counted, box_size),
  }
  if skeleton.torso:
    torso_size = _torso_size(keypoints_image, counted, skeleton)
    counted &= (torso_size > 0)[:, None]
    sums |= {
      'without_torso': _count(mask & (torso_size == 0)),
      'torso_keypoints': _count(counted),
      'torso_hits': _hits(distance, counted, torso_size),
    }
  return sums


def summarize_pck(sums: Sums, skeleton: Skeleton) -> dict[str, float]:
  """Turn sums into named figures.

  Returns:
    `PCK@0.20/…`, `PCK@0.05/…` and `AUC/…` (mean of PCK over 0.01, 0.02 … 0.20) for `torso` and
    `box`; `PCK@0.20/torso/<keypoint>` per keypoint; `MAE/pixels` (mean of |x| and |y| errors over
    keypoints and both coordinates) and `distance/pixels` (mean Euclidean distance); the counts
    `examples`, `examples/without_torso` and `keypoints`. Without a torso the box stands in per
    keypoint and the torso figures are missing. A figure over no keypoints at all is NaN, one of a
    keypoint that nobody labelled is left out.
  """
  sums = {name: np.asarray(value, np.float64) for name, value in sums.items()}
  sizes = ('torso', 'box') if skeleton.torso else ('box',)
  counts = {'box': sums['keypoints'], 'torso': sums.get('torso_keypoints')}
  figures = {}
  for size in sizes:
    by_threshold = [_ratio(hits.sum(), counts[size].sum()) for hits in sums[f'{size}_hits']]
    for percent in _REPORTED:
      row = int(np.flatnonzero(percent == _PERCENTS)[0])
      figures[f'PCK@{percent / 100:.2f}/{size}'] = by_threshold[row]
    figures[f'AUC/{size}'] = float(np.mean(by_threshold))
  total = sums['keypoints'].sum()
  figures['MAE/pixels'] = _ratio(sums['absolute'].sum(), 2 * total)
  figures['distance/pixels'] = _ratio(sums['distance'].sum(), total)
  main, percent = sizes[0], _REPORTED[0]
  row = int(np.flatnonzero(percent == _PERCENTS)[0])
  for k, name in enumerate(skeleton.keypoints):
    if counts[main][k]:
      hits = sums[f'{main}_hits'][row, k]
      figures[f'PCK@{percent / 100:.2f}/{main}/{name}'] = _ratio(hits, counts[main][k])
  figures['examples'] = float(sums['examples'])
  if skeleton.torso:
    figures['examples/without_torso'] = float(sums['without_torso'])
  figures['keypoints'] = float(total)
  return figures


def _torso_size(keypoints: jax.Array, labelled: jax.Array, skeleton: Skeleton) -> jax.Array:
  """Return `[B]` lengths of the first usable diagonal, 0 where there is none."""
  size = jnp.zeros(labelled.shape[0])
  for a, b in reversed(skeleton.torso_indices):
    both = (labelled[:, a] & labelled[:, b])[:, None]
    difference = jnp.where(both, keypoints[:, a] - keypoints[:, b], 0.0)
    length = jnp.sqrt((difference**2).sum(axis=-1))
    size = jnp.where(length > 0, length, size)
  return size


def _hits(distance: jax.Array, counted: jax.Array, size: jax.Array) -> jax.Array:
  """Return `[20, K]`: how many of the counted keypoints lie within each threshold."""
  near = 100 * distance[:, None] <= _PERCENTS[None, :, None] * size[:, None, None]
  return _count(near & counted[:, None])


def _count(flags: jax.Array) -> jax.Array:
  return flags.astype(jnp.float32).sum(axis=0)


def _ratio(part: float, whole: float) -> float:
  return float(part / whole) if whole else float('nan')
