import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import skeletons
from posejax.metrics import median, pck
from tests import compiling, references

COCO = skeletons.COCO
DIAGONALS = COCO.torso_indices
WITHOUT_TORSO = skeletons.Skeleton(
  name='stick', keypoints=('a', 'b'), flip_pairs=(), limbs=(('a', 'b'),), sigmas=(0.1, 0.1)
)


# Compiled, because op by op it takes several times as long.
_sums = compiling.jit(
  lambda batch, skeleton: pck.pck_sums(**batch, skeleton=skeleton), static_argnums=1
)


def _batch(seed, B=9, K=17):
  rng = np.random.default_rng(seed)
  keypoints = rng.uniform(0, 300, (B, K, 2)).astype(np.float32)
  # Errors of about a fifth of a torso, so that every threshold separates something.
  predicted = (keypoints + rng.normal(0, 12, (B, K, 2))).astype(np.float32)
  visibility = rng.choice(3, (B, K), p=[0.3, 0.3, 0.4])
  low = rng.uniform(0, 50, (B, 2))
  boxes = np.concatenate([low, low + rng.uniform(60, 250, (B, 2))], -1).astype(np.float32)
  return {
    'predicted_image': predicted,
    'keypoints_image': keypoints,
    'visibility': visibility,
    'boxes': boxes,
    'mask': np.ones(B, np.float32),
  }


def _figures(batch, skeleton=COCO):
  return pck.summarize_pck(_sums(batch, skeleton), skeleton)


def _reference(batch, threshold, size, only=None):
  return references.pck(
    batch['predicted_image'], batch['keypoints_image'], batch['visibility'], batch['boxes'],
    DIAGONALS, threshold, size, only,
  )  # fmt: skip


class TestAgainstLoops:
  def test_named_thresholds_and_area(self):
    batch = _batch(0)
    figures = _figures(batch)
    for size in ('torso', 'box'):
      shares = [_reference(batch, k / 100, size) for k in range(1, 21)]
      assert len(set(shares)) > 10
      np.testing.assert_allclose(figures[f'PCK@0.20/{size}'], shares[19], rtol=1e-6)
      np.testing.assert_allclose(figures[f'PCK@0.05/{size}'], shares[4], rtol=1e-6)
      np.testing.assert_allclose(figures[f'AUC/{size}'], np.mean(shares), rtol=1e-6)

  def test_per_keypoint(self):
    batch = _batch(1)
    figures = _figures(batch)
    for k, name in enumerate(COCO.keypoints):
      np.testing.assert_allclose(
        figures[f'PCK@0.20/torso/{name}'], _reference(batch, 0.2, 'torso', k), rtol=1e-6
      )

  def test_errors_in_pixels_and_counts(self):
    batch = _batch(2)
    figures = _figures(batch)
    labelled = batch['visibility'] > 0
    errors = (batch['predicted_image'] - batch['keypoints_image'])[labelled]
    np.testing.assert_allclose(figures['MAE/pixels'], np.abs(errors).mean(), rtol=1e-5)
    np.testing.assert_allclose(figures['distance/pixels'], np.hypot(*errors.T).mean(), rtol=1e-5)
    without = [
      references.torso_size(p, v, DIAGONALS) is None
      for p, v in zip(batch['keypoints_image'], batch['visibility'], strict=True)
    ]
    assert 0 < sum(without) < 9
    assert figures['examples'] == 9
    assert figures['examples/without_torso'] == sum(without)
    assert figures['keypoints'] == labelled.sum()


def test_sums_of_parts_add_up():
  whole = _batch(3, B=8)
  parts = [{k: v[i : i + 3] for k, v in whole.items()} for i in (0, 3, 6)]
  sums = [_sums(part, COCO) for part in parts]
  added = jax.tree.map(lambda *values: sum(np.asarray(v, np.float64) for v in values), *sums)
  expected = _figures(whole)
  actual = pck.summarize_pck(added, COCO)
  assert actual.keys() == expected.keys()
  np.testing.assert_allclose(list(actual.values()), list(expected.values()), rtol=1e-6)


def test_padding_changes_nothing_whatever_it_holds():
  batch = _batch(4, B=5)
  expected = _figures(batch)
  padded = {k: np.concatenate([v, v[:3]]) for k, v in batch.items()}
  padded['mask'][5:] = 0
  padded['predicted_image'][5:] = np.nan
  padded['keypoints_image'][6:] = np.inf
  padded['boxes'][5:] = 0
  padded['visibility'][5:] = 2
  assert _figures(padded) == expected


def test_needs_no_compilation():
  batch = _batch(5)
  sums = pck.pck_sums(**batch, skeleton=COCO)
  assert all(isinstance(v, jax.Array) and v.dtype == jnp.float32 for v in sums.values())
  figures = pck.summarize_pck(sums, COCO)
  expected = _figures(batch)
  np.testing.assert_allclose(list(figures.values()), list(expected.values()), rtol=1e-5)
  assert all(type(v) is float for v in figures.values())


