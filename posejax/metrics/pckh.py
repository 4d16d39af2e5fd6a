"""PCKh: the share of labelled keypoints within a fraction of the head's size (MPII).

A keypoint is right at threshold t if its distance to the label is at most (`<=`) t times the head
size: 0.6 of the diagonal of the annotated head box (`posejax.geometry.boxes.head_size`). Figures are
shares in [0, 1], where published tables give percents.

Two habits go by the name "Mean@0.1". The code of MSRA and HRNet reads index 11 of the thresholds
0, 0.01, 0.02 …, which is 0.11; mmpose reads index 10. A name here says the threshold that was used:
hold `PCKh@0.11` against tables of MSRA and HRNet, `PCKh@0.10` against mmpose's. (mmpose also compares
with `<`, which differs only where a distance lies exactly on the threshold.)

Those programs add 1 to predictions because MPII's labels count pixels from 1. Labels here are in
the image frame, which counts from 0, so nothing is added.

Source: `evaluate` of microsoft/human-pose-estimation.pytorch lib/dataset/mpii.py and of
leoxiaobin/deep-high-resolution-net.pytorch; `MpiiPCKAccuracy` of open-mmlab/mmpose.
"""

import jax
import jax.numpy as jnp
import numpy as np

from posejax.skeletons import Skeleton
from posejax.types import Array

# Whole percents, so that a threshold is looked up by its value and a distance that lies exactly on
# it is compared without rounding.
_PERCENTS = np.array([10, 11, 50])
_DETAILED = 50
# Their labels follow from the joints around them, so the published mean leaves them out.
_NOT_IN_MEAN = ('pelvis', 'thorax')
_GROUPS = {
  'head': ('head_top',),
  **{
    p: (f'left_{p}', f'right_{p}') for p in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
  },
}

Sums = dict[str, Array]


def pckh_sums(
  predicted_image: Array,
  keypoints_image: Array,
  visibility: Array,
  head_sizes: Array,
  mask: Array,
) -> Sums:
  """Return what `summarize_pckh` needs of one batch; add up over batches and shards key by key.

  Args:
    predicted_image: `[B, K, 2]`, image frame.
    keypoints_image: `[B, K, 2]`, image frame.
    visibility: `[B, K]`, above 0 where labelled.
    head_sizes: `[B]`, pixels of the image; an example whose size is not above 0 is
      left out and counted.
    mask: `[B]`, 0 for padding, whose other values don't matter.

  Returns:
    float32 sums; hits are `[3, K]` by threshold (0.10, 0.11, 0.50) and keypoint.
  """
  mask = jnp.asarray(mask) > 0
  head_sizes, predicted_image, keypoints_image = (
    jnp.asarray(array, jnp.float32) for array in (head_sizes, predicted_image, keypoints_image)
  )
  measured = mask & (head_sizes > 0)
  counted = (jnp.asarray(visibility) > 0) & measured[:, None]
  difference = jnp.where(counted[..., None], predicted_image - keypoints_image, 0.0)
  distance = jnp.sqrt((difference**2).sum(axis=-1))
  near = 100 * distance[:, None] <= _PERCENTS[None, :, None] * head_sizes[:, None, None]
  return {
    'without_head': _count(mask & ~measured),
    'keypoints': _count(counted),
    'hits': _count(near & counted[:, None]),
  }


def summarize_pckh(sums: Sums, skeleton: Skeleton) -> dict[str, float]:
  """Turn sums into named figures.

  Returns:
    `PCKh@0.50`, `PCKh@0.11` and `PCKh@0.10`: hits divided by keypoints, without pelvis and thorax, NaN
    over no keypoints at all. `PCKh@0.50/<keypoint>`; and `PCKh@0.50/<group>` for `head`, `shoulder`,
    `elbow`, `wrist`, `hip`, `knee` and `ankle`: the mean of its sides. One of a keypoint that nobody
    labelled, or of a group that lacks one, is left out. `examples/without_head` is a count.
  """
  counts = np.asarray(sums['keypoints'], np.float64)
  hits = dict(zip(_PERCENTS.tolist(), np.asarray(sums['hits'], np.float64), strict=True))
  in_mean = np.array([name not in _NOT_IN_MEAN for name in skeleton.keypoints])
  total = counts[in_mean].sum()
  figures = {}
  for percent in sorted(hits, reverse=True):
    figures[_name(percent)] = float(hits[percent][in_mean].sum() / total) if total else float('nan')
  by_keypoint = {
    name: float(hits[_DETAILED][k] / counts[k])
    for k, name in enumerate(skeleton.keypoints)
    if counts[k]
  }
  for group, members in _GROUPS.items():
    if all(name in by_keypoint for name in members):
      mean = float(np.mean([by_keypoint[name] for name in members]))
      figures[f'{_name(_DETAILED)}/{group}'] = mean
  figures |= {f'{_name(_DETAILED)}/{name}': value for name, value in by_keypoint.items()}
  figures['examples/without_head'] = float(sums['without_head'])
  return figures


def _name(percent: int) -> str:
  return f'PCKh@{percent / 100:.2f}'


def _count(flags: jax.Array) -> jax.Array:
  return flags.astype(jnp.float32).sum(axis=0)
