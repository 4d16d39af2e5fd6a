import math

import jax
import numpy as np
import pytest

from posejax import skeletons
from posejax.geometry import boxes
from posejax.metrics import pckh
from tests import compiling

MPII = skeletons.MPII
# Numbers of MPII's own joint list, so that a permuted skeleton would be noticed.
GROUPS = {
  'head': [9], 'shoulder': [13, 12], 'elbow': [14, 11], 'wrist': [15, 10],
  'hip': [3, 2], 'knee': [4, 1], 'ankle': [5, 0],
}  # fmt: skip
IN_MEAN = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]

ROWS = 11
_compiled = compiling.jit(lambda batch: pckh.pckh_sums(**batch))


def _sums(batch):
  """Sums of a batch filled up to one size, so that it compiles once."""
  fill = ROWS - len(batch['mask'])
  rows = {name: np.concatenate([v, v[:1].repeat(fill, 0)]) for name, v in batch.items()}
  rows['mask'][ROWS - fill :] = 0
  return _compiled({name: value.astype(np.float32) for name, value in rows.items()})


def _batch(seed, B=ROWS):
  rng = np.random.default_rng(seed)
  keypoints = rng.uniform(0, 600, (B, 16, 2)).astype(np.float32)
  # About a tenth to a half of a head, so that every threshold separates something.
  predicted = keypoints + rng.normal(0, 1, (B, 16, 2)) * rng.choice([3, 12, 30], (B, 16, 1))
  low = rng.uniform(0, 300, (B, 2))
  head_boxes = np.concatenate([low, low + rng.uniform((40, 60), (80, 120), (B, 2))], -1)
  return {
    'predicted_image': predicted.astype(np.float32),
    'keypoints_image': keypoints,
    'visibility': rng.choice(3, (B, 16), p=[0.2, 0.3, 0.5]),
    'head_sizes': boxes.head_size(head_boxes).astype(np.float32),
    'mask': np.ones(B, np.float32),
  }, head_boxes


def _figures(batch, skeleton=MPII):
  return pckh.summarize_pckh(_sums(batch), skeleton)


def _shares(batch, head_boxes, threshold):
  """Share per joint and joints counted, one at a time, 1-based as MPII's labels are."""
  hits, counts = [0] * 16, [0] * 16
  for i, (x1, y1, x2, y2) in enumerate(head_boxes):
    head = 0.6 * math.hypot(x2 - x1, y2 - y1)
    for k in range(16):
      if batch['visibility'][i, k] > 0:
        counts[k] += 1
        prediction = [float(v) + 1 for v in batch['predicted_image'][i, k]]
        label = [float(v) + 1 for v in batch['keypoints_image'][i, k]]
        hits[k] += math.dist(prediction, label) / head <= threshold
  return [h / c for h, c in zip(hits, counts, strict=True)], counts


def _mean(shares, counts):
  """The published mean: shares weighted by each joint's part of all joints but two."""
  total = sum(counts[k] for k in IN_MEAN)
  return sum(shares[k] * counts[k] / total for k in IN_MEAN)


class TestAgainstLoops:
  @pytest.mark.parametrize('seed', [0, 1])
  def test_means_at_each_threshold(self, seed):
    batch, head_boxes = _batch(seed)
    figures = _figures(batch)
    values = []
    for percent in (50, 11, 10):
      expected = _mean(*_shares(batch, head_boxes, percent / 100))
      np.testing.assert_allclose(figures[f'PCKh@0.{percent}'], expected, rtol=1e-6)
      values.append(expected)
    assert values[0] > values[1] > values[2] > 0

  def test_groups_and_joints(self):
    batch, head_boxes = _batch(2)
    figures = _figures(batch)
    shares, _ = _shares(batch, head_boxes, 0.5)
    assert len(set(shares)) > 5
    for group, joints in GROUPS.items():
      expected = sum(shares[k] for k in joints) / len(joints)
      np.testing.assert_allclose(figures[f'PCKh@0.50/{group}'], expected, rtol=1e-6)
    for k, name in enumerate(MPII.keypoints):
      np.testing.assert_allclose(figures[f'PCKh@0.50/{name}'], shares[k], rtol=1e-6)


def _one(error, joint='left_knee'):
  """One figure with a head of 100 pixels, one joint of it off by `error`."""
  keypoints = np.random.default_rng(3).integers(0, 300, (1, 16, 2)).astype(np.float32)
  predicted = keypoints.copy()
  predicted[0, MPII.index(joint)] += error
  return {
    'predicted_image': predicted,
    'keypoints_image': keypoints,
    'visibility': np.ones((1, 16), int),
    'head_sizes': np.array([100.0]),
    'mask': np.ones(1),
  }


