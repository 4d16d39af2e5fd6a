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


@pytest.fixture
def points():
  rng = np.random.default_rng(1)
  predicted = rng.uniform(0, 1, (3, 4, 2)).astype(np.float32)
  target = predicted + rng.normal(0, 0.04, (3, 4, 2)).astype(np.float32)
  weights = np.array([[1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32)
  return predicted, target, weights


def test_coordinate_mse_by_hand():
  predicted = np.array([[[0.5, 0.5], [0.1, 0.9]]], np.float32)
  target = np.array([[[0.4, 0.7], [0.0, 0.0]]], np.float32)
  loss = losses.coordinate_mse(predicted, target, np.array([[1.0, 0.0]]))
  np.testing.assert_allclose(loss, [(0.1**2 + 0.2**2) / 4], rtol=1e-5)


def test_smooth_l1_equals_the_loops(points):
  predicted, target, weights = points
  actual = losses.smooth_l1(predicted, target, weights, beta=0.03)
  pieces = set()
  for b in range(3):
    total = 0.0
    for k in range(4):
      for axis in range(2):
        error = abs(float(predicted[b, k, axis]) - float(target[b, k, axis]))
        pieces.add(error < 0.03)
        total += weights[b, k] * (error**2 / 0.06 if error < 0.03 else error - 0.015)
    np.testing.assert_allclose(actual[b], total / 8, rtol=1e-4)
  assert pieces == {True, False}
  with pytest.raises(PosejaxError, match='beta=0 must be above 0'):
    losses.smooth_l1(*points, beta=0)


def normal_log_density(errors):
  return -(errors**2).sum(-1) / 2 - np.log(2 * np.pi)


def published_rle(predicted, target, weights):
  """The published sum, number by number, with a normal distribution in place of the flow."""
  total = np.zeros(len(predicted))
  for b, k, axis in np.ndindex(*target.shape):
    sigma = 1 / (1 + np.exp(-predicted[b, k, 2:].astype(np.float64)))
    errors = (predicted[b, k, :2].astype(np.float64) - target[b, k]) / sigma
    log_phi = -(errors**2).sum() / 2 - np.log(2 * np.pi)
    flow_part = np.log(sigma[axis]) - log_phi
    laplace_part = np.log(2 * sigma[axis]) + abs(errors[axis])
    total[b] += weights[b, k] * (flow_part + laplace_part)
  return total


def test_rle_is_the_published_sum_but_for_constants(points):
  predicted, target, weights = points
  spreads = np.random.default_rng(2).normal(-2, 1, predicted.shape).astype(np.float32)
  outputs = np.concatenate([predicted, spreads], -1)
  actual = losses.residual_log_likelihood(outputs, target, weights, normal_log_density)
  expected = published_rle(outputs, target, weights) - np.log(2) * 2 * weights.sum(1)
  np.testing.assert_allclose(8 * np.asarray(actual), expected, rtol=1e-4)


def test_rle_is_a_likelihood():
  # Halved, it is the negative logarithm of a density over where the label is, constants apart: the
  # integral over all labels must not depend on what the net predicts.
  middles = (np.arange(400) + 0.5) / 400
  labels = np.stack(np.meshgrid(middles, middles), -1).reshape(1, -1, 2).astype(np.float32)
  ones = np.ones(labels.shape[:2], np.float32)
  volumes = []
  for spread in ((-3.0, -2.5), (-4.0, -3.0)):
    outputs = np.array([0.45, 0.55, *spread], np.float32) * np.ones((1, labels.shape[1], 4))
    values = jax.vmap(
      lambda o, t, w: losses.residual_log_likelihood(
        o[None, None], t[None, None], w[None, None], normal_log_density
      )[0]
    )(outputs[0], labels[0], ones[0])
    # The mean over x and y of one keypoint is half the published sum.
    volumes.append(np.exp(-np.asarray(values, np.float64)).mean())
  assert volumes[0] == pytest.approx(volumes[1], rel=2e-3)


def test_rle_widens_sigma_where_errors_are_large():
  target = np.full((1, 1, 2), 0.5, np.float32)

  def loss(spread, error):
    outputs = jnp.array([[[0.5 + error, 0.5 - error, 0, 0]]]) + spread * jnp.array([0, 0, 1, 1])
    return losses.residual_log_likelihood(outputs, target, np.ones((1, 1)), normal_log_density)[0]

  assert jax.grad(loss)(-3.0, 0.2) < 0 < jax.grad(loss)(-3.0, 0.001)


def test_rle_stays_finite_where_sigma_vanishes():
  outputs = jnp.array([[[0.5, 0.5, -200.0, -90.0]]])
  target = np.full((1, 1, 2), 0.2, np.float32)
  value, gradient = jax.value_and_grad(
    lambda o: losses.residual_log_likelihood(
      o, target, np.ones((1, 1)), lambda e: -jnp.abs(e).sum(-1)
    ).sum()
  )(outputs)
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()


def test_coordinate_losses_know_their_nets(points):
  predicted, target, weights = points
  with pytest.raises(PosejaxError, match='config.model.sigmas=True'):
    losses.residual_log_likelihood(predicted, target, weights, normal_log_density)
  outputs = np.concatenate([predicted, predicted], -1)
  for loss in (losses.coordinate_mse, losses.smooth_l1):
    with pytest.raises(PosejaxError, match='config.model.sigmas=False'):
      loss(outputs, target, weights)


@pytest.fixture
def pixels():
  rng = np.random.default_rng(3)
  logits = rng.normal(0, 2, (3, 6, 5, 4)).astype(np.float32)
  classes = rng.integers(0, 4, (3, 6, 5)) * rng.integers(0, 2, (3, 6, 5))
  classes[2] = 0
  return logits, classes, np.ones((3, 3), np.float32)


@pytest.mark.parametrize(('share', 'focus'), [(0.5, 0.0), (0.2, 2.0)])
def test_pixel_cross_entropy_equals_the_loops(pixels, share, focus):
  logits, classes, weights = pixels
  weights = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0]], np.float32)
  classes = np.where(classes == 2, 0, classes)  # keypoint 1 is nowhere
  actual = losses.pixel_cross_entropy(logits, classes, weights, share, focus)
  for b in range(3):
    found = {True: [], False: []}
    for y, x in np.ndindex(6, 5):
      taking_part = [0] + [k + 1 for k in range(3) if weights[b, k]]
      odds = {c: np.exp(float(logits[b, y, x, c])) for c in taking_part}
      p = odds[classes[b, y, x]] / sum(odds.values())
      found[classes[b, y, x] == 0].append(-((1 - p) ** focus) * np.log(p))
    means = {key: np.mean(values) if values else 0.0 for key, values in found.items()}
    np.testing.assert_allclose(
      actual[b], share * means[True] + (1 - share) * means[False], rtol=1e-4, atol=1e-7
    )
  assert actual[2] == 0, 'nothing is labelled: nothing is learnt'


def test_pixels_of_a_keypoint_that_is_not_labelled_teach_nothing_about_it(pixels):
  logits, _, _ = pixels
  classes, weights = np.zeros((3, 6, 5), int), np.array([[1, 0, 1]] * 3, np.float32)
  gradient = jax.grad(lambda x: losses.pixel_cross_entropy(x, classes, weights).sum())(logits)
  assert not np.any(gradient[..., 2])
  assert np.all(np.asarray(gradient[..., 1]) > 0)


def test_pixel_cross_entropy_is_finite_for_certain_nets():
  logits = np.zeros((1, 2, 2, 3), np.float32)
  logits[0, 0, 0, 1] = logits[0, 1, 1, 0] = 500
  classes = np.array([[[1, 0], [2, 1]]])
  value, gradient = jax.value_and_grad(
    lambda x: losses.pixel_cross_entropy(x, classes, np.ones((1, 2)), 0.5, 2.0).sum()
  )(logits)
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()


def test_a_share_is_a_share(pixels):
  with pytest.raises(PosejaxError, match=r'background_share=1.5 must lie in'):
    losses.pixel_cross_entropy(*pixels, background_share=1.5)