def _one_figure(error, torso_hidden=()):
  """A torso of 100 pixels on both diagonals, a nose that is off by `error`."""
  keypoints = np.zeros((1, 17, 2), np.float32)
  for name, place in {
    'left_shoulder': (80, 0), 'right_shoulder': (20, 0), 'left_hip': (80, 80), 'right_hip': (20, 80),
  }.items():  # fmt: skip
    keypoints[0, COCO.index(name)] = place
  visibility = np.zeros((1, 17), int)
  for name in ('nose', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip'):
    visibility[0, COCO.index(name)] = name not in torso_hidden
  predicted = keypoints.copy()
  predicted[0, COCO.index('nose')] += error
  return {
    'predicted_image': predicted,
    'keypoints_image': keypoints,
    'visibility': visibility,
    'boxes': np.array([[0, 0, 50, 200]], np.float32),
    'mask': np.ones(1),
  }


class TestDefinitions:
  @pytest.mark.parametrize(
    ('error', 'at_20', 'at_05'),
    [
      ((0, 0), 1, 1), ((3, 4), 1, 1), ((0, 5.001), 1, 0), ((0, 5.5), 1, 0), ((0, 6), 1, 0),
      ((12, 16), 1, 0), ((0, -20.01), 0, 0),
    ],
  )  # fmt: skip
  def test_a_distance_on_the_threshold_counts(self, error, at_20, at_05):
    # The box is 200 pixels long, its thresholds lie twice as far.
    for scale, size in ((1, 'torso'), (2, 'box')):
      figures = _figures(_one_figure(scale * np.array(error, np.float32)))
      hits = {20: (4 + at_20) / 5, 5: (4 + at_05) / 5}
      np.testing.assert_allclose(figures[f'PCK@0.20/{size}'], hits[20])
      np.testing.assert_allclose(figures[f'PCK@0.05/{size}'], hits[5])
    assert _figures(_one_figure(error))['PCK@0.20/torso/nose'] == at_20

  @pytest.mark.parametrize('hidden', [(), ('right_hip',), ('left_hip',)])
  def test_the_other_diagonal_stands_in(self, hidden):
    figures = _figures(_one_figure((0, 0), hidden))
    assert figures['examples/without_torso'] == 0
    assert figures['PCK@0.20/torso'] == 1

  def test_the_stand_in_has_its_own_length(self):
    batch = _one_figure((0, 15), ('left_shoulder',))
    batch['keypoints_image'][0, COCO.index('left_hip')] = (20, 60)
    batch['predicted_image'][0, COCO.index('left_hip')] = (20, 60)
    # right shoulder to left hip is 60 now: 15 > 0.2 * 60.
    assert _figures(batch)['PCK@0.20/torso/nose'] == 0

  def test_an_example_without_torso_is_left_out_and_counted(self):
    batch = _one_figure((0, 0), ('left_shoulder', 'right_shoulder'))
    figures = _figures(batch)
    assert figures['examples/without_torso'] == figures['examples'] == 1
    assert np.isnan(figures['PCK@0.20/torso'])
    assert figures['PCK@0.20/box'] == 1
    assert 'PCK@0.20/torso/nose' not in figures

  def test_hidden_keypoints_count_and_unlabelled_ones_do_not(self):
    batch = _one_figure((500, 0))
    assert _figures(batch)['PCK@0.20/box'] == 0.8
    batch['visibility'][0, 0] = 2
    assert _figures(batch)['PCK@0.20/box'] == 0.8
    batch['visibility'][0, 0] = 0
    assert _figures(batch)['PCK@0.20/box'] == 1

  def test_box_is_the_longer_side(self):
    batch = _one_figure((0, 39))
    assert _figures(batch)['PCK@0.20/box'] == 1
    batch['boxes'] = np.array([[0, 0, 190, 50]], np.float32)
    assert _figures(batch)['PCK@0.20/box'] == 0.8

  def test_a_skeleton_without_torso_is_measured_by_box(self):
    batch = _batch(6, K=2)
    figures = _figures(batch, WITHOUT_TORSO)
    assert not [name for name in figures if 'torso' in name]
    expected = references.pck(
      batch['predicted_image'], batch['keypoints_image'], batch['visibility'], batch['boxes'],
      (), 0.2, 'box', 1,
    )  # fmt: skip
    np.testing.assert_allclose(figures['PCK@0.20/box/b'], expected, rtol=1e-6)

  def test_no_prediction_is_a_miss(self):
    batch = _one_figure((np.nan, 0))
    assert _figures(batch)['PCK@0.20/torso/nose'] == 0


class TestMedianPose:
  def test_medians_of_labelled_keypoints(self):
    rng = np.random.default_rng(7)
    keypoints = rng.uniform(0, 1, (21, 3, 2))
    visibility = rng.integers(0, 3, (21, 3))
    visibility[:, 1] = 0
    keypoints[visibility == 0] = np.nan
    pose = median.median_pose(keypoints, visibility)
    assert pose.dtype == np.float32
    np.testing.assert_array_equal(pose[1], [0.5, 0.5])
    for k in (0, 2):
      for axis in range(2):
        seen = sorted(keypoints[i, k, axis] for i in range(21) if visibility[i, k])
        middle = (seen[(len(seen) - 1) // 2] + seen[len(seen) // 2]) / 2
        np.testing.assert_allclose(pose[k, axis], middle, rtol=1e-6)