class TestDefinitions:
  def test_head_size_is_three_fifths_of_the_diagonal(self):
    heads = [(10, 20, 70, 100), (0, 0, 5, 12)]
    np.testing.assert_allclose(boxes.head_size(np.array(heads)), [60, 7.8])
    np.testing.assert_allclose(boxes.head_size(heads[0]), 60)

  @pytest.mark.parametrize(
    ('error', 'at_50', 'at_11', 'at_10'),
    [
      ((6, 8), 1, 1, 1), ((0, 10.01), 1, 1, 0), ((11, 0), 1, 1, 0), ((0, -11.01), 1, 0, 0),
      ((30, 40), 1, 0, 0), ((0, 50.01), 0, 0, 0),
    ],
  )  # fmt: skip
  def test_the_threshold_is_the_one_named_and_belongs_to_it(self, error, at_50, at_11, at_10):
    figures = _figures(_one(np.array(error, np.float32)))
    for name, hit in (('PCKh@0.50', at_50), ('PCKh@0.11', at_11), ('PCKh@0.10', at_10)):
      np.testing.assert_allclose(figures[name], (13 + hit) / 14)

  @pytest.mark.parametrize('joint', ['pelvis', 'thorax'])
  def test_two_joints_are_not_in_the_mean(self, joint):
    figures = _figures(_one((500, 0), joint))
    assert figures['PCKh@0.50'] == 1
    assert figures[f'PCKh@0.50/{joint}'] == 0

  def test_joints_weigh_as_often_as_they_are_labelled(self):
    one, other = _one((500, 0), 'head_top'), _one((0, 0))
    batch = {name: np.concatenate([one[name], other[name]]) for name in one}
    batch['visibility'][1] = 0
    batch['visibility'][1, MPII.index('neck')] = 1
    figures = _figures(batch)
    np.testing.assert_allclose(figures['PCKh@0.50'], 14 / 15)
    assert figures['PCKh@0.50/head'] == 0

  def test_a_group_needs_both_sides(self):
    batch = _one((0, 0))
    batch['visibility'][0, MPII.index('left_hip')] = 0
    figures = _figures(batch)
    assert 'PCKh@0.50/hip' not in figures
    assert 'PCKh@0.50/left_hip' not in figures
    assert figures['PCKh@0.50/right_hip'] == 1

  def test_an_example_without_head_is_left_out_and_counted(self):
    one, other = _one((500, 0)), _one((0, 0))
    batch = {name: np.concatenate([one[name], other[name]]) for name in one}
    for unknown in (0, np.nan):
      batch['head_sizes'][0] = unknown
      figures = _figures(batch)
      assert figures['PCKh@0.50'] == 1
      assert figures['examples/without_head'] == 1
    batch['head_sizes'][:] = 0
    figures = _figures(batch)
    assert np.isnan(figures['PCKh@0.10'])
    assert not [name for name in figures if name.count('/') and name.startswith('PCKh')]

  def test_no_prediction_is_a_miss(self):
    np.testing.assert_allclose(_figures(_one((np.nan, 0)))['PCKh@0.50'], 13 / 14)

  def test_another_skeleton_has_what_it_has(self):
    batch, _ = _batch(4)
    batch = {
      n: v[:, :14] if n in ('predicted_image', 'keypoints_image', 'visibility') else v
      for n, v in batch.items()
    }
    figures = _figures(batch, skeletons.LSP)
    near = np.linalg.norm(batch['predicted_image'] - batch['keypoints_image'], axis=-1)
    near = (near <= 0.5 * batch['head_sizes'][:, None])[batch['visibility'] > 0]
    np.testing.assert_allclose(figures['PCKh@0.50'], near.mean(), rtol=1e-6)
    assert {'PCKh@0.50/head', 'PCKh@0.50/ankle', 'PCKh@0.50/neck'} <= set(figures)


def test_sums_of_parts_add_up_and_padding_adds_nothing():
  whole, _ = _batch(5, B=7)
  expected = _figures(whole)
  parts = [_sums({name: value[i : i + 3] for name, value in whole.items()}) for i in (0, 3, 6)]
  added = jax.tree.map(lambda *values: sum(np.asarray(v) for v in values), *parts)
  assert pckh.summarize_pckh(added, MPII) == expected
  padded = {name: np.concatenate([value, value[:2]]) for name, value in whole.items()}
  padded['mask'][7:] = 0
  padded['predicted_image'][7:] = np.nan
  padded['head_sizes'][8:] = 0
  assert _figures(padded) == expected
