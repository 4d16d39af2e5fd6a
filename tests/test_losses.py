import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import losses
from posejax.errors import PosejaxError
from tests import references


def test_cross_entropy_is_the_surprise_at_the_class():
  rng = np.random.default_rng(1)
  logits = rng.normal(0, 3, (5, 4)).astype(np.float32)
  labels = np.array([0, 3, 1, 2, 2])
  exponents = np.exp(logits.astype(np.float64))
  chances = exponents / exponents.sum(1, keepdims=True)
  wanted = [-np.log(row[label]) for row, label in zip(chances, labels, strict=True)]
  np.testing.assert_allclose(losses.cross_entropy(logits, labels), wanted, rtol=1e-5)
  # Smoothed by .2: .85 of the target on the class, .05 on each of the others.
  weights = np.full((5, 4), 0.05)
  weights[np.arange(5), labels] = 0.85
  smoothed = losses.cross_entropy(logits, labels, label_smoothing=0.2)
  np.testing.assert_allclose(smoothed, -(weights * np.log(chances)).sum(1), rtol=1e-5)
  # Logits beyond what an exponential can hold.
  far = losses.cross_entropy(np.float32([[0, 1000]]), np.array([0]))
  np.testing.assert_allclose(far, [1000])


@pytest.fixture
def maps():
  rng = np.random.default_rng(0)
  predicted = rng.normal(0, 0.5, (3, 6, 5, 4)).astype(np.float32)
  target = rng.uniform(0, 1, (3, 6, 5, 4)).astype(np.float32)
  weights = np.array([[1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32)
  return predicted, target, weights


@pytest.mark.parametrize('foreground_weight', [1.0, 7.0])
def test_mse_equals_the_loops(maps, foreground_weight):
  predicted, target, weights = maps
  actual = losses.heatmap_mse(predicted, target, weights, foreground_weight)
  expected = [
    references.heatmap_mse(p, t, w, foreground_weight)
    for p, t, w in zip(predicted, target, weights, strict=True)
  ]
  assert actual.shape == (3,)
  np.testing.assert_allclose(actual, expected, rtol=1e-5)
  assert actual[2] == 0


def test_factor_gives_the_msra_form(maps):
  predicted, target, weights = maps
  # As published: per keypoint half the mean of both maps weighed, averaged over the keypoints.
  expected = np.zeros(3)
  for k in range(4):
    difference = (predicted[..., k] - target[..., k]) * weights[:, k, None, None]
    expected += 0.5 * (difference**2).mean(axis=(1, 2)) / 4
  np.testing.assert_allclose(
    losses.heatmap_mse(predicted, target, weights, factor=0.5), expected, rtol=1e-5
  )


def test_foreground_counts_as_often_as_said():
  target = np.zeros((1, 1, 2, 1), np.float32)
  target[0, 0, 0, 0] = 1
  missed, invented = target - target, target + np.eye(2, dtype=np.float32)[1].reshape(1, 1, 2, 1)
  ones = np.ones((1, 1))
  miss = losses.heatmap_mse(missed, target, ones, foreground_weight=9.0)
  invention = losses.heatmap_mse(invented, target, ones, foreground_weight=9.0)
  np.testing.assert_allclose(miss, 9 * invention)


def test_ohkm_takes_the_worst_keypoints(maps):
  predicted, target, weights = maps
  weights = np.ones_like(weights)
  per_keypoint = ((predicted - target) ** 2).mean(axis=(1, 2))
  for num in (1, 2, 4):
    expected = [sorted(row)[-num:] for row in per_keypoint.tolist()]
    np.testing.assert_allclose(
      losses.heatmap_ohkm(predicted, target, weights, num), np.mean(expected, axis=1), rtol=1e-5
    )
  np.testing.assert_allclose(
    losses.heatmap_ohkm(predicted, target, weights, 4, factor=0.5),
    losses.heatmap_mse(predicted, target, weights, factor=0.5),
    rtol=1e-5,
  )


def test_ohkm_leaves_the_easy_keypoints_without_gradient(maps):
  predicted, target, _ = maps
  weights = np.ones((3, 4))
  gradient = jax.grad(lambda p: losses.heatmap_ohkm(p, target, weights, 2).sum())(predicted)
  touched = np.any(np.asarray(gradient) != 0, axis=(1, 2))
  worst = np.argsort(((predicted - target) ** 2).mean(axis=(1, 2)), axis=1)[:, 2:]
  for b in range(3):
    assert set(np.flatnonzero(touched[b])) == set(worst[b])


@pytest.mark.parametrize('num', [0, 5])
def test_ohkm_refuses_more_keypoints_than_there_are(maps, num):
  with pytest.raises(PosejaxError, match=f'num_hardest={num}.*4'):
    losses.heatmap_ohkm(*maps, num_hardest=num)


def test_a_broken_example_is_the_only_one_that_is_not_finite(maps):
  predicted, target, weights = maps
  predicted[1, 2, 3, 2] = np.nan
  for loss in (losses.heatmap_mse, lambda *args: losses.heatmap_ohkm(*args, num_hardest=2)):
    np.testing.assert_array_equal(
      np.isfinite(loss(predicted, target, weights)), [True, False, True]
    )


def test_half_precision_is_reduced_in_float32():
  # 1 + 2**-9 would be 1 in bfloat16, and a sum of 4,096 ones would stop at 256.
  predicted = jnp.ones((1, 64, 64, 1), jnp.bfloat16)
  target = jnp.zeros((1, 64, 64, 1), jnp.float32)
  loss = losses.heatmap_mse(predicted, target, np.ones((1, 1)))
  assert loss.dtype == jnp.float32
  np.testing.assert_allclose(loss, 1.0)
